package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/innatural/chatbot/framework"
)

// upgrade returns an answer that changes the protocol, and joins the two connections.
func (v *passage) upgrade(ctx context.Context, r *http.Response, out *framework.Response) (*framework.Response, error) {
	protocol := r.Header.Get("Upgrade")
	behind, ok := r.Body.(io.ReadWriteCloser)
	if !ok || protocol == "" {
		_ = r.Body.Close() // it is of no use
		v.end()
		return nil, v.target.broke(ctx, errors.New("changed the protocol to none"))
	}
	v.target.worked()
	v.target.count("answered")
	context.AfterFunc(ctx, func() { // also when the client has left before it could be told
		_ = behind.Close()
		v.end()
	})
	v.target.upstream.responseHeader(out.Header)
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", protocol)
	out.Upgrade = func(_ context.Context, client net.Conn) error {
		join(client, behind)
		return nil
	}
	return out, nil
}

// join passes bytes both ways until either side ends.
func join(client net.Conn, behind io.ReadWriteCloser) {
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // however it ends, it has ended
		ended <- struct{}{}
	}
	go pass(behind, client)
	go pass(client, behind)
	<-ended
	_ = behind.Close()
	_ = client.Close()
	<-ended
}
