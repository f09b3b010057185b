package proxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// isUp says whether the target takes requests. One that nobody checks gets another chance after a pause.
func (t *target) isUp() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.out || !t.until.IsZero() && !time.Now().Before(t.until)
}

// worked counts an answer.
func (t *target) worked() {
	t.mu.Lock()
	back := t.out && !t.until.IsZero()
	t.failures = 0
	if back {
		t.out = false
	}
	t.mu.Unlock()
	if back {
		t.tell("Target is back", nil)
	}
}

// failed counts a failure.
func (t *target) failed(err error) {
	t.mu.Lock()
	t.failures++
	t.passed = 0
	gone := !t.out && t.failures >= t.proxy.options.Health.Failures
	if gone {
		t.out = true
	}
	if t.out && t.proxy.options.Health.Path == "" {
		t.until = time.Now().Add(t.proxy.options.Health.Pause.D())
	}
	t.mu.Unlock()
	if gone {
		t.tell("Target is out", err)
	}
}

// passedCheck counts a check that went well.
func (t *target) passedCheck() {
	t.mu.Lock()
	t.failures = 0
	t.passed++
	back := t.out && t.passed >= t.proxy.options.Health.Successes
	if back {
		t.out = false
	}
	t.mu.Unlock()
	if back {
		t.tell("Target is back", nil)
	}
}

func (t *target) tell(what string, err error) {
	log := t.proxy.log.Load()
	if log == nil { // before the first generation is built
		return
	}
	if err == nil {
		log.Info(what, "upstream", t.upstream.name, "target", t.address.String())
		return
	}
	log.Warn(what, "upstream", t.upstream.name, "target", t.address.String(), "error", err)
}

// watch checks the target until ctx ends.
func (t *target) watch(ctx context.Context) {
	every := time.NewTicker(t.proxy.options.Health.Interval.D())
	defer every.Stop()
	for {
		if err := t.probe(ctx); err == nil {
			t.passedCheck()
		} else if ctx.Err() == nil {
			t.failed(err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// maxProbe is how much is read of the answer to a check, so that its connection can be used again.
const maxProbe = 64 << 10

func (t *target) probe(ctx context.Context) error {
	h := t.proxy.options.Health
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, targetKey{}, t), h.Timeout.D())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, t.address.String()+h.Path, nil)
	if err != nil {
		return err
	}
	req.Host = t.upstream.Host
	resp, err := t.proxy.transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, maxProbe); err != nil && err != io.EOF { //nolint:errorlint // CopyN returns it as it is
		return fmt.Errorf("check: %w", err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return fmt.Errorf("check: answered %d", resp.StatusCode)
	}
	return nil
}
