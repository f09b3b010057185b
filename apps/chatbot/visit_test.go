package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/innatural/chatbot/framework"
	"github.com/innatural/chatbot/framework/frameworktest"
	"github.com/innatural/chatbot/framework/frameworktest/browsertest"
	"github.com/innatural/chatbot/plugins"
	"github.com/innatural/chatbot/plugins/chat/modelmock"
	"github.com/innatural/chatbot/policies"
)

// startWithModel starts the whole shop, whose policy names a model.
func startWithModel(t *testing.T) (*modelmock.Server, *frameworktest.Server) {
	t.Helper()
	mock, err := modelmock.New(modelmock.Config{})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(mock)
	t.Cleanup(upstream.Close)
	policy := policies.Chatbot + "\n[plugins.chat.model.upstreams.mock]\nurl = \"" + upstream.URL + "/v1\"\nmodel = \"mock\"\n"
	return mock, frameworktest.StartWith(t, framework.PolicyText("chatbot.toml", policy), plugins.Standard()...)
}

// down is a model that refuses every request.
var down = modelmock.Fault{Kind: modelmock.Refused, Share: 1}

// A visit in each language: products, a ticket, the model down and back.
func TestAVisitWithAModel(t *testing.T) {
	for _, tt := range []struct {
		name           string
		device         browsertest.Device
		product, again string // questions that a model answers best
		degraded       string
		complaint      string
		order          string // number of the order, a turn later
		ticket         string // how a ticket is called
	}{
		{
			"fr",
			browsertest.Device{Width: 820, Height: 1000, Language: "fr"},
			"Quel shampooing pour cheveux secs ?", "Une crème pour peau sensible ?",
			"Réponse simplifiée",
			"Mon colis est arrivé abîmé, le flacon est cassé", "Ma commande est la 48213", "Demande",
		},
		{
			"en",
			browsertest.Device{Width: 1280, Height: 820, Dark: true, Language: "en"},
			"Which shampoo for dry hair?", "A cream for sensitive skin?",
			"Simplified answer",
			"My parcel arrived broken", "order 48213", "Request",
		},
		{
			"ar",
			browsertest.Device{Width: 360, Height: 740, Language: "ar"},
			"ما هو الشامبو المناسب للشعر الجاف؟", "كريم للبشرة الحساسة؟",
			"رد مبسّط",
			"وصل الطرد مكسورًا", "رقم الطلب 48213", "طلب رقم",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mock, s := startWithModel(t)
			p := browsertest.Open(t, tt.device)
			p.Go(s.URL)
			p.Wait(`document.querySelector(".message.shop .choices")`)
			if got := say(p, tt.product); got == "" || len(shown(p)) == 0 || p.Count(".note") != 0 {
				t.Errorf("answer: %q with %d products and %d notes", got, len(shown(p)), p.Count(".note"))
			}
			if mock.Stats().Requests == 0 {
				t.Error("the model was not asked")
			}

			asked := mock.Stats().Requests
			if say(p, tt.complaint); p.Count(".ticket") != 0 {
				t.Error("a ticket is opened for no order")
			}
			text, ticket := say(p, tt.order), strings.Join(strings.Fields(p.Text(answer+" .ticket")), " ")
			id := regexp.MustCompile(`SAV-[0-9A-Z]{6}`).FindString(ticket)
			if id == "" || !strings.HasPrefix(ticket, tt.ticket+" "+id) || !strings.Contains(text, id) {
				t.Errorf("the answer is %q, the ticket %q", text, ticket)
			}
			if mock.Stats().Requests != asked {
				t.Error("a ticket was left to the model")
			}
			p.Screenshot(screenshots, "visit-"+tt.name+"-ticket")
			looksRight(p)

			if err := mock.SetFaults(down); err != nil {
				t.Fatal(err)
			}
			if got := say(p, tt.again); got == "" || len(shown(p)) == 0 || p.Count(".notice") != 0 {
				t.Errorf("answer without a model: %q with %d products", got, len(shown(p)))
			}
			if got := p.Text(answer + " .note"); !strings.HasPrefix(got, tt.degraded) {
				t.Errorf("note: %q", got)
			}
			p.Wait(`[...document.querySelectorAll("` + answer + ` .card img")].some((i) => i.naturalWidth > 0)`)
			p.Screenshot(screenshots, "visit-"+tt.name+"-model-down")
			looksRight(p)

			if err := mock.SetFaults(); err != nil {
				t.Fatal(err)
			}
			if say(p, tt.product); p.Count(answer+" .note") != 0 {
				t.Error("the model is back and the answer is still simplified")
			}
			p.NoErrors()
		})
	}
}

// What is lost on the way is sent again and answered once: the model is asked once.
func TestAnAnswerThatIsLostOnTheWayIsGivenAgain(t *testing.T) {
	mock, s := startWithModel(t)
	shop, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	way := httputil.NewSingleHostReverseProxy(shop)
	var streams atomic.Int32
	way.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path != "/api/chat/stream" || streams.Add(1) > 1 {
			return nil
		}
		whole, err := io.ReadAll(r.Body)
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(whole[:len(whole)/3]), iotest.ErrReader(io.ErrUnexpectedEOF)), r.Body}
		return err
	}
	way.ErrorLog = log.New(io.Discard, "", 0)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil { // else it closes the request before the proxy has seen its end
			t.Error(err)
		}
		way.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	p := browsertest.Open(t, browsertest.Device{Width: 360, Height: 740})
	p.Go(proxy.URL)
	p.Wait(`document.querySelector(".message.shop .choices")`)
	if got := say(p, "Quel shampooing pour cheveux secs ?"); got == "" || len(shown(p)) == 0 {
		t.Errorf("answer: %q with %d products", got, len(shown(p)))
	}
	if p.Count(".message.user") != 1 || p.Count(".message.shop") != 2 || p.Count(".notice") != 0 {
		t.Error("the page shows the failure, too")
	}
	if n := streams.Load(); n != 2 {
		t.Errorf("%d streams", n)
	}
	if n := mock.Stats().Requests; n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
}
