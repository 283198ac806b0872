package civicrm

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"homing/internal/terminal"
)

// A row is a pattern of CiviCRM.
type row struct {
	line    int
	id      string
	kind    int // in kinds
	pattern string
	wrong   string // why it cannot be a rule; "": nothing is wrong so far
}

// name is what the rule of a row is called.
func (r row) name() string { return "civicrm-" + kinds[r.kind].name + "-" + r.id }

// firstSeparator finds what stands behind the first column.
var firstSeparator = regexp.MustCompile(`^[ ]*(?:"(?:[^"]|"")*"|[^",;\t\r\n]*)([,;\t])`)

// readRows reads an export. Its error is about the whole of it.
func readRows(export []byte) ([]row, error) {
	export = bytes.TrimPrefix(export, []byte("\ufeff"))
	found := firstSeparator.FindSubmatch(export)
	if found == nil {
		return nil, errors.New("line 1: there is no comma, semicolon or tab between columns; export the columns id, bounce_type_id and pattern")
	}
	in := csv.NewReader(bytes.NewReader(export))
	in.Comma = rune(found[1][0])
	in.FieldsPerRecord = -1
	in.LazyQuotes = in.Comma == '\t' // of mysql, which uses no quotes
	var c *columns
	var rows []row
	for {
		record, err := in.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if in.Comma == '\t' {
				unescape(rows)
			}
			return rows, nil
		case errors.As(err, &broken):
			return nil, fmt.Errorf("line %d: %w; put a pattern with quotes into quotes, and write each in it twice", broken.Line, broken.Err)
		case err != nil:
			return nil, err
		}
		line, _ := in.FieldPos(0)
		if c == nil {
			header := false
			if c, header, err = columnsOf(record); err != nil {
				return nil, err
			} else if header {
				continue
			}
		}
		rows = append(rows, c.row(record, line))
	}
}

// columns says where in a record what stands.
type columns struct{ id, kind, pattern, count int }

// columnsOf reads the first record, which is a header or a row.
func columnsOf(record []string) (c *columns, header bool, err error) {
	find := func(names ...string) int {
		return slices.IndexFunc(record, func(cell string) bool { return slices.Contains(names, strings.ToLower(strings.TrimSpace(cell))) })
	}
	c = &columns{find("id"), find("bounce_type_id", "bounce_type", "bounce_type_id:name", "type", "name"), find("pattern"), len(record)}
	switch {
	case c.pattern < 0 && len(record) >= 3 && isNumber(record[0]) && kindOf(record[1]) >= 0:
		return &columns{0, 1, 2, 3}, false, nil
	case c.id < 0 || c.kind < 0 || c.pattern < 0:
		return nil, false, errors.New("line 1: this is neither a header with id, bounce_type_id and pattern nor a row of them; export those three columns")
	}
	return c, true, nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(strings.TrimSpace(s), 10, 32)
	return err == nil
}

// kindOf finds a type by its number or name; -1: there is none.
func kindOf(s string) int {
	s = strings.TrimSpace(s)
	if n, err := strconv.Atoi(s); err == nil && n >= 1 && n <= len(kinds) {
		return n - 1
	}
	return slices.IndexFunc(kinds, func(k kind) bool { return strings.EqualFold(k.name, s) })
}

// row reads a record.
func (c *columns) row(record []string, line int) row {
	r := row{line: line, kind: len(kinds)} // behind all others, while it is not known
	if len(record) != c.count {
		r.wrong = fmt.Sprintf("it has %d columns instead of %d; put the pattern into quotes", len(record), c.count)
		return r
	}
	r.pattern = record[c.pattern]
	id, err := strconv.ParseUint(strings.TrimSpace(record[c.id]), 10, 32)
	k := kindOf(record[c.kind])
	switch {
	case err != nil:
		r.wrong = fmt.Sprintf("its id %s is no number; export the column id", terminal.Quote(record[c.id]))
	case k < 0:
		r.wrong = fmt.Sprintf("its type %s is none of CiviCRM's; write a number from 1 to %d, or a name like Quota", terminal.Quote(record[c.kind]), len(kinds))
	case strings.TrimSpace(r.pattern) == "" || r.pattern == `\N` || r.pattern == "NULL":
		r.wrong = "it has no pattern; remove the row"
	case !utf8.ValidString(r.pattern):
		r.wrong = "its pattern is not UTF-8; export with --default-character-set=utf8mb4"
	case strings.ContainsAny(r.pattern, "\r\n"):
		r.wrong = "its pattern has a line end; close the quotes before it"
	default:
		r.kind = k
	}
	r.id = strconv.FormatUint(id, 10)
	return r
}

// unescape takes away what mysql writes for a backslash and others, where it
// did: there are pairs of them, and none before anything that it leaves alone.
func unescape(rows []row) {
	pairs := false
	for _, r := range rows {
		for i := 0; r.wrong == "" && i < len(r.pattern); i++ {
			if r.pattern[i] != '\\' {
				continue
			}
			i++
			if i == len(r.pattern) || !strings.ContainsRune(`\nt0`, rune(r.pattern[i])) {
				return
			}
			pairs = pairs || r.pattern[i] == '\\'
		}
	}
	if !pairs {
		return
	}
	plain := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\0`, "\x00")
	for i := range rows {
		rows[i].pattern = plain.Replace(rows[i].pattern)
	}
}
