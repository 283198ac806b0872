package config

import (
	"slices"
	"strconv"

	"homing/internal/tomltree"
)

// A gap is something that the file can ask for and that this version does not
// do yet. Whoever builds it removes the row.
type gap struct {
	key     string
	value   string // what asks for it; "": anything but an empty list, 0 and false
	warning bool   // the server does its work without
	message string
}

// gaps: an error where mail or facts would be lost that somebody counts on, a
// warning where only a check or a notice is missing.
var gaps = []gap{
	{"store.engine", string(Postgres), false, `the postgres engine is not built yet; write engine = "embedded", or leave it out`},
}

// asks reports whether a value asks for what is missing.
func (g gap) asks(v *tomltree.Value) bool {
	switch v.Kind {
	case tomltree.List:
		return g.value == "" && len(v.List) > 0 && v.List[0].Kind != tomltree.Table
	case tomltree.Table:
		return g.value == ""
	}
	return v.Text == g.value || g.value == "" && v.Text != "0" && v.Text != "false"
}

// unbuilt notes every gap that the file asks for.
func unbuilt(f *findings, v *tomltree.Value, path string) {
	key := keyOf(path)
	i := slices.IndexFunc(gaps, func(g gap) bool { return g.key == key && g.asks(v) })
	if i >= 0 {
		if gaps[i].warning {
			f.warnf(path, "%s", gaps[i].message)
		} else {
			f.errorf(path, "%s", gaps[i].message)
		}
		return
	}
	if path != "" {
		path += "."
	}
	for i, e := range v.List {
		unbuilt(f, e, path+strconv.Itoa(i))
	}
	for _, k := range v.Keys {
		unbuilt(f, v.In[k], path+k)
	}
}
