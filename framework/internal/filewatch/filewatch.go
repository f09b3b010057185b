// Package filewatch tells when files may have changed. It watches their folders, so that it also sees a file replaced or made anew, as
// editors, certificate clients and Kubernetes do.
package filewatch

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	settle = 200 * time.Millisecond // from the last sign of a change to the look at the files
	rearm  = time.Second            // between attempts to watch a folder that is away
)

// Watcher watches files. It is run once.
type Watcher struct {
	files, folders []string
	notify         *fsnotify.Watcher
}

// New watches files, whose folders must be there, from now on. Run ends the watch.
func New(files ...string) (*Watcher, error) {
	w := &Watcher{}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		return nil, fmt.Errorf("watch files: %w", err)
	}
	for _, file := range files {
		if file, err = filepath.Abs(file); err == nil {
			err = w.notify.Add(filepath.Dir(file))
		}
		if err != nil {
			_ = w.notify.Close() // there is nothing in it
			return nil, fmt.Errorf("watch %s: %w", file, err)
		}
		w.files, w.folders = append(w.files, file), append(w.folders, filepath.Dir(file))
	}
	return w, nil
}

// Run calls look at once, and whenever a file may have changed and nothing moves any more, until ctx ends.
func (w *Watcher) Run(ctx context.Context, look func()) {
	defer func() { _ = w.notify.Close() }() // it reads only
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-w.notify.Events:
			// Writes to other files beside them, such as logs, say nothing about these; a symbolic link that moves may.
			if slices.Contains(w.files, e.Name) || e.Has(fsnotify.Create|fsnotify.Remove|fsnotify.Rename) {
				timer.Reset(settle)
			}
		case <-w.notify.Errors: //nolint:errcheck // an overflow: whatever it says, anything may have changed
			timer.Reset(settle)
		case <-timer.C:
			if !w.watchAgain() {
				timer.Reset(rearm)
				continue
			}
			look()
		}
	}
}

// watchAgain watches folders that were replaced; for one that is watched already it does nothing.
func (w *Watcher) watchAgain() bool {
	for _, folder := range w.folders {
		if w.notify.Add(folder) != nil {
			return false
		}
	}
	return true
}
