package model

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/innatural/chatbot/plugins/chat/modelmock"
)

// counted is a server of models that counts its connections.
func counted(t *testing.T, h http.Handler) (server *httptest.Server, connections *atomic.Int32) {
	t.Helper()
	connections = &atomic.Int32{}
	server = httptest.NewUnstartedServer(h)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return server, connections
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	s, err := modelmock.New(modelmock.Config{Text: "one two"})
	if err != nil {
		t.Fatal(err)
	}
	server, connections := counted(t, s)
	m := newModel(t, server.URL+"/v1")
	const asked = 10
	for n := range asked + 1 {
		if n == asked { // as servers do with what is idle
			server.CloseClientConnections()
		}
		if said, _, err := ask(t, m); said != "one two" || err != nil {
			t.Fatalf("%d: %q, %v", n, said, err)
		}
	}
	if got := connections.Load(); got > asked/2 { // but for some whose end came too late on a busy machine
		t.Errorf("%d connections for %d answers", got, asked+1)
	}
	if got := s.Stats().Requests; got != asked+1 {
		t.Errorf("%d requests for %d answers: a closed connection was taken for an open one", got, asked+1)
	}
}

func TestInterimAnswersArePassedOver(t *testing.T) {
	said, _, err := ask(t, newModel(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"ok\"},\"finish_reason\":\"stop\"}]}\n\n")
	}))))
	if said != "ok" || err != nil {
		t.Errorf("%q, %v", said, err)
	}
}

// A server that never ends its header, or never comes to its answer, is given up.
func TestEndlessHeads(t *testing.T) {
	for name, piece := range map[string]string{
		"a header": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHeader), "interim answers": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					for err == nil {
						_, err = io.WriteString(conn, piece)
					}
					_ = conn.Close()
				}
			}()
			began := time.Now()
			_, _, err = ask(t, newModel(t, "http://"+l.Addr().String()+"/v1"))
			var f *Failure
			if !errors.As(err, &f) || f.Reason != Unavailable || time.Since(began) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestOnlyPlainServersAreAskedDirectly(t *testing.T) {
	for address, want := range map[string]bool{"http://127.0.0.1:9000/v1": true, "https://127.0.0.1:9000/v1": false} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := reaches(u); got != want || err != nil {
			t.Errorf("%s: %v, %v", address, got, err)
		}
	}
}
