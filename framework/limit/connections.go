package limit

import (
	"net/netip"
	"sync"
)

// Connections counts open connections, all and by client; an IPv6 client is its /64 network. It may be used concurrently. The zero
// value is ready.
type Connections struct {
	mu      sync.Mutex
	open    int
	clients map[[16]byte]int
}

// Open counts a connection, unless there are as many as most, or the client has as many as mostOfClient already; 0 is no limit of the
// latter. Each one that is counted is paired with one Close.
func (c *Connections) Open(client netip.Addr, most, mostOfClient int) (ok, clientHasMost bool) {
	who := subscriber(client)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == nil {
		c.clients = map[[16]byte]int{}
	}
	switch {
	case c.open >= most:
		return false, false
	case mostOfClient > 0 && c.clients[who] >= mostOfClient:
		return false, true
	}
	c.open++
	c.clients[who]++
	return true, false
}

// Close ends a connection that Open has counted.
func (c *Connections) Close(client netip.Addr) {
	who := subscriber(client)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.clients[who]--; c.clients[who] == 0 {
		delete(c.clients, who)
	}
}

// Count returns how many are open.
func (c *Connections) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}
