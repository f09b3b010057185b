package policy

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
)

// fingerprint hashes what a policy says, but for where the server listens: instances on one machine, each at a port of its own, serve the
// same policy.
func fingerprint(root *Key, p *Policy) string {
	anywhere := *p
	anywhere.Server.Listen = ""
	if p.Server.Admin.Listen != "" {
		anywhere.Server.Admin.Listen = "anywhere"
	}
	sum := sha256.New()
	w := bufio.NewWriter(sum) // neither it nor a hash fails
	digest(w, root, reflect.ValueOf(anywhere))
	_ = w.Flush()
	return hex.EncodeToString(sum.Sum(nil))
}

// AnswersHash returns a hash, in hexadecimal, of what answers are made by: routes, presets and the plugins' options. Where the
// server listens, what it logs and how much it keeps is not in it, so instances that differ in those have the same.
func (p *Policy) AnswersHash() string {
	sum := sha256.New()
	w := bufio.NewWriter(sum)
	for _, name := range []string{"plugins", "presets", "routes"} {
		key := p.meta.root.Key(name)
		digest(w, key, reflect.ValueOf(p).Elem().Field(key.field))
	}
	_ = w.Flush()
	return hex.EncodeToString(sum.Sum(nil))
}

func digest(w *bufio.Writer, key *Key, v reflect.Value) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			_, _ = w.WriteString("-\n")
			return
		}
		v = v.Elem()
	}
	line := w.AvailableBuffer()
	switch key.Type {
	case TypeTable:
		for _, child := range key.Keys {
			_, _ = w.WriteString(child.Name)
			_ = w.WriteByte('=')
			if v.Kind() == reflect.Map { // the plugins
				digest(w, child, v.MapIndex(reflect.ValueOf(child.Name)))
			} else {
				digest(w, child, v.Field(child.field))
			}
		}
	case TypeList:
		for i := range v.Len() {
			digest(w, key.Elem, v.Index(i))
		}
	case TypeMap:
		for _, name := range sortedKeys(v) {
			_, _ = w.WriteString(quote(name.String()) + "=")
			digest(w, key.Elem, v.MapIndex(name))
		}
	case TypeSecret:
		secret := sha256.Sum256([]byte(v.String()))
		line = hex.AppendEncode(line, secret[:])
	case TypeInteger, TypeDuration, TypeSize:
		line = strconv.AppendInt(line, v.Int(), 10)
	case TypeBoolean:
		line = strconv.AppendBool(line, v.Bool())
	case TypeAny:
		text, _ := json.Marshal(v.Interface()) // what TOML decodes to, JSON encodes
		line = append(line, text...)
	default:
		line = append(line, quote(plain(v))...)
	}
	_, _ = w.Write(append(line, '\n'))
}

func sortedKeys(v reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
}
