package e2e

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

const openScript = `
import { Client } from 'k6/x/chatbot';
const bot = new Client({ baseURL: __ENV.BASE_URL, stream: false });
export const options = {
  scenarios: { open: { %s, gracefulStop: '10s' } },
  summaryTrendStats: ['min', 'med', 'p(95)', 'p(99)', 'max', 'count'],
};
const talk = { turns: [%d, %[2]d], think: { dist: 'fixed', median: %d }, pacing: 'fixed' };
export default () => bot.conversation(talk).run();
`

// freezing answers at once, but for two seconds after the first two.
func freezing(_ int, since time.Duration) time.Duration {
	const from, until = 2 * time.Second, 4 * time.Second
	if since >= from && since < until {
		return until - since
	}
	return 2 * time.Millisecond
}

// conversations returns the turns that a server saw, by conversation, in the order in which conversations began.
func (s *timed) conversations() [][]served {
	sessions := map[string][]served{}
	for _, r := range s.served {
		sessions[r.session] = append(sessions[r.session], r)
	}
	var all [][]served
	for _, turns := range sessions {
		slices.SortFunc(turns, func(a, b served) int { return int(a.came - b.came) })
		all = append(all, turns)
	}
	slices.SortFunc(all, func(a, b []served) int { return int(a[0].came - b[0].came) })
	return all
}

// In an open model, conversation n is due when the rate has summed up to it, and its turns at fixed distances from then. A server
// that stops for two seconds has the later turns of each sent too late.
func TestLagInOpenModels(t *testing.T) {
	const turns, every = 3, 400 * time.Millisecond
	for name, c := range map[string]struct {
		executor string
		due      func(n int) time.Duration // conversation n, from 0
		n        int
	}{
		"constant": {
			`executor: 'constant-arrival-rate', rate: 20, duration: '6s', preAllocatedVUs: 80`,
			func(n int) time.Duration { return time.Duration(n) * 50 * time.Millisecond }, 120,
		},
		// From 0 to 30 a second in 6 s: 5 t²/2 have come after t.
		"ramping": {
			`executor: 'ramping-arrival-rate', startRate: 0, stages: [{ target: 30, duration: '6s' }], preAllocatedVUs: 80`,
			func(n int) time.Duration { return time.Duration(math.Sqrt(2*float64(n+1)/5) * float64(time.Second)) }, 90,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &timed{takes: freezing}
			f := measure(t, s, fmt.Sprintf(openScript, c.executor, turns, every.Milliseconds()))
			all := s.conversations()
			// The last are due just when k6 ends.
			left := f.Metrics["dropped_iterations"].Values["count"]
			if len(all) < c.n-5 || len(all) > c.n+1 || left > 0 {
				t.Fatalf("%d conversations came and %v were left out, %d are due", len(all), left, c.n)
			}
			// The server's clock starts with the first that came; the schedule's, when the most punctual one says.
			begin := time.Hour
			for n, sent := range all {
				begin = min(begin, sent[0].came-c.due(n))
			}
			var durations, lags, corrected []float64
			for n, sent := range all {
				if len(sent) != turns {
					t.Fatalf("conversation %d has %d turns", n, len(sent))
				}
				for k, r := range sent {
					lag := r.came - begin - c.due(n) - time.Duration(k)*every
					durations = append(durations, r.took.Seconds()*1000)
					lags = append(lags, lag.Seconds()*1000)
					corrected = append(corrected, (lag+r.took).Seconds()*1000)
				}
			}
			for metric, byHand := range map[string][]float64{
				"chat_duration": durations, "chat_schedule_lag": lags, "chat_duration_corrected": corrected,
			} {
				got := f.Metrics[metric].Values
				for name, q := range map[string]float64{"med": 0.5, "p(95)": 0.95, "p(99)": 0.99, "max": 1} {
					near(t, metric+" "+name, got[name], quantile(byHand, q), 2*noise())
				}
			}
			if lag := f.Metrics["chat_schedule_lag"].Values["max"]; lag < 1000 {
				t.Errorf("the longest lag is %.0f ms: the freeze does not show", lag)
			}
		})
	}
}

// Arrivals that k6 leaves out for want of a user are not late, and make none after them late.
func TestLeftOutIsNotLate(t *testing.T) {
	s := &timed{takes: freezing}
	const executor = `executor: 'constant-arrival-rate', rate: 50, duration: '6s', preAllocatedVUs: 5`
	f := measure(t, s, fmt.Sprintf(openScript, executor, 1, 0))
	if left := f.Metrics["dropped_iterations"].Values["count"]; left < 50 {
		t.Fatalf("k6 left out %v arrivals: the test shows nothing", left)
	}
	lag, corrected := f.Metrics["chat_schedule_lag"].Values, f.Metrics["chat_duration_corrected"].Values
	near(t, "lag P95", lag["p(95)"], 0, noise())
	near(t, "corrected, max", corrected["max"], f.Metrics["chat_duration"].Values["max"], noise())
}
