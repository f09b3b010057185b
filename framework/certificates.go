package framework

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/innatural/chatbot/framework/internal/filewatch"
	"github.com/innatural/chatbot/framework/policy"
)

// certificate is what a listener shows of itself, and whom it lets in, read from files and read again when they change. A handshake takes
// what was read last; connections that are open stay as they are.
type certificate struct {
	files policy.AdminTLS
	read  atomic.Pointer[pair]
}

// pair is a certificate's files, as they were when they were read.
type pair struct {
	config *tls.Config
	sum    [sha256.Size]byte
	ends   time.Time
}

// newCertificate reads a certificate's files. Without any it returns nil: its listener has no TLS.
func newCertificate(files policy.AdminTLS) (*certificate, error) {
	if files.Cert == "" {
		return nil, nil
	}
	p, err := readPair(files)
	if err != nil {
		return nil, err
	}
	c := &certificate{files: files}
	c.read.Store(p)
	return c, nil
}

func readPair(files policy.AdminTLS) (*pair, error) {
	var texts [][]byte
	for _, file := range []string{files.Cert, files.Key, files.ClientCA} {
		var text []byte
		if file != "" {
			var err error
			if text, err = os.ReadFile(filepath.Clean(file)); err != nil {
				return nil, fmt.Errorf("load certificate: %w", err)
			}
		}
		texts = append(texts, text)
	}
	cert, err := tls.X509KeyPair(texts[0], texts[1])
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w", files.Cert, files.Key, err)
	}
	p := &pair{
		config: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		sum:    sha256.Sum256(bytes.Join(texts, []byte{0})),
		ends:   cert.Leaf.NotAfter,
	}
	if files.ClientCA != "" {
		p.config.ClientAuth, p.config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		p.config.SessionTicketsDisabled = true // with a ticket, a client would come in whose authority is not trusted any more
		if !p.config.ClientCAs.AppendCertsFromPEM(texts[2]) {
			return nil, fmt.Errorf("load authorities: there is no certificate in %s", files.ClientCA)
		}
	}
	return p, nil
}

// listener returns a listener with the certificate before its connections.
func (c *certificate) listener(l net.Listener) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.read.Load().config, nil },
	})
}

// asksClients says whether clients have to show a certificate of their own.
func (c *certificate) asksClients() bool { return c != nil && c.files.ClientCA != "" }

// certificates returns those of the app's listeners that have one.
func (a *App) certificates() []*certificate {
	var all []*certificate
	for _, c := range []*certificate{a.certificate, a.adminCertificate} {
		if c != nil {
			all = append(all, c)
		}
	}
	return all
}

// renewCertificates reads all certificates again, and shows those that changed once all could be read. a.reloading is held.
func (a *App) renewCertificates() error {
	var errs []error
	all := a.certificates()
	pairs := make([]*pair, len(all))
	for i, c := range all {
		var err error
		if pairs[i], err = readPair(c.files); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, c := range all {
		if c.read.Load().sum != pairs[i].sum {
			c.read.Store(pairs[i])
			a.Log().Info("Certificate renewed", "cert", c.files.Cert, "until", pairs[i].ends)
		}
	}
	return nil
}

// watchCertificates returns what renews certificates when their files change, until its context ends.
func (a *App) watchCertificates() (func(context.Context), error) {
	var files []string
	for _, c := range a.certificates() {
		files = append(files, c.files.Cert, c.files.Key)
		if c.files.ClientCA != "" {
			files = append(files, c.files.ClientCA)
		}
	}
	if len(files) == 0 {
		return func(context.Context) {}, nil
	}
	w, err := filewatch.New(files...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) {
		w.Run(ctx, func() {
			a.reloading.Lock()
			defer a.reloading.Unlock()
			if err := a.renewCertificates(); err != nil {
				a.Log().Error("Certificate not renewed, the old one goes on", "error", err)
			}
		})
	}, nil
}
