// Package widget serves the shop's chat page, one file of HTML, CSS and JavaScript that asks nothing of any other server, and
// the script that puts it on other pages. The page's Content-Security-Policy allows exactly its script and its style, by their
// hashes, and no HTML made of text.
package widget

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/policy"
)

//go:embed page
var page embed.FS

//go:embed embed.js
var script []byte

// Options are the plugin's options.
type Options struct {
	Title        string   `toml:"title" doc:"Name of the shop, in the header of the page and on its tab." check:"nonempty"`
	Language     string   `toml:"language" doc:"Language for a browser that prefers none of the page's own." check:"oneof=fr|en|ar"`
	EmbedOrigins []string `toml:"embed_origins" doc:"Origins of pages that may show the chat, such as https://www.shop.example; self is its own. Empty refuses every frame."`
	ImageOrigins []string `toml:"image_origins" doc:"Origins, beside its own, of the pictures of products, such as https://cdn.shop.example."`
}

// origin is what a source list of a Content-Security-Policy may name here. Nothing that it matches can end the directive.
var origin = regexp.MustCompile(`^https?://(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$`)

// self is this page's own origin among those that may show it.
const self = "self"

// Validate implements policy.Validator.
func (o Options) Validate() error {
	check := func(key string, origins []string) error {
		for _, s := range origins {
			if !origin.MatchString(s) {
				return &policy.OptionError{Key: key, Err: fmt.Errorf("%q is not an origin such as https://www.shop.example", s)}
			}
		}
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(o.EmbedOrigins), func(s string) bool { return s == self })
	if err := check("embed_origins", others); err != nil {
		return err
	}
	return check("image_origins", o.ImageOrigins)
}

// Plugin returns the plugin.
func Plugin() framework.Plugin {
	return framework.NewPlugin(framework.Info{
		Name: "widget",
		Doc:  "Serves the chat page of the shop, and the script that puts it on other pages.",
		Handlers: []framework.HandlerInfo{
			{Name: "widget", Doc: "The chat page: French, English and Arabic, in one file."},
			{Name: "widget.script", Doc: "The script that puts the chat on any page; its route stands beside the page's."},
		},
	}, Options{Title: "INnatural", Language: "fr", EmbedOrigins: []string{self}}, build)
}

func build(h *framework.Host, o Options) (framework.Handlers, error) {
	html, err := render(o)
	if err != nil {
		return nil, err
	}
	h.AnswersFrom(html)
	h.AnswersFrom(script)
	return framework.Handlers{
		"widget":        answer(html, headers(o, html)),
		"widget.script": answer(script, http.Header{"Content-Type": {"text/javascript; charset=utf-8"}}),
	}, nil
}

func answer(body []byte, header http.Header) framework.Handler {
	return func(context.Context, *framework.Request) (*framework.Response, error) {
		return &framework.Response{Header: header.Clone(), Body: body}, nil
	}
}

func render(o Options) ([]byte, error) {
	t, err := template.ParseFS(page, "page/*")
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var html bytes.Buffer
	if err := t.ExecuteTemplate(&html, "page.html", o); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return html.Bytes(), nil
}

func headers(o Options, page []byte) http.Header {
	ancestors := slices.Clone(o.EmbedOrigins)
	for i, s := range ancestors {
		if s == self {
			ancestors[i] = "'self'"
		}
	}
	if len(ancestors) == 0 {
		ancestors = []string{"'none'"}
	}
	h := http.Header{
		"Content-Type":    {"text/html; charset=utf-8"},
		"Referrer-Policy": {"strict-origin-when-cross-origin"},
		"Content-Security-Policy": {strings.Join([]string{
			"default-src 'none'",
			"script-src " + hash(page, "script"),
			"style-src " + hash(page, "style"),
			strings.Join(append([]string{"img-src 'self' data:"}, o.ImageOrigins...), " "),
			"connect-src 'self'",
			"base-uri 'none'",
			"form-action 'none'",
			"frame-ancestors " + strings.Join(ancestors, " "),
			"require-trusted-types-for 'script'", // a text that would become HTML or code is an error, not a hole
			"trusted-types 'none'",
		}, "; ")},
	}
	// X-Frame-Options can say no more than this; where it can't say what frame-ancestors says, it is left out.
	switch {
	case len(o.EmbedOrigins) == 0:
		h.Set("X-Frame-Options", "DENY")
	case !slices.ContainsFunc(o.EmbedOrigins, func(s string) bool { return s != self }):
		h.Set("X-Frame-Options", "SAMEORIGIN")
	}
	return h
}

// hash returns the source expression that allows the page's one inline element of a kind (CSP level 3, section 2.3.1).
func hash(page []byte, element string) string {
	_, rest, _ := bytes.Cut(page, []byte("<"+element+">"))
	content, _, _ := bytes.Cut(rest, []byte("</"+element+">"))
	sum := sha256.Sum256(content)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
