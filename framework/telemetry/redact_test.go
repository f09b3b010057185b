package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextIsRedacted(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"write to jean.dupont+shop@example.co.uk please", "write to [redacted] please"},
		{"/search?q=jean%40example.fr&page=2", "/search?q=[redacted]&page=2"},
		{"écris à hélène@exemple.fr", "écris à [redacted]"},

		{"appelez le 06 12 34 56 78 ce soir", "appelez le [redacted] ce soir"},
		{"appelez le 06 12 34 56 78 75001 Paris", "appelez le [redacted] 75001 Paris"},
		{"0612345678", "[redacted]"},
		{"tel:01.23.45.67.89.", "tel:[redacted]."},
		{"01-23-45-67-89", "[redacted]"},
		{"0612 34 56 78", "[redacted]"},
		{"+33612345678", "[redacted]"},
		{"+33 6 12 34 56 78", "[redacted]"},
		{"+33 (0)6 12 34 56 78!", "[redacted]!"},
		{"0033612345678", "[redacted]"},
		{"0033 6 12 34 56 78", "[redacted]"},
		{"?phone=%2B33612345678&x=1", "?phone=[redacted]&x=1"},
		{"رقمي +212 612-345678 شكرا", "رقمي [redacted] شكرا"},
		{"call +1 (415) 555-2671", "call [redacted]"},

		{"FR76 3000 6000 0112 3456 7890 189", "[redacted]"},
		{"iban: fr7630006000011234567890189.", "iban: [redacted]."},
		{"DE89370400440532013000, merci", "[redacted], merci"},
		{"GB82 WEST 1234 5698 7654 32", "[redacted]"},

		{"ma carte 4111 1111 1111 1111 merci", "ma carte [redacted] merci"},
		{"4111-1111-1111-1111", "[redacted]"},
		{"5555555555554444", "[redacted]"},
		{"3782 822463 10005", "[redacted]"},

		{"n° 1 84 12 76 451 089 46", "n° [redacted]"},
		{"184127645108946", "[redacted]"},

		{"livrez au 12 bis, rue de la Paix, 75002 Paris", "livrez au [redacted]"},
		{"j'habite 5 avenue Victor Hugo", "j'habite [redacted]"},

		{"Authorization: Bearer abc.def", "Authorization: [redacted]"},
		{"Cookie: session=1; theme=dark", "Cookie: [redacted]"},
		{"sent Bearer abcdefgh12345678 to it", "sent [redacted] to it"},
		{`{"password":"a b c","user":"x"}`, `{"password":[redacted],"user":"x"}`},
		{"GET /?api_key=abc&token=def&x=1", "GET /?api_key=[redacted]&token=[redacted]&x=1"},
		{"{Name:shop APIKey:abc}", "{Name:shop APIKey:[redacted]}"},
		{"dial redis://user:pass@redis:6379/0: refused", "dial redis://[redacted]@redis:6379/0: refused"},
		{"key sk-abcdefghijklmnop1234 refused", "key [redacted] refused"},
		{"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_", "[redacted]"},

		{"del\x7f csi\u009b31m", "del\ufffd csi\ufffd31m"},
	} {
		if got := redactText(c.text); got != c.want {
			t.Errorf("%q\n got %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestTextIsKept(t *testing.T) {
	for _, text := range []string{
		"",
		"Slow endpoint detected",
		"/api/products/0612345678",
		"/orders/4111111111111111/items",
		"https://shop.example/2026/11/23/news?page=2#top",
		"550e8400-e29b-41d4-a716-446655440000",
		"12345678-1234-4321-8765-123456789012",
		"4bf92f3577b34da6a3ce929d0e0e4736",
		"00f067aa0ba902b7",
		"4111111111111111abcdef",
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"de89370400440532013001", // a hash that begins as an account of Germany
		"SAV-2026-0612345678",
		"cmd_0612345678",
		"0.123456789", "01.23456789012", "1.234567890123456ms", "1h30m0.5s", "12.345678901s", "250ms",
		"2026-11-23T15:29:18.123456789+01:00", "2026-11-23 15:29:18", "20261123152918", "1700000000000000000", "1700000000000000",
		"192.168.100.200:50123", "[2001:db8::1]:443", "10.0.0.1",
		"0123456789ab", "v1.2.3+20261123", "v0.0.0-20260213210345-44df1a37e875",
		"github.com/innatural/chatbot@v1.2.3", "user@localhost",
		"max_tokens: 12, tokens=400", "inputTokens:12", "basic authentication failed", "the secret is out",
		"1234567890123", "4111 1111 1111 1112", "00 11 22 33 44", "06 12 34 56",
		"184127645108947", // a social security number with a wrong key
		"3 routes, 12 quality checks", "in 12 quai",
		"شامبو للشعر الجاف", "crème à l'huile d'argan 250 ml à 19,90 €",
		"127.0.0.1:5000: bind: address already in use",
		"dial tcp 10.1.2.3:6379: connect: connection refused",
	} {
		if got := redactText(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	got := redactText(strings.Repeat("é", maxText))
	if len(got) > maxText+64 || !utf8.ValidString(got) || !strings.HasSuffix(got, "… (8192 bytes more)") {
		t.Errorf("%d bytes, ending %q", len(got), got[len(got)-32:])
	}
}

func TestSecretKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"password": true, "Authorization": true, "X-Api-Key": true, "api_key": true, "admin_token": true, "Set-Cookie": true,
		"client.secret": true, "accessToken": true, "proxy-authorization": true,
		"tokens": false, "tokens_used": false, "key": false, "path": false, "id": false, "secretary": false, "": false,
	} {
		if got := isSecretKey(key); got != want {
			t.Errorf("%q: %v, want %v", key, got, want)
		}
	}
}

func FuzzRedactText(f *testing.F) {
	for _, seed := range []string{
		"", "+", "+33 6 12 34 56 78", "%2B33612345678", "FR76 3000 6000 0112 3456 7890 189", "a@b.fr", "4111 1111 1111 1111",
		"12 rue de la Paix", "password=1", "://:@", "\xc2", "\xc2\x9b", "Cookie:\r\n", "06 12 34 56 78 06 12 34 56 78", "%2", "é12345678",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := redactText(text)
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q became %q, which is not UTF-8", text, got)
		}
		if got := redactText("mon numéro : 06 12 34 56 78, " + text); !strings.HasPrefix(got, "mon numéro : [redacted], ") {
			t.Errorf("a number is shown before %q: %q", text, got)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	for name, text := range map[string]string{
		"path": "/api/products/search", "id": "550e8400-e29b-41d4-a716-446655440000", "message": "Slow endpoint detected",
		"sentence": "Bonjour, mon numéro est le 06 12 34 56 78 et mon adresse jean@example.fr, merci",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				redactText(text)
			}
		})
	}
}
