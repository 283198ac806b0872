package config

import (
	"reflect"
	"strings"
)

// A field is a key of a table.
type field struct {
	index []int
	tag   string // "path", "file" or ""
}

// fieldsOf gives the keys of the table that becomes a struct of type t.
func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		if name, tag, _ := strings.Cut(f.Tag.Get("toml"), ","); name != "-" {
			fields[name] = field{f.Index, tag}
		}
	}
	return fields
}

// A key is one that the file may have, with the names of its tables:
// "listen", "listen.smtp".
type key struct {
	name     string
	restart  bool  // takes effect only when the server starts
	tagged   bool  // restart, and not because its table is
	table    bool  // has keys of its own
	repeated bool  // a table that there can be several of
	index    []int // through structs and pointers to them; nil below repeated ones
}

// in gives what a Config says for the key; the zero value where its table is
// not there.
func (k key) in(c reflect.Value) any {
	v, err := c.FieldByIndexErr(k.index)
	if err != nil {
		return reflect.Zero(c.Type().FieldByIndex(k.index).Type).Interface()
	}
	return v.Interface()
}

// allKeys are all that the file may have, in the order of Config.
var allKeys = keysOf(reflect.TypeFor[Config](), key{index: []int{}})

func keysOf(t reflect.Type, parent key) []key {
	var keys []key
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		if name == "-" {
			continue
		}
		k := key{name: name, restart: parent.restart || f.Tag.Get("reload") == "restart"}
		k.tagged = k.restart && !parent.restart
		if parent.name != "" {
			k.name = parent.name + "." + name
		}
		if parent.index != nil {
			k.index = append(append([]int{}, parent.index...), i)
		}
		inner := f.Type
		if inner.Kind() == reflect.Slice && scalars[inner] == nil {
			inner, k.repeated = inner.Elem(), true
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		k.table = inner.Kind() == reflect.Struct && scalars[inner] == nil
		k.repeated = k.repeated && k.table
		keys = append(keys, k)
		if k.table {
			if k.repeated {
				k.index = nil
			}
			keys = append(keys, keysOf(inner, k)...)
		}
	}
	return keys
}
