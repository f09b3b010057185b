package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// How many clients a load has of each kind. Each keeps its connection and asks on when it has its answer.
const (
	getClients    = 6
	chatClients   = 3
	streamClients = 3
)

// load asks a shop for what customers ask for, until it is stopped.
type load struct {
	url    string
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu    sync.Mutex
	asked map[string]int
	wrong map[string][]error
}

func startLoad(t *testing.T, url string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{url: url, cancel: cancel, asked: map[string]int{}, wrong: map[string][]error{}}
	t.Cleanup(l.stop)
	for kind, run := range map[string]struct {
		clients int
		ask     func(client *http.Client, name string, n int) error
	}{"gets": {getClients, l.get}, "chats": {chatClients, l.chat}, "streams": {streamClients, l.stream}} {
		for i := range run.clients {
			l.done.Go(func() {
				client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
				defer client.CloseIdleConnections()
				for n := 0; ctx.Err() == nil; n++ {
					err := run.ask(client, fmt.Sprint(kind, "-", i), n)
					l.mu.Lock()
					l.asked[kind]++
					if err != nil {
						l.wrong[kind] = append(l.wrong[kind], err)
					}
					l.mu.Unlock()
					select { // the pace of busy customers, which leaves the machine to others too
					case <-ctx.Done():
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
		}
	}
	return l
}

// stop ends the load once every request has its answer.
func (l *load) stop() {
	l.cancel()
	l.done.Wait()
}

func (l *load) count(kind string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[kind]
}

func (l *load) failures(kind string) []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wrong[kind]
}

// await waits until more of a kind have been asked for.
func (l *load) await(t *testing.T, kind string, more int) {
	t.Helper()
	end := l.count(kind) + more
	eventually(t, fmt.Sprint(more, " more ", kind), func() bool { return l.count(kind) >= end })
}

// faultless fails the test when any request failed, and says how many there were.
func (l *load) faultless(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"gets", "chats", "streams"} {
		failed := l.failures(kind)
		if len(failed) > 0 {
			t.Errorf("%d of %d %s failed: %v", len(failed), l.count(kind), kind, errors.Join(failed[:min(5, len(failed))]...))
		}
		t.Logf("%d %s, %d failed", l.count(kind), kind, len(failed))
	}
}

func (l *load) get(client *http.Client, _ string, n int) error {
	paths := []string{"/api/products?language=fr", "/api/products/search?q=shampoo&language=en", "/api/faq?q=livraison", "/api/health", "/"}
	return l.right(client, "GET", paths[n%len(paths)], "", "")
}

func (l *load) chat(client *http.Client, name string, n int) error {
	body := fmt.Sprintf(`{"message":"Quel shampooing pour des cheveux secs ? (%d)","sessionId":"%s-%d"}`, n, name, n/5)
	return l.right(client, "POST", "/api/chat", body, `"success":true`)
}

func (l *load) stream(client *http.Client, name string, n int) error {
	body := fmt.Sprintf(`{"message":"Which shampoo is best for dry hair? (%d)","sessionId":"%s-%d"}`, n, name, n/5)
	return l.right(client, "POST", "/api/chat/stream", body, `"fullMessage":`)
}

// right asks, and says what is not right with the answer.
func (l *load) right(client *http.Client, method, path, body, want string) error {
	a, err := try(context.Background(), client, method, l.url+path, body) // the client has a timeout; a stop waits for the answer
	if err != nil {
		return err
	}
	if a.status != http.StatusOK || !strings.Contains(a.body, want) {
		return fmt.Errorf("%s %s: %d %.300s", method, path, a.status, a.body[max(0, len(a.body)-300):])
	}
	return nil
}
