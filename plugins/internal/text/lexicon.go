package text

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

//go:embed words.txt
var wordsFile string

//go:embed synonyms.txt
var synonymsFile string

// maxPhrase is the longest entry of synonyms.txt, in words.
const maxPhrase = 5

// conceptMark starts a concept's name in a list of terms; no stem holds it.
const conceptMark = "#"

// languages are numbered for tables; a set of them is a mask.
const (
	fr = iota
	en
	ar
	nLanguages
)

func languageIndex(language string) int {
	for i, l := range Languages {
		if l == language {
			return i
		}
	}
	return -1
}

// lexicon is what words.txt and synonyms.txt say. It may be used concurrently: what it remembers changes no answer of it.
type lexicon struct {
	stop    map[string]bool      // folded
	tells   map[string]byte      // folded word -> mask of the languages that it hints at
	surface map[string]string    // folded word of the synonyms -> as written, with its accents
	phrases [nLanguages]phrases  // by stem
	names   map[string][]string  // concept -> how it is called
	details map[string]bool      // concepts, with their mark, that don't say what a question is about
	stems   [nLanguages]stemming // folded word -> stem, for the words of the synonyms

	remembered sync.Map // word as written -> *entry, whose stems cost more than all else to compute
	count      atomic.Int64
}

// mostRemembered bounds the words whose entries are remembered: some megabytes, and all that a shop's customers often say. Past it they are
// forgotten, all at once: an order of eviction would cost more with each word than it saves.
const mostRemembered = 1 << 14

// entry is what a lexicon says of a word.
type entry struct {
	folded  string
	stems   [nLanguages]string
	phrases [nLanguages][]phrase // that start with the stem
	stop    bool
	known   bool // the synonyms or the small words have it
}

type stemming map[string]string

// phrases are the entries of synonyms.txt by the stem of their first word, longest first.
type phrases map[string][]phrase

type phrase struct {
	stems    []string // of all the words
	concepts []string // with their mark
	alone    bool     // the words stand for the concept alone
}

// shopLexicon reads the embedded files once. They're checked by a test: a mistake in them can't be met at run time.
var shopLexicon = sync.OnceValue(func() *lexicon {
	l, err := parseLexicon(wordsFile, synonymsFile)
	if err != nil {
		panic(err)
	}
	return l
})

func parseLexicon(words, synonyms string) (*lexicon, error) {
	l := &lexicon{
		stop: map[string]bool{}, tells: map[string]byte{}, surface: map[string]string{},
		names: map[string][]string{}, details: map[string]bool{},
	}
	for i := range nLanguages {
		l.phrases[i], l.stems[i] = phrases{}, stemming{}
	}
	if err := l.parseWords(words); err != nil {
		return nil, err
	}
	return l, l.parseSynonyms(synonyms)
}

func (l *lexicon) parseWords(file string) error {
	language, kind := -1, ""
	for n, line := range strings.Split(file, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if line[0] != ' ' {
			language = languageIndex(fields[0])
			if language < 0 || len(fields) != 2 {
				return fmt.Errorf("words.txt:%d: not a language and a kind: %q", n+1, line)
			}
			kind = fields[1]
			continue
		}
		for _, word := range fields {
			word = Fold(strings.ReplaceAll(word, "_", " "))
			l.tells[word] |= 1 << language
			if kind != "negation" {
				l.stop[word] = true
			}
		}
	}
	return nil
}

func (l *lexicon) parseSynonyms(file string) error {
	concept, section := "", ""
	for n, line := range strings.Split(file, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
		case trimmed == "[names]" || trimmed == "[topics]" || trimmed == "[details]":
			section = trimmed
		case line[0] != ' ':
			if concept = trimmed; l.names[concept] != nil {
				return fmt.Errorf("synonyms.txt:%d: concept %q is there twice", n+1, concept)
			}
			l.names[concept] = []string{}
			l.details[conceptMark+concept] = section == "[details]"
		default:
			code, entries, _ := strings.Cut(trimmed, " ")
			language := languageIndex(code)
			if language < 0 || concept == "" {
				return fmt.Errorf("synonyms.txt:%d: not a language and its words: %q", n+1, trimmed)
			}
			for entry := range strings.SplitSeq(entries, ",") {
				if err := l.addEntry(concept, language, strings.TrimSpace(entry), section == "[names]"); err != nil {
					return fmt.Errorf("synonyms.txt:%d: %w", n+1, err)
				}
			}
		}
	}
	return nil
}

