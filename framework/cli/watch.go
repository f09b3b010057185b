package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle = 200 * time.Millisecond // from the last sign of a change to the look at the file
	rearm  = time.Second            // between attempts to watch a folder that is away
)

// watcher tells when a file may have changed. It watches the file's folder, so that it also sees the file replaced or made
// anew, as editors and Kubernetes do.
type watcher struct {
	file, folder string
	notify       *fsnotify.Watcher
}

func newWatcher(file string) (*watcher, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	w := &watcher{file: file, folder: filepath.Dir(file)}
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	if err := w.notify.Add(w.folder); err != nil {
		_ = w.notify.Close() // there is nothing in it
		return nil, fmt.Errorf("watch policy: %w", err)
	}
	return w, nil
}

// run calls look at once, and whenever the file may have changed and nothing moves any more, until ctx ends.
func (w *watcher) run(ctx context.Context, look func()) error {
	defer func() { _ = w.notify.Close() }() // it reads only
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-w.notify.Events:
			// Writes to other files beside it, such as logs, say nothing about this one; a symbolic link that moves may.
			if e.Name == w.file || e.Has(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) {
				timer.Reset(settle)
			}
		case <-w.notify.Errors: //nolint:errcheck // an overflow: whatever it says, anything may have changed
			timer.Reset(settle)
		case <-timer.C:
			// A folder that was replaced has to be watched again; for one that is watched already this does nothing.
			if err := w.notify.Add(w.folder); err != nil {
				timer.Reset(rearm)
				continue
			}
			look()
		}
	}
}
