//go:build linux

package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/innatural/chatbot/apps/bench/internal/process"
	"github.com/innatural/chatbot/apps/bench/internal/result"
)

// steady serves at an address. Its times have the median that the environment says, and a spread of 25 %, as a logarithm.
func steady(address string) {
	median, err := time.ParseDuration(os.Getenv("MEDIAN"))
	if err == nil {
		err = http.ListenAndServe(address, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			time.Sleep(time.Duration(float64(median) * math.Exp(0.25*rand.NormFloat64())))
		}))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// start starts such a server as a process of its own.
func start(b *testing.B, median time.Duration) (url string) {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	address, err := process.FreeAddress()
	if err != nil {
		b.Fatal(err)
	}
	p, err := process.Start(b.Context(), []string{"MEDIAN=" + median.String()}, address, self, address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Stop)
	return "http://" + address
}

// BenchmarkRealServers is how often bench ab finds that one of two real servers has a median that is 5 % longer, 21 ms and 20 ms,
// and how often it finds a difference between two equal ones. RUNS is how many of each are made, 5 by default, of 9 s each.
func BenchmarkRealServers(b *testing.B) {
	runs := 5
	if n, err := strconv.Atoi(os.Getenv("RUNS")); err == nil {
		runs = n
	}
	base, equal, slower := start(b, 20*time.Millisecond), start(b, 20*time.Millisecond), start(b, 21*time.Millisecond)
	for b.Loop() {
		for name, cand := range map[string]string{"slower": slower, "equal": equal} {
			verdicts := map[result.Verdict]int{}
			for n := range runs {
				file := filepath.Join(b.TempDir(), "ab.json")
				code, out, problems := benchUntil(
					b.Context(), "ab", "--base", base, "--cand", cand, "--endpoint", "/", "-c", "8", "--block", "200ms",
					"--settle", "20ms", "--seed", strconv.Itoa(n+1), "--json", file,
				)
				if code == exitFailed || code == exitNotComparable {
					b.Fatalf("exit %d\n%s%s", code, out, problems)
				}
				verdicts[read(b, file).Comparison.Verdict]++
			}
			b.Logf("%s: %v", name, verdicts)
			for _, v := range []result.Verdict{result.Regressed, result.Improved} {
				b.ReportMetric(float64(verdicts[v])/float64(runs), fmt.Sprintf("%s-%s", name, v))
			}
		}
		b.ReportMetric(0, "ns/op")
	}
}
