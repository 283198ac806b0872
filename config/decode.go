package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"homing/internal/nearest"
	"homing/internal/tomltree"
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
func (d *decoder) note(v *tomltree.Value, path string) {
	if path != "" {
		d.lines[path] = v.Line
		path += "."
	}
	for i, e := range v.List {
		d.note(e, path+strconv.Itoa(i))
	}
	for _, k := range v.Keys {
		d.note(v.In[k], path+k)
	}
}

// decode puts v into a variable of a Config. tag says which paths a text is
// made absolute for: "file", "path" or none.
func (d *decoder) decode(v *tomltree.Value, path string, into reflect.Value, tag string) {
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
		if d.want(v, path, tomltree.Boolean, "true") {
			into.SetBool(v.Text == "true")
		}
	case reflect.Int:
		d.number(v, path, into)
	case reflect.String:
		if d.want(v, path, tomltree.Text, strings.Join(choices[t], `" or "`)) && d.printable(v, path) && d.among(v, path, choices[t]) {
			into.SetString(d.resolve(v.Text, tag))
		}
	}
}

// want reports whether v is of a kind, and notes it otherwise. example is what
// the value could be.
func (d *decoder) want(v *tomltree.Value, path string, k tomltree.Kind, example string) bool {
	if v.Kind == k {
		return true
	}
	key := path[strings.LastIndexByte(path, '.')+1:]
	switch {
	case k == tomltree.List && v.Kind == tomltree.Text:
		d.errorf(path, "must be a list; write %s = [%q]", key, v.Text)
	case k == tomltree.List && v.Kind == tomltree.Table:
		d.errorf(path, "there can be several of these; write [[%s]] with two brackets on each side", keyOf(path))
	case k == tomltree.Table:
		d.errorf(path, "must be a table; write [%s] on a line of its own and its keys below", keyOf(path))
	case k == tomltree.Text && example != "":
		d.errorf(path, `must be text, not %s; write it in double quotes, like "%s"`, v.Kind, example)
	case k == tomltree.Text && v.Text != "":
		d.errorf(path, "must be text, not %s; write %q in double quotes", v.Kind, v.Text)
	case k == tomltree.Text:
		d.errorf(path, "must be text, not %s; write one value in double quotes", v.Kind)
	default:
		d.errorf(path, "must be %s, not %s; write it without quotes, like %s", k, v.Kind, example)
	}
	return false
}

// printable keeps control characters out of what ends up in headers, replies
// and paths.
func (d *decoder) printable(v *tomltree.Value, path string) bool {
	if strings.ContainsFunc(v.Text, unicode.IsControl) {
		d.errorf(path, "has a control character; write visible characters only")
		return false
	}
	return true
}

func (d *decoder) among(v *tomltree.Value, path string, values []string) bool {
	if values == nil || slices.Contains(values, v.Text) {
		return true
	}
	if near := nearest.Word(v.Text, values); near != "" {
		d.errorf(path, "%q is none of %s; did you mean %q?", v.Text, strings.Join(values, ", "), near)
	} else if len(values) == 1 {
		d.errorf(path, "%q is not known; write %q", v.Text, values[0])
	} else {
		d.errorf(path, "%q is not known; write one of %s", v.Text, strings.Join(values, ", "))
	}
	return false
}

func (d *decoder) scalar(v *tomltree.Value, path string, into reflect.Value, s *scalar) {
	if !d.want(v, path, tomltree.Text, s.example) || !d.printable(v, path) {
		return
	}
	got, err := s.parse(v.Text)
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

func (d *decoder) number(v *tomltree.Value, path string, into reflect.Value) {
	if !d.want(v, path, tomltree.Integer, "100") {
		return
	}
	n, err := strconv.ParseInt(strings.ReplaceAll(v.Text, "_", ""), 0, 32)
	if err != nil || n < 0 {
		d.errorf(path, "%s is out of range; write a number from 0 to 2147483647", v.Text)
		return
	}
	into.SetInt(n)
}

// numbers adds the numbers of a table to those that are there by default.
func (d *decoder) numbers(v *tomltree.Value, path string, into reflect.Value) {
	if !d.want(v, path, tomltree.Table, "") {
		return
	}
	for _, k := range v.Keys {
		n := reflect.New(into.Type().Elem()).Elem()
		d.number(v.In[k], path+"."+k, n)
		into.SetMapIndex(reflect.ValueOf(k), n)
	}
}

func (d *decoder) list(v *tomltree.Value, path string, into reflect.Value, tag string) {
	if !d.want(v, path, tomltree.List, "") {
		return
	}
	l := reflect.MakeSlice(into.Type(), len(v.List), len(v.List))
	for i, e := range v.List {
		d.decode(e, at(path, i), l.Index(i), tag)
	}
	into.Set(l)
}

func (d *decoder) table(v *tomltree.Value, path string, into reflect.Value) {
	if !d.want(v, path, tomltree.Table, "") {
		return
	}
	if path != "" {
		path += "."
	}
	fields := fieldsOf(into.Type())
	for _, k := range v.Keys {
		name := k
		if now, ok := d.renamed[keyOf(path+k)]; ok {
			name = now
			if _, both := v.In[now]; both {
				d.errorf(path+k, "is now called %q, which is here too; remove %q", now, k)
				continue
			}
			d.warnf(path+k, "is now called %q; rename it, the old name will stop working", now)
			d.note(v.In[k], path+now)
		}
		f, ok := fields[name]
		if !ok {
			d.unknown(path+k, fields)
			continue
		}
		d.decode(v.In[k], path+name, into.FieldByIndex(f.index), f.tag)
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
	if _, ok := fields[name+"_file"]; ok {
		d.errorf(path, "there is no such key; write it into a file of its own, and here %s_file = \"NAME OF THE FILE\"", name)
	} else if near := nearest.Word(name, here); near != "" {
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
