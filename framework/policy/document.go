package policy

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Bounds of a policy file. 10,000 routes with ten keys each are about 3 MiB.
const (
	maxFile  = 8 << 20
	maxDepth = 32      // tables and arrays within each other
	maxPath  = 512     // bytes of a dotted path
	maxKeys  = 10_000  // in one table: go-toml compares each with all others
	maxItems = 100_000 // in one list
)

// document is a TOML file: its values, and where each of them is written.
type document struct {
	values map[string]any
	places map[string]place
}

// place is where a value is written.
type place struct {
	Origin        // of its key
	line, col int // of the value itself
}

// parse reads a file. A problem is the first mistake of its syntax.
func parse(src Source) (*document, *Problem) {
	text := trimBOM(src.Text)
	x := &indexer{file: src.Name, text: text, places: map[string]place{}, arrays: map[string]int{}, keys: map[string]int{}}
	if len(text) > maxFile {
		return nil, &Problem{
			File: src.Name, Line: 1, Col: 1, Kind: kindSyntax,
			What: fmt.Sprintf("the file is larger than %s", Size(maxFile)), Hint: "split the service over several policies",
		}
	}
	x.lines = append(x.lines, 0)
	for i, c := range text {
		if c == '\n' {
			x.lines = append(x.lines, i+1)
		}
	}
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			return nil, x.syntax(i, "the file is not UTF-8", "save it as UTF-8")
		}
		i += n
	}
	if problem := x.index(); problem != nil {
		return nil, problem
	}
	doc := &document{places: x.places}
	if err := toml.Unmarshal(text, &doc.values); err != nil {
		var syntax *toml.DecodeError
		if !errors.As(err, &syntax) {
			return nil, x.syntax(0, "syntax: "+err.Error(), "")
		}
		row, col := syntax.Position()
		return nil, x.syntax(x.lines[row-1]+col-1, "syntax: "+strings.TrimPrefix(syntax.Error(), "toml: "), "")
	}
	return doc, nil
}

// indexer finds the places of keys and values. It is the one user of go-toml's unstable parser, which alone tells them.
type indexer struct {
	file   string
	text   []byte
	lines  []int // offset at which each line starts
	parser unstable.Parser
	places map[string]place
	arrays map[string]int // length of each array of tables so far
	keys   map[string]int // number of keys in each table
	deep   int            // offset behind the first key that is too deep
	wide   int            // offset behind the first key that is one too many
	last   struct{ offset, line, col int }
}

func (x *indexer) index() *Problem {
	x.parser.Reset(x.text)
	table := ""
	for x.deep == 0 && x.wide == 0 && x.parser.NextExpression() {
		switch e := x.parser.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = x.header(e)
		case unstable.KeyValue:
			x.keyValue(table, e, strings.Count(table, "."))
		}
	}
	if x.deep > 0 {
		return x.syntax(x.deep-1, "the file nests tables and arrays too deeply", "")
	}
	if x.wide > 0 {
		return x.syntax(x.wide-1, fmt.Sprintf("a table has more than %d keys, or a list more than %d items", maxKeys, maxItems), "")
	}
	if err := x.parser.Error(); err != nil {
		var syntax *unstable.ParserError
		if !errors.As(err, &syntax) {
			return x.syntax(0, "syntax: "+err.Error(), "")
		}
		offset := min(cap(x.text)-cap(syntax.Highlight), len(x.text))
		return x.syntax(offset, "syntax: "+syntax.Message, "")
	}
	return nil
}

// header records a table header and returns the path of its table.
func (x *indexer) header(e *unstable.Node) string {
	path, depth := "", 0
	for it := e.Key(); it.Next(); depth++ {
		node, last := it.Node(), it.IsLast()
		table := path
		path = join(path, string(node.Data))
		if _, known := x.places[path]; !known && x.tooWide(table, node) || x.tooDeep(path, depth, int(node.Raw.Offset)) {
			return ""
		}
		if e.Kind == unstable.ArrayTable && last {
			x.mark(path, node, node, false)
			n := x.arrays[path]
			x.arrays[path] = n + 1
			if n >= maxItems {
				x.wide = int(node.Raw.Offset) + 1
				return ""
			}
			path = element(path, n)
		} else if n := x.arrays[path]; n > 0 {
			path = element(path, n-1)
			last = false
		}
		x.mark(path, node, node, last)
	}
	return path
}

