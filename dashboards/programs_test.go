package dashboards_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest"
)

// build builds the program that is shipped.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chatbot")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../apps/chatbot").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}

// program is one that runs for a test, at an address that it keeps when it is started again. It is killed in the end.
type program struct {
	t       *testing.T
	address string
	ready   string // path that is answered once it serves
	args    []string
	cmd     *exec.Cmd
	deaf    atomic.Bool // nobody reads what it says on its standard output
}

func run(t *testing.T, address, ready string, args ...string) *program {
	t.Helper()
	p := &program{t: t, address: address, ready: ready, args: args}
	t.Cleanup(p.kill)
	p.start()
	return p
}

func (p *program) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.args[0], append(p.args[1:], "--listen", p.address)...)
	said := &strings.Builder{}
	p.cmd.Stderr = said
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go p.listen(out)
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if res, err := http.Get("http://" + p.address + p.ready); err == nil {
			res.Body.Close()
			return
		}
		if time.Now().After(end) {
			p.kill()
			p.t.Fatalf("%v does not serve:\n%s", p.args, said)
		}
	}
}

// listen reads what the program says, but while it is deaf.
func (p *program) listen(out io.Reader) {
	for b := make([]byte, 1<<16); ; {
		for p.deaf.Load() {
			time.Sleep(10 * time.Millisecond)
		}
		if _, err := out.Read(b); err != nil {
			return
		}
	}
}

// kill ends the program as a power cut would.
func (p *program) kill() {
	p.deaf.Store(false)
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it says that it was killed
}

// instance is the shop with a policy file of its own.
type instance struct {
	*program
	file string
}

func serve(t *testing.T, chatbot, address, policy string) *instance {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.toml")
	write(t, file, policy)
	return &instance{run(t, address, "/metrics", chatbot, "serve", "--policy", file), file}
}

// load has the shop load another policy.
func (i *instance) load(policy string) {
	i.t.Helper()
	write(i.t, i.file, policy)
	if err := i.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		i.t.Fatal(err)
	}
}

// receiver is a server of the test, at an address that it keeps when it is started again.
type receiver struct {
	t       *testing.T
	address string
	handler http.HandlerFunc
	server  *http.Server
}

func receive(t *testing.T, handler http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{t: t, address: frameworktest.FreeAddress(t), handler: handler}
	t.Cleanup(r.stop)
	r.start()
	return r
}

func (r *receiver) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = &http.Server{Handler: r.handler, ReadHeaderTimeout: patience}
	go func() { _ = r.server.Serve(l) }() // it says that it was closed
}

func (r *receiver) stop() { _ = r.server.Close() }

// certificate is a certificate in a file, beside its key.
type certificate struct {
	t   *testing.T
	dir string
	key *ecdsa.PrivateKey
}

func certify(t *testing.T) *certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{t: t, dir: t.TempDir(), key: key}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c.write("key.pem", "PRIVATE KEY", pkcs8)
	c.renew(90)
	return c
}

// renew writes the certificate anew, for some days.
func (c *certificate) renew(days int) {
	c.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(days)), NotAfter: time.Now().AddDate(0, 0, days), DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &c.key.PublicKey, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("cert.pem", "CERTIFICATE", der)
}

func (c *certificate) write(name, kind string, der []byte) {
	c.t.Helper()
	write(c.t, filepath.Join(c.dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// put gives the mock of a model its faults.
func put(t *testing.T, address, faults string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/faults", bytes.NewBufferString(faults))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		t.Fatalf("faults %s: %d", faults, res.StatusCode)
	}
}
