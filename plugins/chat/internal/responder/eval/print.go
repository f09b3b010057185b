package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/innatural/chatbot/plugins/internal/text"
)

// print writes the report: what is promised first, then what there is to learn from.
func (r *report) print(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
	p("Understanding, %d messages\n", len(r.answers))
	for _, l := range text.Languages {
		p("  topics, %s              %v", l, r.topics(l))
	}
	for _, l := range text.Languages {
		p("  intents, %s             %v", l, r.intents(l))
	}
	scores, f1 := r.scores()
	p("  intents, all            %v", r.intents(""))
	p("  macro-F1                %.3f", f1)
	recall, falsely := r.refused()
	p("  off topic, recall       %v", recall)
	p("  off topic, falsely      %v", falsely)
	p("  negation pairs          %v", r.negations())
	respected, _ := r.respected()
	p("  type and price kept     %v", respected)
	p("  slots of requests       %v", slotsRight(r.requests))
	turns := slices.Concat(r.dialogues...)
	p("  intents in dialogues    %v", intentsOf(turns))
	p("  slots in dialogues      %v", slotsRight(turns))
	p("  untraced facts          %d", len(r.untraced))
	p("  an answer takes         p50 %v, p99 %v, at most %v", r.quantile(0.5), r.quantile(0.99), r.quantile(1))
	p("\nIntents, the worst first: precision, recall, F1, messages, what they are taken for\n")
	for _, s := range scores {
		p("  %-20s %.2f  %.2f  %.2f  %3d  %s", s.intent, s.precision(), s.recall(), s.f1(), s.right+s.missed, r.confusions(s.intent))
	}
	p("\nConfidence: right and wrong answers\n")
	r.histogram(p)
	p("\nWorst errors: the surest of the wrong\n")
	r.worst(p)
}

// slotErrors writes which slots are wrong, the most frequent first.
func (r *report) slotErrors(p func(string, ...any)) {
	counts := map[string]int{}
	for _, o := range slices.Concat(r.requests, slices.Concat(r.pairs...), slices.Concat(r.dialogues...)) {
		for _, wrong := range o.wrongSlots {
			counts[o.language+" "+wrong]++
		}
	}
	p("\nWrong slots\n")
	for _, key := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return counts[b] - counts[a] }) {
		p("  %3d %s", counts[key], key)
	}
	p("")
}

// confusions returns what an intent is taken for, the most frequent first: a row of the confusion matrix without its zeros.
func (r *report) confusions(intent string) string {
	counts := map[string]int{}
	for _, o := range slices.Concat(r.single, r.offTopic) {
		if o.intent == intent && !o.intentOK() {
			counts[o.found]++
		}
	}
	var parts []string
	for name, n := range counts {
		parts = append(parts, fmt.Sprintf("%3d %s", n, name))
	}
	slices.SortFunc(parts, func(a, b string) int { return strings.Compare(b, a) })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, ", ")
}

func intentsOf(outcomes []outcome) (s share) {
	for _, o := range outcomes {
		s.whole++
		if o.intentOK() {
			s.part++
		}
	}
	return s
}

// histogram writes how sure the right and the wrong answers are.
func (r *report) histogram(p func(string, ...any)) {
	var right, wrong [10]int
	for _, o := range slices.Concat(r.single, r.offTopic) {
		at := min(9, int(o.answer.Intent.Confidence*10))
		if o.intentOK() {
			right[at]++
		} else {
			wrong[at]++
		}
	}
	for i := range right {
		p("  %.1f-%.1f  %4d %-40s %4d %s", float64(i)/10, float64(i+1)/10, right[i], bar(right[i]), wrong[i], bar(wrong[i]))
	}
}

// perMark is how many answers a mark of the histogram stands for.
const perMark = 10

func bar(n int) string { return strings.Repeat("=", min(40, (n+perMark-1)/perMark)) }

// mostWorst is how many errors of a kind are written.
const mostWorst = 25

// worst writes the errors that the responder is surest of, and what of slots is wrong.
func (r *report) worst(p func(string, ...any)) {
	var wrong []outcome
	for _, o := range slices.Concat(r.single, r.offTopic, slices.Concat(r.dialogues...)) {
		if !o.intentOK() {
			wrong = append(wrong, o)
		}
	}
	slices.SortStableFunc(wrong, func(a, b outcome) int {
		return int(1e6 * (b.answer.Intent.Confidence - a.answer.Intent.Confidence))
	})
	for _, o := range wrong[:min(mostWorst, len(wrong))] {
		p("  %.2f %s, not %s: %s", o.answer.Intent.Confidence, o.found, o.intent, o.text)
	}
	r.slotErrors(p)
	left := mostWorst
	for _, o := range slices.Concat(r.requests, slices.Concat(r.pairs...), slices.Concat(r.dialogues...)) {
		if len(o.wrongSlots) > 0 && left > 0 {
			left--
			p("  %s: %s", strings.Join(o.wrongSlots, ", "), o.text)
		}
	}
	for _, s := range r.untraced[:min(mostWorst, len(r.untraced))] {
		p("  untraced: %s", s)
	}
}
