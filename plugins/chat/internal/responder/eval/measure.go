package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/innatural/chatbot/plugins/chat/internal/desk"
	"github.com/innatural/chatbot/plugins/chat/internal/responder"
)

// outcome is one answer beside what it should be.
type outcome struct {
	utterance
	answer     responder.Answer
	found      string // intent, as intents.txt calls it
	wrongSlots []string
}

func (o *outcome) topicOK() bool  { return o.answer.Topic == o.topic }
func (o *outcome) intentOK() bool { return o.found == o.intent }

// report is what was measured.
type report struct {
	shop                       *testShop
	single, offTopic, requests []outcome
	pairs, dialogues           [][]outcome
	latencies                  []time.Duration // of each message, sorted
	answers                    []outcome       // all
	untraced                   []string
}

// share is a part of a whole.
type share struct{ part, whole int }

func (s share) percent() float64 {
	if s.whole == 0 {
		return 100
	}
	return 100 * float64(s.part) / float64(s.whole)
}

func (s share) String() string {
	return fmt.Sprintf("%5.1f %%  (%d of %d)", s.percent(), s.part, s.whole)
}

// measure answers a set.
func measure(s *testShop, u *utterances) *report {
	r := &report{shop: s}
	one := func(list []utterance, strict bool) []outcome {
		var out []outcome
		for _, x := range list {
			out = append(out, r.ask(s, u, x, responder.Turn{}, strict))
		}
		return out
	}
	r.single, r.offTopic, r.requests = one(u.single, false), one(u.offTopic, false), one(u.requests, true)
	for _, pair := range u.pairs {
		r.pairs = append(r.pairs, one(pair, false))
		for i, o := range r.pairs[len(r.pairs)-1] {
			r.pairs[len(r.pairs)-1][i].wrongSlots = append(o.wrongSlots, uninvited(o)...)
		}
	}
	for n, talk := range u.dialogues {
		r.dialogues = append(r.dialogues, r.talk(s, u, talk, n))
	}
	slices.Sort(r.latencies)
	r.untraced = untraced(s, r.answers)
	return r
}

// uninvited returns what is refused without having been.
func uninvited(o outcome) []string {
	found := slotsOf(o.answer.Slots)
	var wrong []string
	for _, key := range []string{"without", "not_type", "not_hair", "not_skin", "not_concern"} {
		for _, v := range found[key] {
			asked := slices.Contains(o.slots[key], v)
			if rest, ok := strings.CutPrefix(key, "not_"); ok {
				asked = holds(o.slots, "not_", rest, v)
			}
			if !asked {
				wrong = append(wrong, key+"="+v)
			}
		}
	}
	return wrong
}

// repetitions is how many times each message is answered: its fastest answer is what it costs, the rest is the machine's.
const repetitions = 5

// ask answers one message.
func (r *report) ask(s *testShop, u *utterances, x utterance, t responder.Turn, strict bool) outcome {
	t.Message, t.Language = x.text, x.language
	if t.Session == "" {
		t.Session = "eval"
	}
	var a responder.Answer
	fastest := time.Duration(math.MaxInt64)
	for range repetitions {
		began := time.Now()
		a = s.responder.Answer(t)
		fastest = min(fastest, time.Since(began))
	}
	r.latencies = append(r.latencies, fastest)
	name := a.Intent.Name
	if known, ok := u.covers[name]; ok {
		name = known
	}
	o := outcome{x, a, name, wrongSlots(x.slots, slotsOf(a.Slots), strict)}
	r.answers = append(r.answers, o)
	return o
}

// talk has a conversation.
func (r *report) talk(s *testShop, u *utterances, lines []utterance, n int) []outcome {
	var out []outcome
	t := responder.Turn{Session: "talk-" + strconv.Itoa(n)}
	opened := ""
	for _, line := range lines {
		shown := t.Before.Last
		o := r.ask(s, u, line, t, false)
		asked := o.answer.Desk
		for _, want := range line.slots["ticket"] {
			if want == "new" && (asked == nil || asked.Open == nil) || want == "last" && (asked == nil || asked.Find != opened) {
				o.wrongSlots = append(o.wrongSlots, "no ticket="+want)
			}
		}
		if asked != nil {
			opened = "SAV-0A0A0" + strconv.Itoa(t.Number)
			if asked.Open == nil {
				opened = asked.Find
			}
			t.Message, t.Language = line.text, line.language
			o.answer = s.responder.Desked(o.answer, t, &desk.Ticket{ID: opened, Status: desk.Open}, nil)
		}
		if want := line.slots["cards"]; want != nil && strconv.Itoa(len(o.answer.Products)) != want[0] {
			o.wrongSlots = append(o.wrongSlots, fmt.Sprintf("%d cards, not %s", len(o.answer.Products), want[0]))
		}
		for i, want := range line.slots["item"] {
			at, err := strconv.Atoi(want)
			if err != nil || at > len(shown) || i >= len(o.answer.Products) || o.answer.Products[i].ID != shown[at-1] {
				o.wrongSlots = append(o.wrongSlots, "not item "+want)
			}
		}
		out = append(out, o)
		t.Before, t.Number = o.answer.Memory, t.Number+1
	}
	return out
}

