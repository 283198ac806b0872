package token_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/server/token"
)

// notes are the notes of a store in memory.
type notes struct {
	all  map[string][]byte
	full error // with which Note fails
}

func (n *notes) Notes(context.Context, string) (map[string][]byte, error) {
	return maps.Clone(n.all), nil
}

func (n *notes) Note(_ context.Context, _ string, values map[string][]byte) error {
	if n.full != nil {
		return n.full
	}
	for name, value := range values {
		if n.all[name] = value; value == nil {
			delete(n.all, name)
		}
	}
	return nil
}

func open(t *testing.T, n *notes) *token.Keeper {
	t.Helper()
	if n.all == nil {
		n.all = map[string][]byte{}
	}
	k, err := token.New(t.Context(), n, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func add(t *testing.T, k *token.Keeper, tok token.Token) string {
	t.Helper()
	secret, err := k.Add(t.Context(), tok)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestATokenIsKnownByItselfAloneAlsoAfterARestart(t *testing.T) {
	n := &notes{}
	k := open(t, n)
	crm := add(t, k, token.Token{Name: "crm", Application: "civicrm", By: "olga"})
	olga := add(t, k, token.Token{Name: "olga", Operator: true})
	for range 2 {
		tests := []struct{ name, secret, want string }{
			{"the application's", crm, "civicrm"},
			{"the operator's", olga, "operator"},
			{"its last octet changed", crm[:len(crm)-1] + "0", ""},
			{"cut short", crm[:len(crm)-1], ""},
			{"longer", crm + "A", ""},
			{"in lower case", strings.ToLower(crm), ""},
			{"none", "", ""},
			{"a name", "crm", ""},
		}
		for _, tt := range tests {
			got, ok := k.Verify(tt.secret)
			whose := got.Application
			if got.Operator {
				whose = "operator"
			}
			if whose != tt.want || ok != (tt.want != "") {
				t.Errorf("%s: Verify = %+v, %v, want %q", tt.name, got, ok, tt.want)
			}
		}
		k = open(t, n)
	}
	for name, text := range n.all {
		if strings.Contains(string(text), crm[8:]) || strings.Contains(string(text), olga[8:]) {
			t.Errorf("the note %s has the token itself", name)
		}
	}
}

func TestARotatedTokenCountsOnlyForTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := open(t, &notes{})
		first := add(t, k, token.Token{Name: "crm", Application: "civicrm"})
		rotate := func(overlap time.Duration) string {
			secret, err := k.Rotate(t.Context(), "crm", overlap)
			if err != nil {
				t.Fatal(err)
			}
			return secret
		}
		want := func(what, secret string, want bool) {
			t.Helper()
			if _, ok := k.Verify(secret); ok != want {
				t.Errorf("%s counts: %v, want %v", what, ok, want)
			}
		}
		second := rotate(time.Hour)
		want("the first in the overlap", first, true)
		want("the second", second, true)
		<-time.After(time.Hour)
		want("the first after the overlap", first, false)
		want("the second", second, true)
		third := rotate(0)
		want("the second after a rotation without overlap", second, false)
		want("the third", third, true)
	})
}

func TestATokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := open(t, &notes{})
		secret := add(t, k, token.Token{Name: "crm", Application: "civicrm", Expires: time.Now().Add(time.Hour)})
		if _, ok := k.Verify(secret); !ok {
			t.Error("it does not count")
		}
		<-time.After(time.Hour)
		if _, ok := k.Verify(secret); ok {
			t.Error("it counts after its time")
		}
		if got := k.List(); len(got) != 1 {
			t.Errorf("listed are %v, want it", got)
		}
	})
}

func TestARemovedTokenIsNobodys(t *testing.T) {
	n := &notes{}
	k := open(t, n)
	secret := add(t, k, token.Token{Name: "crm", Application: "civicrm"})
	if err := k.Remove(t.Context(), "crm"); err != nil {
		t.Fatal(err)
	}
	if _, ok := k.Verify(secret); ok || len(k.List()) != 0 || len(open(t, n).List()) != 0 {
		t.Error("it is there")
	}
}

