package chatbot

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"go.k6.io/k6/v2/metrics"
)

// exported runs a script of a virtual user, and returns what it leaves in the variable got.
func exported[T any](t *testing.T, transport http.RoundTripper, samples chan metrics.SampleContainer, code string) T {
	t.Helper()
	rt := talker(t, transport)
	if samples != nil {
		rt.VU.StateField.Samples = samples
	}
	if _, err := rt.RunOnEventLoop(`
const bot = new Client({ baseURL: 'http://127.0.0.1:5000' });
const think = { dist: 'fixed', median: 0 };
let got;
(async () => {` + code + `})();`); err != nil {
		t.Fatal(err)
	}
	var got T
	value, err := rt.VU.RuntimeField.RunString("got")
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.VU.RuntimeField.ExportTo(value, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// A conversation goes on whatever onReply returns, unless it is false.
func TestOnlyFalseEndsAConversation(t *testing.T) {
	got := exported[[]int](t, answering{}, nil, `
  got = [];
  for (const value of [undefined, null, 0, '', NaN, Promise.resolve(0), true, false, Promise.resolve(false)]) {
    const c = bot.conversation({ turns: [2, 2], think });
    await c.run(() => value);
    got.push(c.turn);
  }`)
	if want := []int{2, 2, 2, 2, 2, 2, 2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("conversations had %v turns, want %v", got, want)
	}
}

// An option that is undefined is as good as none.
func TestUndefinedOptions(t *testing.T) {
	got := exported[int](t, answering{}, nil, `
  const c = bot.conversation({ prompts: undefined, turns: undefined, think, pacing: undefined, seed: undefined });
  await c.run();
  got = c.turn;`)
	if got < 3 || got > 5 {
		t.Errorf("the conversation had %d turns, want 3 to 5", got)
	}
}

// refusing is a transport to a server that isn't there.
type refusing struct{}

// RoundTrip implements http.RoundTripper.
func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }

// Where there is no answer, nobody says how many tokens it has.
func TestNoAnswerHasNoTokens(t *testing.T) {
	samples := make(chan metrics.SampleContainer, 100)
	got := exported[Usage](t, refusing{}, samples, `got = (await bot.conversation().send('Bonjour')).usage;`)
	if want := (Usage{-1, -1}); got != want {
		t.Errorf("its usage is %+v", got)
	}
	close(samples)
	for container := range samples {
		for _, s := range container.GetSamples() {
			if name := s.Metric.Name; name == "chat_input_tokens" || name == "chat_output_tokens" {
				t.Errorf("%s is %v", name, s.Value)
			}
		}
	}
}

// A search whose function fails ends, however many of its users are gone.
func TestSearchWithoutConversationsEnds(t *testing.T) {
	got := exported[string](t, answering{}, nil, `
  const search = new Search({ slo: { latency: '1s' }, start: 1000, step: '100ms' });
  const begin = [() => 5, () => { throw new Error('no'); }];
  for (let n = 0, ended = false; !ended; n++) {
    await search.run(begin[n % 2]).then(() => { ended = true; }, () => {});
  }
  got = search.result().reason;`)
	if got != "none" {
		t.Errorf("it ended because of %q", got)
	}
}
