package proxy

import (
	"net/http"
	"strings"

	"github.com/innatural/chatbot/framework"
)

// hopByHop are the fields that concern one connection (RFC 9110, section 7.6.1) or one proxy (section 11.7).
var hopByHop = [...]string{ //nolint:gochecknoglobals // a constant
	"Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// forwarded are the fields that tell where a request came from, which a client must not invent.
var forwarded = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"}

// pseudonym names this server in Via (RFC 9110, section 7.6.3).
const pseudonym = "innatural"

// requestHeader returns the header that targets get.
func (p *proxy) requestHeader(req *framework.Request, u *upstream) (http.Header, error) {
	h := http.Header{}
	for name, value := range req.Headers() {
		if !isToken(name) {
			return nil, framework.BadRequest("the request has a header field whose name is not one")
		}
		h.Add(name, value)
	}
	protocol := upgradeOf(h)
	removeHopByHop(h)
	for _, name := range []string{"Host", "Content-Length", "Expect"} { // net/http's, or answered here
		h.Del(name)
	}
	if !p.options.TrustForwarded {
		for _, name := range forwarded {
			h.Del(name)
		}
	}
	from := req.Client()
	if p.options.TrustForwarded {
		from = req.Peer() // the client is named already
	}
	if from.IsValid() {
		h.Set("X-Forwarded-For", strings.Join(append(h.Values("X-Forwarded-For"), from.String()), ", "))
		setAbsent(h, "X-Forwarded-Host", req.Host())
		setAbsent(h, "X-Forwarded-Proto", map[bool]string{false: "http", true: "https"}[req.Secure()])
	}
	h.Set("Via", strings.Join(append(h.Values("Via"), "1.1 "+pseudonym), ", "))
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // or net/http sends its own
	}
	if protocol != "" {
		h.Set("Connection", "Upgrade")
		h.Set("Upgrade", protocol)
	}
	u.Request.apply(h)
	return h, nil
}

// responseHeader makes the header of an answer that of this server's.
func (u *upstream) responseHeader(h http.Header) {
	removeHopByHop(h)
	u.Response.apply(h)
}

func (f Fields) apply(h http.Header) {
	for _, name := range f.Remove {
		h.Del(name)
	}
	for name, value := range f.Set {
		h.Set(name, value)
	}
}

// removeHopByHop takes away what concerns the connection alone, and what it says does.
func removeHopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// upgradeOf returns the protocol that a message wants to change to, or "".
func upgradeOf(h http.Header) string {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(name), "Upgrade") {
				return strings.Join(h.Values("Upgrade"), ", ")
			}
		}
	}
	return ""
}

func setAbsent(h http.Header, name, value string) {
	if value != "" && h.Get(name) == "" {
		h.Set(name, value)
	}
}

// isToken says whether a text is a token (RFC 9110, section 5.6.2), as the name of a field is.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}