func (x *indexer) keyValue(table string, e *unstable.Node, depth int) {
	path := table
	for it := e.Key(); it.Next(); depth++ {
		node := it.Node()
		if x.tooWide(path, node) {
			return
		}
		path = join(path, string(node.Data))
		if x.tooDeep(path, depth, int(node.Raw.Offset)) {
			return
		}
		if !it.IsLast() {
			x.mark(path, node, node, false)
			continue
		}
		end := int(node.Raw.Offset + node.Raw.Length)
		at := end + bytes.IndexByte(x.text[end:], '=') + 1
		for x.text[at] == ' ' || x.text[at] == '\t' {
			at++
		}
		x.places[path] = x.place(int(node.Raw.Offset), at)
		x.value(path, e.Value(), at, depth+1)
	}
}

// value records what is within a value that starts at the given offset.
func (x *indexer) value(path string, node *unstable.Node, at, depth int) {
	if x.tooDeep(path, depth, at) {
		return
	}
	switch node.Kind {
	case unstable.InlineTable:
		for it := node.Children(); it.Next(); {
			x.keyValue(path, it.Node(), depth)
		}
	case unstable.Array:
		for i, it := 0, node.Children(); it.Next(); i++ {
			child, offset := it.Node(), at
			if i >= maxItems {
				x.wide = offset + 1
				return
			}
			if child.Raw.Length > 0 { // the parser keeps no place of an array within an array
				offset = int(child.Raw.Offset)
			}
			x.places[element(path, i)] = x.place(offset, offset)
			x.value(element(path, i), child, offset, depth+1)
		}
	}
}

func (x *indexer) tooDeep(path string, depth, at int) bool {
	if depth > maxDepth || len(path) > maxPath {
		x.deep = max(x.deep, at+1)
	}
	return x.deep > 0
}

// tooWide counts a key of a table.
func (x *indexer) tooWide(table string, key *unstable.Node) bool {
	x.keys[table]++
	if x.keys[table] > maxKeys {
		x.wide = int(key.Raw.Offset) + 1
	}
	return x.wide > 0
}

func (x *indexer) mark(path string, key, value *unstable.Node, again bool) {
	if _, known := x.places[path]; !known || again {
		x.places[path] = x.place(int(key.Raw.Offset), int(value.Raw.Offset))
	}
}

func (x *indexer) place(key, value int) place {
	var p place
	p.Kind, p.File = FromFile, x.file
	p.Line, p.Col = x.position(key)
	p.line, p.col = x.position(value)
	return p
}

// position returns line and column, in characters, of an offset. It counts on from the place asked for last, so that a long
// line is not counted once for each of its values.
func (x *indexer) position(offset int) (line, col int) {
	line = sort.SearchInts(x.lines, offset+1)
	if x.last.line != line || x.last.offset > offset {
		x.last.line, x.last.offset, x.last.col = line, x.lines[line-1], 1
	}
	x.last.col += utf8.RuneCount(x.text[x.last.offset:offset])
	x.last.offset = offset
	return line, x.last.col
}

func (x *indexer) syntax(offset int, what, hint string) *Problem {
	p := &Problem{File: x.file, Kind: kindSyntax, What: what, Hint: hint}
	p.Line, p.Col = x.position(offset)
	return p
}

func trimBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")) }

// join returns the path of a key within a table.
func join(table, key string) string {
	if table == "" {
		return keyLiteral(key)
	}
	return table + "." + keyLiteral(key)
}

// element returns the path of an element of a list.
func element(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// parent returns the path that holds path, and whether there is one.
func parent(path string) (string, bool) {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)], i >= 0
}
