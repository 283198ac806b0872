package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxOctets is the longest file that is read.
const maxOctets = 1 << 20

// A kind is what TOML knows of a value.
type kind string

const (
	text    kind = "text"
	integer kind = "a number"
	boolean kind = "true or false"
	list    kind = "a list"
	table   kind = "a table"
	other   kind = "a fraction or a date"
)

// A value is a part of the file, with the line on which it begins. A table
// that only stands in the names of others begins where the first of them does.
type value struct {
	kind kind
	line int
	text string   // of text: unquoted; of scalars: as written
	list []*value // of list
	keys []string // of table, in the order of the file
	in   map[string]*value
}

func newTable(line int) *value { return &value{kind: table, line: line, in: map[string]*value{}} }

func (v *value) put(key string, child *value) {
	v.keys = append(v.keys, key)
	v.in[key] = child
}

// parseTree reads TOML. Its problem is the first thing that is not TOML.
func parseTree(data []byte) (*value, *Problem) {
	if len(data) > maxOctets {
		return nil, &Problem{File: "homing.toml", Line: 1, Message: "the file is longer than 1 MiB, so it cannot be a configuration; name the right file with --config"}
	}
	// The decoder knows rules that the bare parser leaves to its caller: no
	// key twice, dates that exist, numbers that fit.
	var all map[string]any
	if err := toml.Unmarshal(data, &all); err != nil {
		return nil, syntaxProblem(data, err)
	}
	b := builder{lines: newlines(data), root: newTable(1)}
	b.current = b.root
	p := &unstable.Parser{}
	p.Reset(data)
	for p.NextExpression() {
		b.expression(p.Expression())
	}
	if err := p.Error(); err != nil {
		return nil, syntaxProblem(data, err)
	}
	return b.root, nil
}

func syntaxProblem(data []byte, err error) *Problem {
	p := &Problem{File: "homing.toml", Line: 1}
	what := strings.TrimPrefix(err.Error(), "toml: ")
	var de *toml.DecodeError
	var pe *unstable.ParserError
	switch {
	case errors.As(err, &de):
		p.Line, _ = de.Position()
		p.Key = strings.Join(de.Key(), ".")
	case errors.As(err, &pe):
		p.Line = 1 + bytes.Count(data[:cap(data)-cap(pe.Highlight)], []byte("\n"))
	}
	p.Message = fmt.Sprintf("this is not TOML (%s); write text in double quotes, lists in [ ], each key once and on its own line", what)
	return p
}

// A builder makes the tree of a file that is valid TOML.
type builder struct {
	lines   []int // offsets of the line ends
	root    *value
	current *value // the table that keys belong to
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
func (b *builder) header(n *unstable.Node, element bool) *value {
	v := b.root
	for it := n.Key(); it.Next(); {
		key, line := string(it.Node().Data), b.line(it.Node())
		switch {
		case !it.IsLast():
			v = v.child(key, line)
		case element:
			l := v.in[key]
			if l == nil {
				l = &value{kind: list, line: line}
				v.put(key, l)
			}
			l.list = append(l.list, newTable(line))
			return l.list[len(l.list)-1]
		default:
			fresh := v.in[key] == nil
			v = v.child(key, line)
			if !fresh {
				v.line = line // it was named by a [table.of.its] before
			}
		}
	}
	return v
}

func (b *builder) keyValue(into *value, n *unstable.Node) {
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
func (v *value) child(key string, line int) *value {
	c := v.in[key]
	if c == nil {
		c = newTable(line)
		v.put(key, c)
	}
	if c.kind == list && len(c.list) > 0 {
		c = c.list[len(c.list)-1]
	}
	if c.kind != table {
		return newTable(line) // not TOML; the decoder has said so
	}
	return c
}

// value reads what stands behind the equals sign. What the parser gives no
// place of its own begins on the line of what it is part of.
func (b *builder) value(n *unstable.Node, line int) *value {
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
		l := &value{kind: list, line: line}
		for it := n.Children(); it.Next(); {
			l.list = append(l.list, b.value(it.Node(), line))
		}
		return l
	}
	return &value{kind: scalarKind(n.Kind), line: line, text: string(n.Data)}
}

func scalarKind(k unstable.Kind) kind {
	switch k {
	case unstable.String:
		return text
	case unstable.Integer:
		return integer
	case unstable.Bool:
		return boolean
	}
	return other
}
