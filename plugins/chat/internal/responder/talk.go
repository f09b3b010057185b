package responder

import (
	"github.com/innatural/chatbot/plugins/chat/internal/intent"
	"github.com/innatural/chatbot/plugins/internal/shop"
)

// smallTalk answers greetings, thanks and the like.
func (r *Responder) smallTalk(q *question, a *Answer) {
	name := ""
	if q.intent == "greeting" && q.Profile.Name != "" && q.Number == 0 {
		name = r.phrases.form("name", q.Language, "name", q.Profile.Name)
	}
	r.say(q, a, q.intent, "name", name)
	if q.intent != "goodbye" {
		a.Suggestions = r.phrases.suggest("start", q.Language, q.raw)
	} else {
		a.Suggestions = []string{}
	}
}

// offTopic refuses what the shop has no business with.
func (r *Responder) offTopic(q *question, a *Answer) {
	a.Topic = Other
	r.say(q, a, "other")
}

// maxUnsure is how many times in a row a customer is asked back before people are named.
const maxUnsure = 2

// clarify asks back when nothing tells what is wanted: what of, when the message is about hair or skin. Whoever was not helped
// twice is shown the way to people.
func (r *Responder) clarify(q *question, a *Answer) {
	a.Memory.Unsure = q.Before.Unsure + 1
	switch contact := r.contact(q); {
	case a.Memory.Unsure > maxUnsure && contact != "":
		a.is(Information, "human", q.sure)
		r.say(q, a, "human")
		a.Text += " " + contact
	case q.about("hair"):
		r.askArea(q, a, "hair")
	case q.about("skin", "body", "face", "hands"):
		r.askArea(q, a, "body")
	default:
		r.say(q, a, "unsure")
		a.Categories = r.menu.categories(q.Language)
	}
}

// askArea asks for the kind of product.
func (r *Responder) askArea(q *question, a *Answer, area string) {
	a.is(Products, "clarify_"+area, q.sure)
	r.say(q, a, "ask_area")
	if area != "" {
		a.Subcategories = r.menu.subcategories(area, q.Language)
	} else {
		a.Categories = r.menu.categories(q.Language)
	}
}

// either asks which of the two likeliest intents is meant, when they are about as likely and have names to ask by.
func (r *Responder) either(q *question, a *Answer) bool {
	if len(q.guesses) < 2 || q.intent != q.guesses[0].Intent {
		return false
	}
	second := q.guesses[1]
	first, other := r.phrases.labels[q.intent][q.Language], r.phrases.labels[second.Intent][q.Language]
	if first == "" || other == "" || second.Probability < closeness*q.sure || q.needs.specific() {
		return false
	}
	a.Memory.Unsure = q.Before.Unsure + 1
	if contact := r.contact(q); a.Memory.Unsure > maxUnsure && contact != "" {
		r.say(q, a, "human")
		a.Text += " " + contact
		return true
	}
	r.say(q, a, "either", "first", first, "second", other)
	a.Suggestions = []string{first, other}
	return true
}

// human tells how to reach people.
func (r *Responder) human(q *question, a *Answer) {
	contact := r.contact(q)
	if contact == "" {
		r.say(q, a, "unknown")
		return
	}
	a.Text = contact
}

// contact returns how to reach people, as the FAQ says it, or "".
func (r *Responder) contact(q *question) string {
	entries := r.entries["human"]
	if len(entries) == 0 {
		return ""
	}
	_, answer, _ := entries[0].In(q.Language)
	return answer
}

// assignEntries puts the entries of the FAQ to intents: by id, as intents.txt says, or else by what their questions want.
func (r *Responder) assignEntries() {
	r.entries, r.owned = map[string][]*shop.Entry{}, map[*shop.Entry]bool{}
	for _, name := range r.classifier.Intents() {
		for _, id := range r.intents[name].Entries {
			if e := r.faq.Find(id); e != nil {
				r.entries[name] = append(r.entries[name], e)
				r.owned[e] = true
			}
		}
	}
	for i := range r.faq.Entries {
		if e := &r.faq.Entries[i]; !r.owned[e] {
			if best := r.questionOf(e); best.Probability >= likely {
				r.entries[best.Intent] = append(r.entries[best.Intent], e)
				r.owned[e] = true
			}
		}
	}
}

// likely is how sure the question of an entry must be to put it to an intent.
const likely = 0.5

// questionOf returns what the question of an entry wants, among what the FAQ answers.
func (r *Responder) questionOf(e *shop.Entry) intent.Guess {
	question, _, language := e.In("fr")
	for _, g := range r.classifier.Classify(cutWords(question), language) {
		if topic := r.intents[g.Intent].Topic; topic == AfterSales || topic == Information {
			return g
		}
	}
	return intent.Guess{}
}
