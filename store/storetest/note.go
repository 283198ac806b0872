package storetest

import (
	"bytes"
	"maps"
	"slices"
)

var noteTests = []named{
	{"what was noted is there, also after a restart or a kill", func(h *harness) {
		want := map[string][]byte{"google": []byte("paused"), "": {0}, "empty": {}}
		h.must(h.s.Note(h.ctx, "pause", want))
		for _, kill := range []bool{true, false} {
			h.same("notes", h.notes("pause"), want)
			h.restart(kill)
		}
	}},
	{"spaces do not mix, whatever they are called", func(h *harness) {
		h.must(h.s.Note(h.ctx, "a", map[string][]byte{"b": []byte("1")}))
		h.must(h.s.Note(h.ctx, "ab", map[string][]byte{"": []byte("2")}))
		h.must(h.s.Note(h.ctx, "a\x01", map[string][]byte{"b": []byte("3")}))
		h.same("notes of a", h.notes("a"), map[string][]byte{"b": []byte("1")})
		h.same("notes of a space that nobody used", h.notes("b"), map[string][]byte{})
	}},
	{"a later note replaces one, and nil forgets it", func(h *harness) {
		h.must(h.s.Note(h.ctx, "s", map[string][]byte{"a": []byte("1"), "b": []byte("2"), "c": []byte("3")}))
		h.must(h.s.Note(h.ctx, "s", map[string][]byte{"a": []byte("4"), "b": nil, "never": nil}))
		want := map[string][]byte{"a": []byte("4"), "c": []byte("3")}
		h.same("notes", h.notes("s"), want)
		h.restart(true)
		h.same("notes", h.notes("s"), want)
	}},
	{"what is given away is the caller's to change", func(h *harness) {
		h.must(h.s.Note(h.ctx, "s", map[string][]byte{"a": []byte("as it was")}))
		clear(h.notes("s")["a"])
		h.same("notes", h.notes("s"), map[string][]byte{"a": []byte("as it was")})
	}},
	{"a note that is too large, or has a NUL in its name, is refused with all that came with it", func(h *harness) {
		for name, value := range map[string][]byte{"big": bytes.Repeat([]byte("x"), 64<<10+1), "a\x00b": []byte("1"), string(bytes.Repeat([]byte("n"), 2000)): []byte("1")} {
			if err := h.s.Note(h.ctx, "s", map[string][]byte{name: value, "good": []byte("1")}); err == nil {
				h.Errorf("a note under %.10q of %d octets was taken", name, len(value))
			}
		}
		if got := slices.Collect(maps.Keys(h.notes("s"))); len(got) > 0 {
			h.Errorf("got notes %q, want none", got)
		}
	}},
}

func (h *harness) notes(space string) map[string][]byte {
	h.Helper()
	notes, err := h.s.Notes(h.ctx, space)
	h.must(err)
	return notes
}
