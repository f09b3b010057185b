package framework

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/innatural/chatbot/framework/policy"
)

// Who asks is at the other end of the connection, unless that is a proxy of ours: then it is whom the proxy names. Of the addresses
// that the proxies on the way have added, only those that a trusted one has added are believed, from the nearest to the first that is
// not a proxy of ours itself; what stands before it, the client may have written.

// trusted returns the networks of a policy's proxies, which it was checked to have.
func trusted(s *policy.Server) []netip.Prefix {
	networks := make([]netip.Prefix, len(s.TrustedProxies))
	for i, text := range s.TrustedProxies {
		networks[i], _ = policy.ParseNetwork(text)
	}
	return networks
}

// trusts says whether an address is that of a proxy of ours.
func (g *generation) trusts(address netip.Addr) bool {
	for _, network := range g.proxies {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// clientOf returns the client that a peer tells of, in the lines of the policy's header in their order.
func (g *generation) clientOf(peer netip.Addr, lines []string) netip.Addr {
	standard := g.policy.Server.ClientHeader == "Forwarded"
	client := peer
	for _, line := range slices.Backward(lines) {
		for rest := line; rest != "" && g.trusts(client); {
			var element string
			rest, element = lastElement(rest)
			if standard {
				element = forwardedFor(element)
			}
			next, ok := node(element)
			if !ok { // a proxy of ours does not tell who: it is the nearest that is known
				return client
			}
			client = next
		}
	}
	return client
}

// lastElement cuts the last element off a list (RFC 9110, section 5.6.1). Commas within quotes are none.
func lastElement(list string) (rest, element string) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case list[i] == ',' && !quoted:
			return list[:i], strings.Trim(list[i+1:], " \t")
		}
	}
	return "", strings.Trim(list, " \t")
}

// forwardedFor returns the value of the parameter for of an element of Forwarded (RFC 7239, section 4), unless it has two.
func forwardedFor(element string) (value string) {
	found := false
	for pair := range strings.SplitSeq(element, ";") {
		name, text, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		if !strings.EqualFold(name, "for") {
			continue
		}
		if found {
			return ""
		}
		found, value = true, text
	}
	if unquoted, ok := strings.CutPrefix(value, `"`); ok {
		value, _ = strings.CutSuffix(unquoted, `"`)
	}
	return value
}

// node reads an address with or without a port (RFC 7239, section 6); names that hide it are none.
func node(text string) (netip.Addr, bool) {
	if strings.HasPrefix(text, "[") {
		inside, port, ok := strings.Cut(text[1:], "]")
		if !ok || port != "" && port[0] != ':' {
			return netip.Addr{}, false
		}
		text = inside
	} else if host, _, ok := strings.Cut(text, ":"); ok && strings.Count(text, ":") == 1 {
		text = host
	}
	address, err := netip.ParseAddr(text)
	return address.Unmap().WithZone(""), err == nil
}

// peer returns the address at the other end of the connection.
func (x *exchange) peer() netip.Addr {
	address, _ := netip.AddrFromSlice(x.http.RemoteIP())
	return address.Unmap()
}

// client returns the address of the client.
func (x *exchange) client() netip.Addr {
	if x.addr.IsValid() {
		return x.addr
	}
	x.addr = x.peer()
	if g := x.route.gen; g.trusts(x.addr) {
		var lines []string
		for _, line := range x.http.Request.Header.PeekAll(g.policy.Server.ClientHeader) {
			lines = append(lines, string(line))
		}
		x.addr = g.clientOf(x.addr, lines)
	}
	return x.addr
}

// client returns the address of the client of a raw request that has come from a peer.
func (r *rawRequest) client(g *generation, peer netip.Addr) netip.Addr {
	if len(g.proxies) == 0 || !g.trusts(peer) {
		return peer
	}
	var lines []string
	for _, f := range r.fields {
		if strings.EqualFold(f.name, g.policy.Server.ClientHeader) {
			lines = append(lines, f.value)
		}
	}
	return g.clientOf(peer, lines)
}

// isLocal says whether the client is on this machine. What a proxy has forwarded is not, whoever it says that it came from: the proxy
// may only repeat what its client claims.
func (x *exchange) isLocal() bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", fasthttp.HeaderVia} {
		if len(x.http.Request.Header.Peek(name)) > 0 {
			return false
		}
	}
	return x.peer().IsLoopback()
}
