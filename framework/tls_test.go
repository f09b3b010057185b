package framework_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework"
)

// certificate writes a certificate for 127.0.0.1 and its key, and returns their files and what trusts them.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(parsed)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8), roots
}

func TestTLS(t *testing.T) {
	cert, key, roots := certificate(t)
	entered, left := make(chan struct{}), make(chan error, 1)
	app, err := framework.New(framework.Config{
		Stdout: io.Discard,
		Policy: framework.PolicyText("tls.toml", fmt.Sprintf(`
version = 1
[server]
listen = "127.0.0.1:0"
tls = { cert = %q, key = %q }
[[routes]]
path = "/"
handler = "test"
[[routes]]
path = "/wait"
handler = "test.wait"
`, cert, key)),
		Plugins: []framework.Plugin{plugin("test", framework.Handlers{
			"test": text("hello"),
			"test.wait": func(ctx context.Context, _ *framework.Request) (*framework.Response, error) {
				close(entered)
				<-ctx.Done()
				left <- context.Cause(ctx)
				return nil, context.Cause(ctx)
			},
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := app.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, l) }()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	// Several requests on one connection: the watch of the first must leave the others alone.
	for range 3 {
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil || !strings.HasSuffix(string(buf[:n]), "hello") {
			t.Fatalf("%v: %s", err, buf[:n])
		}
	}
	if _, err := conn.Write([]byte("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-entered
	if err := conn.Close(); err != nil { // which sends a last TLS record before it hangs up
		t.Fatal(err)
	}
	select {
	case cause := <-left:
		if cause != framework.ErrClientGone { //nolint:errorlint // the cause itself is promised
			t.Errorf("the cause is %v", cause)
		}
	case <-time.After(10 * time.Second):
		t.Error("the handler's context did not end")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
