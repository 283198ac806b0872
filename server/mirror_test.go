package server

import "testing"

func TestAMirrorHearsOnlyWhatItExpects(t *testing.T) {
	var m mirror
	name, heard := m.expect()
	other, unheard := m.expect()
	m.hear("mx.example.net")
	m.hear("guess" + mirrorDomain)
	m.hear(name)
	if !heard() || unheard() || name == other {
		t.Errorf("%s was not heard, or %s was", name, other)
	}
	m.hear(name) // it is forgotten
	if heard() || len(m.names) != 0 {
		t.Errorf("what was asked for is still expected: %v", m.names)
	}
}