// topics returns how often the topic is right in a language.
func (r *report) topics(language string) (s share) {
	for _, o := range r.single {
		if o.language == language {
			s.whole++
			if o.topicOK() {
				s.part++
			}
		}
	}
	return s
}

// intents returns how often the intent is right, of single messages and those off topic; language "" is all.
func (r *report) intents(language string) (s share) {
	for _, o := range slices.Concat(r.single, r.offTopic) {
		if language == "" || o.language == language {
			s.whole++
			if o.intentOK() {
				s.part++
			}
		}
	}
	return s
}

// refused returns how often what is off topic is taken for it, and how often something else is.
func (r *report) refused() (recall, falsely share) {
	for _, o := range r.offTopic {
		recall.whole++
		if o.answer.Topic == responder.Other {
			recall.part++
		}
	}
	for _, o := range r.single {
		falsely.whole++
		if o.answer.Topic == responder.Other {
			falsely.part++
		}
	}
	return recall, falsely
}

// negations returns how many pairs are understood on both sides.
func (r *report) negations() (s share) {
	for _, pair := range r.pairs {
		s.whole++
		if !slices.ContainsFunc(pair, func(o outcome) bool { return len(o.wrongSlots) > 0 }) {
			s.part++
		}
	}
	return s
}

// respected returns how many answers with cards keep to the type and the limits of the price that were asked for.
func (r *report) respected() (all share, broken []outcome) {
	for _, o := range slices.Concat(r.requests, r.single, slices.Concat(r.pairs...), slices.Concat(r.dialogues...)) {
		if len(o.answer.Products) == 0 || o.slots["type"] == nil && o.slots["max"] == nil && o.slots["min"] == nil {
			continue
		}
		all.whole++
		if kept(r.shop, o) {
			all.part++
		} else {
			broken = append(broken, o)
		}
	}
	return all, broken
}

func kept(s *testShop, o outcome) bool {
	for _, card := range o.answer.Products {
		p := s.catalogue.Find(card.ID)
		if types := o.slots["type"]; types != nil && !slices.Contains(types, p.Type) {
			return false
		}
		for key, over := range map[string]bool{"max": true, "min": false} {
			for _, limit := range o.slots[key] {
				value, err := strconv.ParseFloat(limit, 64)
				if err != nil || over && p.Price > value || !over && p.Price < value {
					return false
				}
			}
		}
	}
	return true
}

// slotsRight returns how often all slots are right.
func slotsRight(outcomes []outcome) (s share) {
	for _, o := range outcomes {
		s.whole++
		if len(o.wrongSlots) == 0 {
			s.part++
		}
	}
	return s
}

// score is how well an intent is told from others.
type score struct {
	intent                string
	right, missed, others int
}

func ratio(part, rest int) float64 {
	if part+rest == 0 {
		return 0
	}
	return float64(part) / float64(part+rest)
}

func (s score) precision() float64 { return ratio(s.right, s.others) }
func (s score) recall() float64    { return ratio(s.right, s.missed) }
func (s score) f1() float64        { return ratio(2*s.right, s.missed+s.others) }

// scores returns the figures of every intent that the set asks for, the worst first, and the mean of their F1.
func (r *report) scores() (list []score, macroF1 float64) {
	by := map[string]*score{}
	of := func(name string) *score {
		if by[name] == nil {
			by[name] = &score{intent: name}
		}
		return by[name]
	}
	for _, o := range slices.Concat(r.single, r.offTopic) {
		if o.intentOK() {
			of(o.intent).right++
		} else {
			of(o.intent).missed++
			of(o.found).others++
		}
	}
	for _, s := range by {
		if s.right+s.missed > 0 {
			list = append(list, *s)
			macroF1 += s.f1()
		}
	}
	slices.SortFunc(list, func(a, b score) int {
		if c := a.f1() - b.f1(); c != 0 {
			return map[bool]int{true: -1, false: 1}[c < 0]
		}
		return strings.Compare(a.intent, b.intent)
	})
	return list, macroF1 / float64(max(1, len(list)))
}

// quantile returns how long answers take at most, but for a share of them.
func (r *report) quantile(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}