// addEntry adds one word or phrase of a concept, as written and as people type it, without accents.
func (l *lexicon) addEntry(concept string, language int, entry string, alone bool) error {
	words := Tokens(entry)
	if len(words) == 0 || len(words) > maxPhrase {
		return fmt.Errorf("%q: an entry has 1 to %d words", entry, maxPhrase)
	}
	l.names[concept] = append(l.names[concept], entry)
	exact, bare := make([]string, len(words)), make([]string, len(words))
	for i, w := range words {
		exact[i], bare[i] = Stem(w.Surface, Languages[language]), Stem(w.Folded, Languages[language])
		if !l.stop[w.Folded] {
			l.surface[w.Folded] = w.Surface
			l.stems[language][w.Folded] = exact[i]
		}
	}
	if len(words) == 1 {
		l.tells[words[0].Folded] |= 1 << language
	}
	l.phrases[language].add(exact, conceptMark+concept, alone || len(words) == 1)
	if strings.Join(bare, " ") != strings.Join(exact, " ") {
		l.phrases[language].add(bare, conceptMark+concept, alone || len(words) == 1)
	}
	return nil
}

// entry returns what the lexicon says of a word, which the token has, or is remembered, or computed.
func (l *lexicon) entry(t Token) *entry {
	if t.entry != nil {
		return t.entry
	}
	if e, ok := l.remembered.Load(t.Surface); ok {
		if e := e.(*entry); e.folded == t.Folded { //nolint:forcetypeassert // nothing else is stored
			return e
		}
	}
	// Not the text that the word was cut from, which would be remembered as well.
	surface, folded := strings.Clone(t.Surface), strings.Clone(t.Folded)
	e := &entry{folded: folded, stop: l.stop[folded], known: l.tells[folded] != 0 || l.surface[folded] != ""}
	for i, name := range Languages {
		stem, ok := l.stems[i][folded]
		if !ok {
			stem = Stem(surface, name)
		}
		l.setStem(e, i, stem)
		e.known = e.known || e.phrases[i] != nil
	}
	if l.count.Add(1) > mostRemembered {
		l.remembered.Clear()
		l.count.Store(1)
	}
	l.remembered.Store(surface, e)
	return e
}

// setStem sets the stem of a word in a language, with what starts with it.
func (l *lexicon) setStem(e *entry, language int, stem string) {
	e.stems[language], e.phrases[language] = stem, l.phrases[language][stem]
}

// withStem returns an entry that has another stem in a language, unless that is empty.
func (l *lexicon) withStem(e *entry, language int, stem string) *entry {
	if stem == "" || stem == e.stems[language] {
		return e
	}
	other := *e
	l.setStem(&other, language, stem)
	return &other
}

// entries appends what the lexicon says of each word.
func (l *lexicon) entries(to []*entry, tokens []Token) []*entry {
	for _, t := range tokens {
		to = append(to, l.entry(t))
	}
	return to
}

func (p phrases) add(stems []string, concept string, alone bool) {
	list := p[stems[0]]
	at := 0
	for ; at < len(list) && len(list[at].stems) >= len(stems); at++ {
		if slices.Equal(list[at].stems, stems) {
			if !slices.Contains(list[at].concepts, concept) {
				list[at].concepts = append(list[at].concepts, concept)
				list[at].alone = list[at].alone && alone
			}
			return
		}
	}
	p[stems[0]] = slices.Insert(list, at, phrase{stems: stems, concepts: []string{concept}, alone: alone})
}
