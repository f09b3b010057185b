package chat

import (
	"sync"
	"time"

	"github.com/innatural/chatbot/framework"
)

// How often a silent stream is pinged: browsers and proxies close what is silent for long, and a customer who waits for the first
// token is to be known to be there.
const (
	pingWaiting  = 2 * time.Second
	pingSpeaking = 15 * time.Second
)

// pinged is a stream that is kept alive by comments while nothing else is written. Its methods may be called concurrently.
type pinged struct {
	mu    sync.Mutex
	w     *framework.Stream
	timer *time.Timer
	every time.Duration
	ended bool
}

// start sends comments from now on, until end.
func (p *pinged) start(every time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = every
	p.timer = time.AfterFunc(every, p.ping)
}

func (p *pinged) ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.w.Comment("ping") != nil { // whoever writes next finds out why
		return
	}
	p.timer.Reset(p.every)
}

// event sends an event, after which comments are rare.
func (p *pinged) event(v any) error {
	event, err := framework.EncodeEvent(v)
	if err != nil {
		return err
	}
	return p.send(event)
}

// send sends an event that is encoded already.
func (p *pinged) send(event []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil && !p.ended {
		p.every = pingSpeaking
		p.timer.Reset(p.every)
	}
	_, err := p.w.Write(event)
	return err
}

// end sends no more comments.
func (p *pinged) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}
