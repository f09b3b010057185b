package framework_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
)

// served is an app that listens where its policy says.
type served struct {
	app  *framework.App
	on   framework.Listeners
	logs string // file
}

// serveListeners serves a policy with its own listeners, TLS and all, until the end of the test.
func serveListeners(t *testing.T, policy string) *served {
	t.Helper()
	s := &served{logs: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(s.logs)
	if err != nil {
		t.Fatal(err)
	}
	s.app, err = framework.New(framework.Config{
		Policy: framework.PolicyText("test.toml", policy), Stdout: log,
		Plugins: []framework.Plugin{plugin("test", framework.Handlers{"test": text("hello")})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.on, err = s.app.Listen(nil); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.app.Serve(ctx, s.on) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		log.Close()
	})
	return s
}

// failures counts the lines that say that certificates could not be renewed.
func (s *served) failures(t *testing.T) int {
	t.Helper()
	lines, err := os.ReadFile(s.logs)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(lines), "Certificate not renewed")
}

// expiry returns when the certificate of a listener ends, by the metrics.
func (s *served) expiry(t *testing.T, listener string) time.Time {
	t.Helper()
	_, body, err := s.app.Metrics().WriteMetrics("")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`tls_certificate_expiry_timestamp_seconds\{listener="` + listener + `"\} (\S+)`).FindSubmatch(body)
	if line == nil {
		t.Fatalf("nothing tells when the certificate of %s ends", listener)
	}
	at, err := strconv.ParseFloat(string(line[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(int64(at), 0)
}

// ask makes a request on a connection of its own, and returns the status and the serial number of the server's certificate.
func ask(t *testing.T, l net.Listener, config *tls.Config, path string, header ...string) (status int, serial int64, err error) {
	t.Helper()
	config.MinVersion = tls.VersionTLS12
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+l.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.TLS.PeerCertificates[0].SerialNumber.Int64(), err
}

func TestCertificatesAreRenewed(t *testing.T) {
	ca := newAuthority(t)
	cert, key := pairFiles(t)
	ca.issue(t, 2, cert, key)
	s := serveListeners(t, fmt.Sprintf(`
version = 1
[server]
listen = "127.0.0.1:0"
tls = { cert = %q, key = %q }
[[routes]]
path = "/"
handler = "test"
`, cert, key))
	shows := func(want int64) func() bool {
		return func() bool {
			status, serial, err := ask(t, s.on.Public, &tls.Config{RootCAs: ca.roots}, "/")
			if err != nil || status != http.StatusOK {
				t.Fatalf("while certificates change: %d, %v", status, err)
			}
			return serial == want
		}
	}
	if !shows(2)() {
		t.Fatal("the certificate is not the one in the file")
	}
	old, err := tls.Dial("tcp", s.on.Public.Addr().String(), &tls.Config{RootCAs: ca.roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()

	ca.issue(t, 3, cert, key)
	eventually(t, "the new certificate is shown", shows(3))
	if left := time.Until(s.expiry(t, "public")); left < 2*time.Hour || left > 3*time.Hour {
		t.Errorf("by the metrics it ends in %v", left)
	}
	for name, spoil := range map[string]func() error{
		"not PEM":           func() error { return os.WriteFile(cert, []byte("oops"), 0o600) },
		"of another key":    func() error { other, _ := pairFiles(t); ca.issue(t, 9, cert, other); return nil },
		"without their key": func() error { return os.Remove(key) },
	} {
		before := s.failures(t)
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a pair whose files are "+name+" is logged", func() bool { return s.failures(t) > before })
		if !shows(3)() {
			t.Errorf("files %s changed the certificate", name)
		}
		if err := s.app.Reload(t.Context()); err == nil {
			t.Errorf("a reload takes files %s", name)
		}
	}
	if _, err := io.WriteString(old, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if n, err := old.Read(make([]byte, 4096)); err != nil || n == 0 {
		t.Errorf("a connection from before is dead: %v", err)
	}
	ca.issue(t, 4, cert, key)
	if err := s.app.Reload(t.Context()); err != nil || !shows(4)() {
		t.Errorf("a reload does not take the new certificate: %v", err)
	}
}

func TestAdminsShowTheirCertificates(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := pairFiles(t)
	ours.issue(t, 2, cert, key)
	for _, token := range []string{"", "s3cret"} {
		s := serveListeners(t, fmt.Sprintf(`
version = 1
[server]
listen = "127.0.0.1:0"
admin_token = %q
[server.admin]
listen = "127.0.0.1:0"
tls = { cert = %q, key = %q, client_ca = %q }
[[routes]]
path = "/admin"
handler = "test"
audience = "admin"
`, token, cert, key, ours.file))
		client := func(by *authority) tls.Certificate {
			cert, key := pairFiles(t)
			by.issue(t, 7, cert, key)
			pair, err := tls.LoadX509KeyPair(cert, key)
			if err != nil {
				t.Fatal(err)
			}
			return pair
		}
		with := map[string][]tls.Certificate{"right": {client(ours)}, "wrong": {client(theirs)}, "missing": nil}
		for name, certificates := range with {
			config := &tls.Config{RootCAs: ours.roots}
			if certificates != nil { // even one that the server does not ask for
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
			}
			status, _, err := ask(t, s.on.Admin, config, "/admin")
			want := http.StatusOK
			if token != "" {
				want = http.StatusUnauthorized
			}
			if name == "right" && (err != nil || status != want) || name != "right" && err == nil {
				t.Errorf("with token %q, a client whose certificate is %s: %d, %v", token, name, status, err)
			}
			if name == "right" && token != "" {
				if status, _, err := ask(t, s.on.Admin, config, "/admin", "Authorization", "Bearer "+token); status != http.StatusOK {
					t.Errorf("with certificate and token: %d, %v", status, err)
				}
			}
		}
		if conn, err := net.Dial("tcp", s.on.Admin.Addr().String()); err == nil { // in the clear
			_, _ = io.WriteString(conn, "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n")
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			if answer, _ := io.ReadAll(conn); strings.Contains(string(answer), "HTTP/1.1 200") {
				t.Errorf("without TLS: %s", answer)
			}
			conn.Close()
		}
	}
}

func TestNoServerWithoutItsCertificate(t *testing.T) {
	app, err := framework.New(framework.Config{
		Policy: framework.PolicyText("test.toml", "version = 1\nserver.tls = { cert = \"/none.pem\", key = \"/none.key\" }\n"+
			"server.listen = \"127.0.0.1:0\"\n"), Stdout: io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Run(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/none.pem") {
		t.Errorf("got %v", err)
	}
}
