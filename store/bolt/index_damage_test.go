package bolt

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// pageOctets is the size of bbolt's pages in these tests.
const pageOctets = 4096

// filled gives a closed store with some mail, and its index.
func filled(t *testing.T) (*place, []byte) {
	t.Helper()
	p := newPlace(t)
	p.Open(t)
	fill(t, p.s, 40)
	p.Close(t)
	index, err := os.ReadFile(indexPath(p.options.Dir))
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(index, "\x00"))
	return p, index[:(used/pageOctets+1)*pageOctets]
}

// openWith opens the store with another index.
func (p *place) openWith(t *testing.T, index []byte) error {
	t.Helper()
	if err := os.WriteFile(indexPath(p.options.Dir), index, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), p.options)
	if err == nil {
		s.kill()
	}
	return err
}

func TestAnIndexThatWasCutShortIsRefusedWithAdvice(t *testing.T) {
	p, index := filled(t)
	for size := 1; size < len(index); size += pageOctets/2 + 1 {
		err := p.openWith(t, index[:size])
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "index.db") || !strings.Contains(err.Error(), "homing doctor") {
			t.Errorf("cut to %d of %d octets: %v", size, len(index), err)
		}
	}
}

func TestAnIndexWithADamagedPageNeverEndsTheProcess(t *testing.T) {
	p, index := filled(t)
	refused := 0
	for page := 0; page < len(index)/pageOctets; page++ {
		for _, at := range []int{8, 10, 16, 24} { // kind and count of the page, and what comes first in it
			spoiled := slices.Clone(index)
			spoiled[page*pageOctets+at] ^= 0x55
			if err := p.openWith(t, spoiled); err != nil {
				refused++
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

func TestAnIndexThatWasNeverFinishedIsMadeAnew(t *testing.T) {
	for _, size := range []int{1, pageOctets, 2 * pageOctets, 3 * pageOctets} {
		p := newPlace(t)
		p.Open(t)
		p.Close(t)
		index, err := os.ReadFile(indexPath(p.options.Dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(p.options.Dir + "/log"); err != nil {
			t.Fatal(err)
		}
		if err := p.openWith(t, index[:size]); err != nil {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}
