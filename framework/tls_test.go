package framework_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
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

// authority signs certificates for a test.
type authority struct {
	file  string // of its own certificate
	roots *x509.CertPool
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{roots: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "ca.pem")}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: t.Name()}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	var der []byte
	der, a.key = a.sign(t, &template)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(a.cert)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// sign returns a certificate, signed by the authority or, while it has none, by itself, and its key.
func (a *authority) sign(t *testing.T, template *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// issue writes a certificate for 127.0.0.1 with a serial number, for as many hours, and its key, over what the files hold.
func (a *authority) issue(t *testing.T, serial int64, cert, key string) {
	t.Helper()
	der, private := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Duration(serial) * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", pkcs8)
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pairFiles are where a test keeps a certificate and its key.
func pairFiles(t *testing.T) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	return filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := pairFiles(t)
	ca.issue(t, 2, cert, key)
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
	l, err := app.Listen(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Serve(ctx, l) }()
	conn, err := tls.Dial("tcp", l.Public.Addr().String(), &tls.Config{RootCAs: ca.roots, MinVersion: tls.VersionTLS12})
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
