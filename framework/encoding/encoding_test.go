package encoding_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/innatural/chatbot/framework/encoding"
)

// products returns about 10 KB of JSON of the shop's kind, each product another one.
func products(t testing.TB) []byte {
	t.Helper()
	type product struct {
		ID          string   `json:"id"`
		Collection  string   `json:"collection"`
		Name        string   `json:"name"`
		Price       float64  `json:"price"`
		Currency    string   `json:"currency"`
		Size        string   `json:"size"`
		Image       string   `json:"image"`
		Concerns    []string `json:"concerns"`
		Ingredients []string `json:"ingredients"`
		Description string   `json:"description"`
		InStock     bool     `json:"inStock"`
	}
	kinds := []string{"Shampoing", "Masque", "Huile", "Sérum", "Crème", "Gommage"}
	plants := []string{"argan", "ricin", "nigelle", "aloe vera", "rose", "lavande", "karité"}
	concerns := []string{"dry", "frizz", "hair-loss", "dandruff", "sensitive", "dull"}
	var list []product
	for i := range 24 {
		kind, plant := kinds[i%len(kinds)], plants[i*5%len(plants)]
		list = append(list, product{
			ID: fmt.Sprintf("inn-%04d", 1000+i*37), Collection: plant + "-collection", Name: kind + " à l'" + plant,
			Price: float64(4900+i*731%9000) / 100, Currency: "MAD", Size: fmt.Sprintf("%d ml", 50+i%5*50),
			Image:    fmt.Sprintf("/images/products/inn-%04d.webp", 1000+i*37),
			Concerns: []string{concerns[i%6], concerns[(i+2)%6]}, Ingredients: []string{plant, plants[(i+3)%7], "glycérine"},
			Description: fmt.Sprintf("%s naturel enrichi en %s, pour les cheveux %s : %d %% d'ingrédients d'origine naturelle.",
				kind, plant, concerns[i%6], 90+i%10),
			InStock: i%7 != 0,
		})
	}
	body, err := json.Marshal(map[string]any{"success": true, "products": list, "language": "fr"})
	if err != nil {
		t.Fatal(err)
	}
	if len(body) < 8<<10 || len(body) > 14<<10 {
		t.Fatalf("the sample has %d bytes", len(body))
	}
	return body
}

// decode reads a coding with a decoder of another library where there is one.
func decode(t testing.TB, coding string, body []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	switch coding {
	case encoding.Gzip:
		r, err = stdgzip.NewReader(bytes.NewReader(body))
	case encoding.Brotli:
		r = brotli.NewReader(bytes.NewReader(body))
	case encoding.Zstd:
		// RFC 9659, section 3: a decoder need not have more than 8 MB.
		var d *zstd.Decoder
		d, err = zstd.NewReader(bytes.NewReader(body), zstd.WithDecoderMaxWindow(8<<20))
		if err == nil {
			defer d.Close()
		}
		r = d
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", coding, err)
	}
	return plain
}

func newEncoder(t testing.TB, level int) *encoding.Encoder {
	t.Helper()
	e, err := encoding.New(level, 1<<10, serverOrder)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEveryLevelRoundTrips(t *testing.T) {
	body := products(t)
	large := bytes.Repeat(body, 2000) // beyond every window
	for level := 1; level <= encoding.Best; level++ {
		e := newEncoder(t, level)
		for _, coding := range serverOrder {
			got, ok := e.Encode(coding, body)
			if !ok || !bytes.Equal(decode(t, coding, got), body) {
				t.Errorf("level %d: %s does not come back", level, coding)
			}
			if share := float64(len(got)) / float64(len(body)); share > 0.30 {
				t.Errorf("level %d: %s leaves %.1f %% of JSON, more than 30 %%", level, coding, 100*share)
			}
		}
		if level%3 == 0 {
			got, ok := e.Encode(encoding.Zstd, large)
			if !ok || !bytes.Equal(decode(t, encoding.Zstd, got), large) {
				t.Errorf("level %d: a large body does not come back", level)
			}
		}
	}
}

func FuzzRoundTrip(f *testing.F) {
	e, err := encoding.New(6, 0, serverOrder)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("a"), uint16(1))
	f.Add([]byte(`{"id":"inn-1000","price":49.9},`), uint16(500))
	f.Add([]byte("\x00\xff\xfe"), uint16(40000))
	f.Fuzz(func(t *testing.T, piece []byte, times uint16) {
		body := bytes.Repeat(piece, int(times)%(1+1<<20/(1+len(piece))))
		for _, coding := range serverOrder {
			if got, ok := e.Encode(coding, body); ok && (len(got) >= len(body) || !bytes.Equal(decode(t, coding, got), body)) {
				t.Errorf("%s does not come back smaller", coding)
			}
		}
	})
}

func TestWhatDoesNotShrinkIsDropped(t *testing.T) {
	noise := make([]byte, 4<<10)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	e := newEncoder(t, 6)
	for _, coding := range serverOrder {
		for _, body := range [][]byte{noise, []byte("x"), nil} {
			if got, ok := e.Encode(coding, body); ok || got != nil {
				t.Errorf("%s: %d bytes became %d", coding, len(body), len(got))
			}
		}
	}
	if _, ok := e.Encode("deflate", products(t)); ok {
		t.Error("encoded in a coding that is not offered")
	}
}

func TestEncodersAreShared(t *testing.T) {
	e := newEncoder(t, 6)
	body := products(t)
	var wait sync.WaitGroup
	for i := range 32 {
		wait.Go(func() {
			own := append(bytes.Clone(body), fmt.Sprint("request ", i)...)
			for _, coding := range serverOrder {
				got, ok := e.Encode(coding, own)
				if !ok || !bytes.Equal(decode(t, coding, got), own) {
					t.Errorf("%s: another body came back", coding)
				}
			}
		})
	}
	wait.Wait()
}

func TestNewChecksItsArguments(t *testing.T) {
	for _, level := range []int{0, encoding.Best + 1, -1} {
		if _, err := encoding.New(level, 0, nil); err == nil {
			t.Errorf("level %d was taken", level)
		}
	}
	if _, err := encoding.New(6, 0, []string{"deflate"}); err == nil {
		t.Error("an unknown coding was taken")
	}
}

func BenchmarkEncode(b *testing.B) {
	body := products(b)
	for _, coding := range serverOrder {
		b.Run(coding, func(b *testing.B) {
			e := newEncoder(b, 6)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			var got []byte
			for b.Loop() {
				got, _ = e.Encode(coding, body)
			}
			b.ReportMetric(float64(len(got))/float64(len(body)), "share")
		})
	}
}

func TestBestIsSmaller(t *testing.T) {
	body := products(t)
	usual, best := newEncoder(t, 6), newEncoder(t, encoding.Best)
	for _, coding := range serverOrder {
		before, _ := usual.Encode(coding, body)
		after, ok := best.Encode(coding, body)
		if !ok || len(after) >= len(before) {
			t.Errorf("%s: %d bytes, at the best level %d", coding, len(before), len(after))
		}
	}
}
