//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/gzip"
)

// target is the path and the query of the answer that is measured.
const target = "/api/products/search?q=huile&limit=10"

// field is a header field.
type field struct{ Name, Value string }

// answer is what a server sends.
type answer struct {
	Status      int
	ContentType string
	Encoding    string
	Header      []field // beside those of the content and the connection
	Body        []byte  // as it was sent
	Plain       []byte  // decoded
}

// request returns the bytes of a request as a browser's connection would repeat them.
func request(address string, fields ...field) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", target, address)
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s\r\n", f.Name, f.Value)
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// ask sends the bytes of a request once.
func ask(ctx context.Context, address string, req []byte) (answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return answer{}, err
	}
	if _, err := conn.Write(req); err != nil {
		return answer{}, err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	defer res.Body.Close()
	a := answer{Status: res.StatusCode, ContentType: res.Header.Get("Content-Type"), Encoding: res.Header.Get("Content-Encoding")}
	if a.Body, err = io.ReadAll(res.Body); err != nil {
		return answer{}, fmt.Errorf("read answer: %w", err)
	}
	for name, values := range res.Header {
		switch name {
		case "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Server":
			continue
		}
		for _, value := range values {
			a.Header = append(a.Header, field{name, value})
		}
	}
	slices.SortFunc(a.Header, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	a.Plain = a.Body
	if a.Encoding == "gzip" {
		unzip, err := gzip.NewReader(bytes.NewReader(a.Body))
		if err != nil {
			return answer{}, fmt.Errorf("decode answer: %w", err)
		}
		if a.Plain, err = io.ReadAll(unzip); err != nil {
			return answer{}, fmt.Errorf("decode answer: %w", err)
		}
	}
	return a, nil
}

// get returns the value of a field.
func (a answer) get(name string) string {
	i := slices.IndexFunc(a.Header, func(f field) bool { return strings.EqualFold(f.Name, name) })
	if i < 0 {
		return ""
	}
	return a.Header[i].Value
}

// String says what came: 200 gzip 2501.
func (a answer) String() string {
	encoding := a.Encoding
	if encoding == "" {
		encoding = "identity"
	}
	return fmt.Sprintf("%d %s %d", a.Status, encoding, len(a.Body))
}

// same says why another answer can't be compared with this one. With exact, it must have been sent in the same bytes.
func (a answer) same(other answer, exact bool) error {
	switch {
	case a.Status != other.Status || a.Encoding != other.Encoding:
		return fmt.Errorf("answers %v, not %v", other, a)
	case !bytes.Equal(a.Plain, other.Plain), exact && !bytes.Equal(a.Body, other.Body):
		return errors.New("answers other content")
	}
	return nil
}

// write puts an answer where another process reads it.
func (a answer) write(file string) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// serveFiber is the bare Fiber peer: a handler that sends an answer, given as a file, with its header fields.
func serveFiber(args []string) error {
	if len(args) != 2 {
		return errors.New(roleFiber + " needs a file and an address")
	}
	var a answer
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	fields := append(a.Header, field{"Content-Type", a.ContentType})
	if a.Encoding != "" {
		fields = append(fields, field{"Content-Encoding", a.Encoding})
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/*", func(c *fiber.Ctx) error {
		for _, f := range fields {
			c.Set(f.Name, f.Value)
		}
		return c.Send(a.Body)
	})
	return app.Listen(args[1])
}