func TestMistakesAreNamed(t *testing.T) {
	k := open(t, &notes{})
	add(t, k, token.Token{Name: "crm", Application: "civicrm"})
	for want, tok := range map[error]token.Token{
		token.ErrExists: {Name: "crm", Application: "civicrm"},
		token.ErrName:   {Name: "a b", Application: "civicrm"},
		token.ErrOwner:  {Name: "nobodys"},
	} {
		if _, err := k.Add(t.Context(), tok); !errors.Is(err, want) {
			t.Errorf("Add(%+v) = %v, want %v", tok, err, want)
		}
	}
	if _, err := k.Add(t.Context(), token.Token{Name: "both", Application: "civicrm", Operator: true}); !errors.Is(err, token.ErrOwner) {
		t.Errorf("Add of both = %v, want %v", err, token.ErrOwner)
	}
	for _, name := range []string{"", ".", "..", "a/b", strings.Repeat("a", 65), "ü"} {
		if _, err := k.Add(t.Context(), token.Token{Name: name, Operator: true}); !errors.Is(err, token.ErrName) {
			t.Errorf("Add of %q = %v, want %v", name, err, token.ErrName)
		}
	}
	if _, err := k.Rotate(t.Context(), "none", 0); !errors.Is(err, token.ErrNone) {
		t.Errorf("Rotate = %v, want %v", err, token.ErrNone)
	}
	if err := k.Remove(t.Context(), "none"); !errors.Is(err, token.ErrNone) {
		t.Errorf("Remove = %v, want %v", err, token.ErrNone)
	}
}

func TestWhatCannotBeNotedIsNotChanged(t *testing.T) {
	n := &notes{}
	k := open(t, n)
	secret := add(t, k, token.Token{Name: "crm", Application: "civicrm"})
	n.full = errors.New("the disk is full")
	if _, err := k.Add(t.Context(), token.Token{Name: "shop", Application: "shop"}); !errors.Is(err, n.full) {
		t.Errorf("Add = %v", err)
	}
	if _, err := k.Rotate(t.Context(), "crm", 0); !errors.Is(err, n.full) {
		t.Errorf("Rotate = %v", err)
	}
	if err := k.Remove(t.Context(), "crm"); !errors.Is(err, n.full) {
		t.Errorf("Remove = %v", err)
	}
	if _, ok := k.Verify(secret); !ok || len(k.List()) != 1 {
		t.Error("something was changed")
	}
}

func TestTheDayOfTheLastUseIsNotedOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notes{}
		k := open(t, n)
		secret := add(t, k, token.Token{Name: "crm", Application: "civicrm"})
		see := func() {
			tok, _ := k.Verify(secret)
			if err := k.Seen(t.Context(), tok); err != nil {
				t.Fatal(err)
			}
		}
		see()
		if got := open(t, n).List()[0].Used; !got.Equal(time.Now().UTC().Truncate(24 * time.Hour)) {
			t.Errorf("used on %v", got)
		}
		n.full = errors.New("noted again")
		see()
		n.full = nil
		<-time.After(24 * time.Hour)
		see()
		if got := k.List()[0].Used; !got.Equal(time.Now().UTC().Truncate(24 * time.Hour)) {
			t.Errorf("used on %v, want today", got)
		}
	})
}

func ExampleKeeper() {
	k, err := token.New(context.Background(), &notes{all: map[string][]byte{}}, time.Now)
	if err != nil {
		fmt.Println(err)
		return
	}
	secret, err := k.Add(context.Background(), token.Token{Name: "shop", Application: "shop"})
	t, ok := k.Verify(secret)
	fmt.Println(strings.HasPrefix(secret, "homing_"), t.Application, ok, err)
	// Output: true shop true <nil>
}
