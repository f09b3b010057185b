package compare_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/innatural/chatbot/apps/bench/internal/compare"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// simulated is a server whose service times are drawn: lognormal, as those of a real one nearly are, with a machine that drifts from pair
// to pair and trembles from block to block.
type simulated struct {
	random   *rand.Rand
	requests int     // in a block
	sigma    float64 // of a request's time, as a logarithm
	drift    float64 // of a pair's, which both servers share
	tremble  float64 // of a block's
}

// runs returns a run of a base and one of a candidate whose times are so many times longer.
func (m simulated) runs(t *testing.T, blocks int, slower float64) (base, cand *result.Document) {
	t.Helper()
	b, c := &result.Series{Name: "GET /"}, &result.Series{Name: "GET /"}
	for pair := range blocks {
		machine := m.drift * m.random.NormFloat64()
		m.block(b, pair, machine)
		m.block(c, pair, machine+math.Log(slower))
	}
	return document(t, b), document(t, c)
}

func (m simulated) block(s *result.Series, pair int, shift float64) {
	shift += m.tremble * m.random.NormFloat64()
	times, sum := make([]float64, m.requests), 0.0
	for i := range times {
		times[i] = math.Exp(shift + m.sigma*m.random.NormFloat64())
		sum += times[i]
	}
	slices.Sort(times)
	avg := sum / float64(m.requests)
	at := func(q float64) *float64 { return &times[int(q*float64(m.requests-1))] }
	s.Blocks = append(s.Blocks, result.Block{
		DurationSeconds: 1, Count: int64(m.requests), Rate: float64(m.requests), Avg: &avg, Median: at(0.5), P95: at(0.95), P99: at(0.99), Pair: &pair,
	})
	s.Count += int64(m.requests)
	s.SuccessRate = 1
	s.Latency = &result.Summary{Avg: avg, Median: *at(0.5), P95: *at(0.95), P99: *at(0.99)}
}

func document(t *testing.T, series ...*result.Series) *result.Document {
	t.Helper()
	d := &result.Document{
		SchemaVersion: result.Version, Kind: result.KindRun, Tool: result.Tool{Name: "bench"},
		Measured: &result.Measured{Validity: result.Validity{Valid: true}, Series: series},
	}
	if err := d.Run.Configure(map[string]string{"loop": "open"}); err != nil {
		t.Fatal(err)
	}
	return d
}

// noisy is a machine as a shared virtual one may be: times of one block spread by 25 %, those of a pair by 15 %, and those of a block by 2 %.
func noisy(seed uint64) simulated {
	return simulated{random: rand.New(rand.NewPCG(seed, 1)), requests: 200, sigma: 0.25, drift: 0.15, tremble: 0.02}
}

