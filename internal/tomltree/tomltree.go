// Package tomltree reads TOML into a tree that knows the line of each value, so
// that whoever finds something wrong in it can say where.
package tomltree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// MaxOctets is the longest text that Parse reads.
const MaxOctets = 1 << 20

// A Kind is what TOML knows of a value, in words for people.
type Kind string

// The kinds.
const (
	Text    Kind = "text"
	Integer Kind = "a number"
	Boolean Kind = "true or false"
	List    Kind = "a list"
	Table   Kind = "a table"
	Other   Kind = "a fraction or a date"
)

// A Value is a part of the file, with the line on which it begins. A table
// that only stands in the names of others begins where the first of them does.
type Value struct {
	Kind Kind
	Line int               // from 1
	Text string            // of Text: unquoted; of scalars: as written
	List []*Value          // of List
	Keys []string          // of Table, in the order of the file
	In   map[string]*Value // of Table
}

func newTable(line int) *Value { return &Value{Kind: Table, Line: line, In: map[string]*Value{}} }

func (v *Value) put(key string, child *Value) {
	v.Keys = append(v.Keys, key)
	v.In[key] = child
}

// ErrTooLong is the error of Parse for a text of more than MaxOctets.
var ErrTooLong = errors.New("longer than 1 MiB")

// A SyntaxError is the first thing in a text that is not TOML.
type SyntaxError struct {
	Line int    // from 1
	Key  string // "" where it is about no key
	What string // what is wrong, and what to write instead
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// Parse reads TOML. It gives the Table that is the whole file, or ErrTooLong or
// a *SyntaxError.
func Parse(data []byte) (*Value, error) {
	if len(data) > MaxOctets {
		return nil, ErrTooLong
	}
	// The decoder knows rules that the bare parser leaves to its caller: no
	// key twice, dates that exist, numbers that fit.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		return nil, syntaxError(data, err)
	}
	b := builder{lines: newlines(data), root: newTable(1)}
	b.current = b.root
	p := &unstable.Parser{}
	p.Reset(data)
	for p.NextExpression() {
		b.expression(p.Expression())
	}
	if err := p.Error(); err != nil {
		return nil, syntaxError(data, err)
	}
	return b.root, nil
}

func syntaxError(data []byte, err error) *SyntaxError {
	e := &SyntaxError{Line: 1}
	what := strings.TrimPrefix(err.Error(), "toml: ")
	var de *toml.DecodeError
	var pe *unstable.ParserError
	switch {
	case errors.As(err, &de):
		e.Line, _ = de.Position()
		e.Key = strings.Join(de.Key(), ".")
	case errors.As(err, &pe):
		e.Line = 1 + bytes.Count(data[:cap(data)-cap(pe.Highlight)], []byte("\n"))
	}
	e.What = fmt.Sprintf("this is not TOML (%s); write text in double quotes, lists in [ ], each key once and on its own line", what)
	return e
}

// A builder makes the tree of a file that is valid TOML.
type builder struct {
	lines   []int // offsets of the line ends
	root    *Value
	current *Value // the table that keys belong to
}

func newlines(data []byte) []int {
	var at []int
	for i, c := range data {
		if c == '\n' {
			at = append(at, i)
		}
	}
	return at
}

func (b *builder) line(n *unstable.Node) int {
	i, _ := slices.BinarySearch(b.lines, int(n.Raw.Offset))
	return i + 1
}

func (b *builder) expression(n *unstable.Node) {
	switch n.Kind {
	case unstable.KeyValue:
		b.keyValue(b.current, n)
	case unstable.Table:
		b.current = b.header(n, false)
	case unstable.ArrayTable:
		b.current = b.header(n, true)
	}
}

// header finds or makes the table that a [header] or [[header]] names.
func (b *builder) header(n *unstable.Node, element bool) *Value {
	v := b.root
	for it := n.Key(); it.Next(); {
		key, line := string(it.Node().Data), b.line(it.Node())
		switch {
		case !it.IsLast():
			v = v.child(key, line)
		case element:
			l := v.In[key]
			if l == nil {
				l = &Value{Kind: List, Line: line}
				v.put(key, l)
			}
			l.List = append(l.List, newTable(line))
			return l.List[len(l.List)-1]
		default:
			fresh := v.In[key] == nil
			v = v.child(key, line)
			if !fresh {
				v.Line = line // it was named by a [table.of.its] before
			}
		}
	}
	return v
}

func (b *builder) keyValue(into *Value, n *unstable.Node) {
	for it := n.Key(); it.Next(); {
		key, line := string(it.Node().Data), b.line(it.Node())
		if !it.IsLast() {
			into = into.child(key, line)
			continue
		}
		into.put(key, b.value(n.Value(), line))
	}
}

// child finds or makes a table in a table; in a list of tables its last one
// (TOML 1.0, "Array of Tables").
func (v *Value) child(key string, line int) *Value {
	c := v.In[key]
	if c == nil {
		c = newTable(line)
		v.put(key, c)
	}
	if c.Kind == List && len(c.List) > 0 {
		c = c.List[len(c.List)-1]
	}
	if c.Kind != Table {
		return newTable(line) // not TOML; the decoder has said so
	}
	return c
}

// value reads what stands behind the equals sign. What the parser gives no
// place of its own begins on the line of what it is part of.
func (b *builder) value(n *unstable.Node, line int) *Value {
	if n.Raw.Length > 0 {
		line = b.line(n)
	}
	switch n.Kind {
	case unstable.InlineTable:
		t := newTable(line)
		for it := n.Children(); it.Next(); {
			b.keyValue(t, it.Node())
		}
		return t
	case unstable.Array:
		l := &Value{Kind: List, Line: line}
		for it := n.Children(); it.Next(); {
			l.List = append(l.List, b.value(it.Node(), line))
		}
		return l
	}
	return &Value{Kind: scalarKind(n.Kind), Line: line, Text: string(n.Data)}
}

func scalarKind(k unstable.Kind) Kind {
	switch k {
	case unstable.String:
		return Text
	case unstable.Integer:
		return Integer
	case unstable.Bool:
		return Boolean
	}
	return Other
}
