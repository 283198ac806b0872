package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A decoder fills a Config from a tree. It notes every value that cannot be
// what its key wants, and every key that nobody knows.
type decoder struct {
	*findings
	dir     string            // what relative paths are relative to
	secrets string            // where secrets are looked for first; "": nowhere
	renamed map[string]string // old key to the last part of the new one
}

// renamed are keys that had another name, by their whole old name. The old
// name works for a year and warns.
var renamed = map[string]string{}

// note remembers the line of every path.
func (d *decoder) note(v *value, path string) {
	if path != "" {
		d.lines[path] = v.line
		path += "."
	}
	for i, e := range v.list {
		d.note(e, path+strconv.Itoa(i))
	}
	for _, k := range v.keys {
		d.note(v.in[k], path+k)
	}
}

// decode puts v into a variable of a Config. tag says which paths a text is
// made absolute for: "file", "path" or none.
func (d *decoder) decode(v *value, path string, into reflect.Value, tag string) {
	t := into.Type()
	if s := scalars[t]; s != nil {
		d.scalar(v, path, into, s)
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(t.Elem()))
		d.decode(v, path, into.Elem(), tag)
	case reflect.Struct:
		d.table(v, path, into)
	case reflect.Map:
		d.numbers(v, path, into)
	case reflect.Slice:
		d.list(v, path, into, tag)
	case reflect.Bool:
		if d.want(v, path, boolean, "true") {
			into.SetBool(v.text == "true")
		}
	case reflect.Int:
		d.number(v, path, into)
	case reflect.String:
		if d.want(v, path, text, strings.Join(choices[t], `" or "`)) && d.printable(v, path) && d.among(v, path, choices[t]) {
			into.SetString(d.resolve(v.text, tag))
		}
	}
}

// want reports whether v is of a kind, and notes it otherwise. example is what
// the value could be.
func (d *decoder) want(v *value, path string, k kind, example string) bool {
	if v.kind == k {
		return true
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case k == list && v.kind == text:
		d.errorf(path, "must be a list; write %s = [%q]", key, v.text)
	case k == list && v.kind == table:
		d.errorf(path, "there can be several of these; write [[%s]] with two brackets on each side", keyOf(path))
	case k == table:
		d.errorf(path, "must be a table; write [%s] on a line of its own and its keys below", keyOf(path))
	case k == text && example != "":
		d.errorf(path, `must be text, not %s; write it in double quotes, like "%s"`, v.kind, example)
	case k == text && v.text != "":
		d.errorf(path, "must be text, not %s; write %q in double quotes", v.kind, v.text)
	case k == text:
		d.errorf(path, "must be text, not %s; write one value in double quotes", v.kind)
	default:
		d.errorf(path, "must be %s, not %s; write it without quotes, like %s", k, v.kind, example)
	}
	return false
}

// printable keeps control characters out of what ends up in headers, replies
// and paths.
func (d *decoder) printable(v *value, path string) bool {
	if strings.ContainsFunc(v.text, unicode.IsControl) {
		d.errorf(path, "has a control character; write visible characters only")
		return false
	}
	return true
}

func (d *decoder) among(v *value, path string, values []string) bool {
	if values == nil || slices.Contains(values, v.text) {
		return true
	}
	if near := nearest(v.text, values); near != "" {
		d.errorf(path, "%q is none of %s; did you mean %q?", v.text, strings.Join(values, ", "), near)
	} else if len(values) == 1 {
		d.errorf(path, "%q is not known; write %q", v.text, values[0])
	} else {
		d.errorf(path, "%q is not known; write one of %s", v.text, strings.Join(values, ", "))
	}
	return false
}

func (d *decoder) scalar(v *value, path string, into reflect.Value, s *scalar) {
	if !d.want(v, path, text, s.example) || !d.printable(v, path) {
		return
	}
	got, err := s.parse(v.text)
	if err != nil {
		d.errorf(path, "%v", err)
		return
	}
	if a, ok := got.(Address); ok && a.Network == "unix" {
		a.Address = d.resolve(a.Address, "path")
		got = a
	}
	into.Set(reflect.ValueOf(got))
}

func (d *decoder) number(v *value, path string, into reflect.Value) {
	if !d.want(v, path, integer, "100") {
		return
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 0, 32)
	if err != nil || n < 0 {
		d.errorf(path, "%s is out of range; write a number from 0 to 2147483647", v.text)
		return
	}
	into.SetInt(n)
}

// numbers adds the numbers of a table to those that are there by default.
func (d *decoder) numbers(v *value, path string, into reflect.Value) {
	if !d.want(v, path, table, "") {
		return
	}
	for _, k := range v.keys {
		n := reflect.New(into.Type().Elem()).Elem()
		d.number(v.in[k], path+"."+k, n)
		into.SetMapIndex(reflect.ValueOf(k), n)
	}
}

func (d *decoder) list(v *value, path string, into reflect.Value, tag string) {
	if !d.want(v, path, list, "") {
		return
	}
	l := reflect.MakeSlice(into.Type(), len(v.list), len(v.list))
	for i, e := range v.list {
		d.decode(e, at(path, i), l.Index(i), tag)
	}
	into.Set(l)
}

func (d *decoder) table(v *value, path string, into reflect.Value) {
	if !d.want(v, path, table, "") {
		return
	}
	if path != "" {
		path += "."
	}
	fields := fieldsOf(into.Type())
	for _, k := range v.keys {
		name := k
		if now, ok := d.renamed[keyOf(path+k)]; ok {
			name = now
			if _, both := v.in[now]; both {
				d.errorf(path+k, "is now called %q, which is here too; remove %q", now, k)
				continue
			}
			d.warnf(path+k, "is now called %q; rename it, the old name will stop working", now)
			d.note(v.in[k], path+now)
		}
		f, ok := fields[name]
		if !ok {
			d.unknown(path+k, fields)
			continue
		}
		d.decode(v.in[k], path+name, into.FieldByIndex(f.index), f.tag)
	}
}

// unknown says of a key that nobody knows what was probably meant.
func (d *decoder) unknown(path string, fields map[string]field) {
	key := keyOf(path)
	name := key[strings.LastIndexByte(key, '.')+1:]
	var here []string
	for k := range fields {
		here = append(here, k)
	}
	slices.Sort(here)
	var elsewhere []string
	for _, k := range allKeys {
		if k.name == name || strings.HasSuffix(k.name, "."+name) {
			elsewhere = append(elsewhere, placeOf(k.name))
		}
	}
	if near := nearest(name, here); near != "" {
		d.errorf(path, "there is no such key; did you mean %q?", near)
	} else if len(elsewhere) > 0 {
		d.errorf(path, "there is no such key here; it belongs %s", strings.Join(elsewhere, " or "))
	} else {
		d.errorf(path, "there is no such key; remove it, or write one of %s", strings.Join(here, ", "))
	}
}

// placeOf says in words where a key belongs.
func placeOf(key string) string {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "at the top of the file, before the first [table]"
	}
	for _, k := range allKeys {
		if k.name == key[:i] && k.repeated {
			return fmt.Sprintf("in [[%s]]", key[:i])
		}
	}
	return fmt.Sprintf("in [%s]", key[:i])
}

// resolve makes a path absolute. A secret that the service manager hands over
// comes before one next to the file.
func (d *decoder) resolve(p, tag string) string {
	if tag == "" || p == "" || filepath.IsAbs(p) {
		return p
	}
	if tag == "file" && d.secrets != "" {
		if handed := filepath.Join(d.secrets, p); exists(handed) {
			return handed
		}
	}
	return filepath.Join(d.dir, p)
}