func verdictOf(t *testing.T, base, cand *result.Document) result.Verdict {
	t.Helper()
	c, err := compare.Runs(base, cand, compare.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Paired || !c.Interleaved {
		t.Fatal("pairs are not seen")
	}
	return c.Verdict
}

// Verdicts are true: of 200 comparisons of two equal servers at most one in twenty finds a difference, and of 50 with a median that is 5 %
// longer nine in ten find it.
func TestVerdictsAreTrue(t *testing.T) {
	wrong := 0
	for seed := range uint64(200) {
		base, cand := noisy(seed).runs(t, 20, 1)
		if v := verdictOf(t, base, cand); v == result.Regressed || v == result.Improved {
			wrong++
		}
	}
	found, fasterFound := 0, 0
	for seed := range uint64(50) {
		base, cand := noisy(1000+seed).runs(t, 20, 1.05)
		if verdictOf(t, base, cand) == result.Regressed {
			found++
		}
		if verdictOf(t, cand, base) == result.Improved {
			fasterFound++
		}
	}
	t.Logf("%d of 200 comparisons of equal servers found a difference; of 50 with a median 5 %% longer %d regressed, the other way round %d improved", wrong, found, fasterFound)
	if wrong > 10 || found < 45 || fasterFound < 45 {
		t.Error("verdicts are not true")
	}
}

// Without pairs the drift of the machine hides the same change.
func TestPairsMatter(t *testing.T) {
	found := 0
	for seed := range uint64(50) {
		base, cand := noisy(2000+seed).runs(t, 20, 1.05)
		for i := range base.Series[0].Blocks {
			base.Series[0].Blocks[i].Pair = nil
		}
		c, err := compare.Runs(base, cand, compare.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if c.Interleaved || !slices.ContainsFunc(c.Warnings, func(w string) bool { return strings.HasPrefix(w, "not interleaved") }) {
			t.Fatalf("warnings %q", c.Warnings)
		}
		if c.Verdict == result.Regressed {
			found++
		}
	}
	if found > 25 {
		t.Errorf("%d of 50 found: the simulated machine does not drift", found)
	}
}

func TestVerdicts(t *testing.T) {
	calm := simulated{random: rand.New(rand.NewPCG(1, 1)), requests: 500, sigma: 0.1, tremble: 0.002}
	for want, slower := range map[result.Verdict]float64{result.Regressed: 1.2, result.Improved: 0.8, result.Equivalent: 1.01} {
		base, cand := calm.runs(t, 12, slower)
		c, err := compare.Runs(base, cand, compare.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if c.Verdict != want || c.Series[0].Verdict != want {
			t.Errorf("%v times slower: %s, want %s", slower, c.Verdict, want)
		}
		for _, ch := range c.Changes {
			if ch.Metric == "success_rate" {
				continue
			}
			if wanted := 100 * (slower - 1); math.Abs(ch.Change-wanted) > 2 || *ch.Low > ch.Change || *ch.High < ch.Change || *ch.PAdjusted < *ch.P {
				t.Errorf("%v times slower: %+v", slower, ch)
			}
		}
	}
	base, cand := noisy(1).runs(t, 8, 1)
	c, err := compare.Runs(base, cand, compare.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range c.Changes {
		if ch.Verdict == result.Inconclusive && ch.RoundsNeeded <= 8 && ch.RoundsNeeded != 0 {
			t.Errorf("%s is inconclusive after 8 rounds, and needs %d", ch.Metric, ch.RoundsNeeded)
		}
	}
}

func TestErrorsRegress(t *testing.T) {
	calm := simulated{random: rand.New(rand.NewPCG(1, 1)), requests: 500, sigma: 0.1, tremble: 0.002}
	base, cand := calm.runs(t, 12, 1)
	cand.Series[0].Errors.Total, cand.Series[0].SuccessRate = 60, 0.99
	if v := verdictOf(t, base, cand); v != result.Regressed {
		t.Errorf("one in a hundred failed: %s", v)
	}
	if v := verdictOf(t, cand, base); v != result.Improved {
		t.Errorf("none fails any more: %s", v)
	}
}

// Whoever was refused was not served, also where a file's success rate leaves that out, as one of k6 does; and however fast the others are.
func TestRefusalsRegress(t *testing.T) {
	calm := simulated{random: rand.New(rand.NewPCG(1, 1)), requests: 500, sigma: 0.1, tremble: 0.002}
	for _, c := range []struct {
		shed    int64
		success float64 // as the file says
		change  float64
	}{{5400, 1, -90}, {6000, 0, -100}} {
		base, cand := calm.runs(t, 12, 0.5)
		s := cand.Series[0]
		if s.Shed, s.SuccessRate = c.shed, c.success; s.Shed == s.Count {
			s.Latency = nil
		}
		made, err := compare.Runs(base, cand, compare.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		ch := made.Changes[len(made.Changes)-1]
		if made.Verdict != result.Regressed || ch.Metric != "success_rate" || ch.Verdict != result.Regressed || math.Abs(ch.Change-c.change) > 1e-9 {
			t.Errorf("%d of %d refused: %s, %+v", s.Shed, s.Count, made.Verdict, ch)
		}
	}
}

// Of a phase in which nobody asked, nothing is known.
func TestNobodyAsked(t *testing.T) {
	base := document(t, &result.Series{Name: "chat turn", Count: 100, Errors: result.Errors{Total: 50}})
	cand := document(t, &result.Series{Name: "chat turn"})
	c, err := compare.Runs(base, cand, compare.Options{Seed: 1})
	if err != nil || c.Verdict != result.Inconclusive || math.IsNaN(c.Changes[0].Change) {
		t.Errorf("%+v, %v", c, err)
	}
}

// The rate counts in a closed loop, where it is measured.
func TestRates(t *testing.T) {
	calm := simulated{random: rand.New(rand.NewPCG(1, 1)), requests: 500, sigma: 0.1, tremble: 0.002}
	base, cand := calm.runs(t, 12, 1)
	for i := range cand.Series[0].Blocks {
		cand.Series[0].Blocks[i].Rate *= 0.8
	}
	if v := verdictOf(t, base, cand); v != result.Equivalent {
		t.Errorf("open loop: %s", v)
	}
	for _, d := range []*result.Document{base, cand} {
		if err := d.Run.Configure(map[string]string{"loop": "closed"}); err != nil {
			t.Fatal(err)
		}
	}
	if v := verdictOf(t, base, cand); v != result.Regressed {
		t.Errorf("closed loop: %s", v)
	}
}

func TestNotComparable(t *testing.T) {
	calm := simulated{random: rand.New(rand.NewPCG(1, 1)), requests: 50, sigma: 0.1}
	for want, change := range map[string]func(d *result.Document){
		"configurations differ": func(d *result.Document) {
			if err := d.Run.Configure(map[string]int{"rate": 3}); err != nil {
				t.Fatal(err)
			}
		},
		"different machines": func(d *result.Document) { d.Host.CPUs = 64 },
		"is invalid":         func(d *result.Document) { d.Validity = result.Validity{Reasons: []string{"it was late"}} },
		"in common":          func(d *result.Document) { d.Series[0].Name = "else" },
		"not a run":          func(d *result.Document) { d.Kind = result.KindComparison },
	} {
		base, cand := calm.runs(t, 8, 1)
		change(cand)
		if _, err := compare.Runs(base, cand, compare.Options{}); !errors.Is(err, compare.ErrNotComparable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if c, err := compare.Runs(base, cand, compare.Options{Force: true}); err == nil && !strings.Contains(strings.Join(c.Warnings, "; "), want) {
			t.Errorf("forced: warnings %q, want %s", c.Warnings, want)
		}
	}
	base, cand := calm.runs(t, 3, 1)
	c, err := compare.Runs(base, cand, compare.Options{})
	if err != nil || c.Verdict != result.Inconclusive || !strings.Contains(strings.Join(c.Warnings, "; "), "too few") {
		t.Errorf("three blocks: %+v, %v", c, err)
	}
}
