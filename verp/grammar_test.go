package verp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/verp"
)

func TestApplicationsOwnAddressesAreRecognised(t *testing.T) {
	civi := verp.Grammar{Kind: verp.CiviCRM, Prefix: "return+"}
	mautic := verp.Grammar{Kind: verp.Mautic}
	mailman := verp.Grammar{Kind: verp.Mailman}
	postfix := verp.Grammar{Kind: verp.Postfix}
	of := func(kind verp.Kind, action verp.Action, job, queue uint64, hash string) verp.Address {
		return verp.Address{Kind: kind, Action: action, Job: job, Queue: queue, Hash: hash}
	}
	person := func(kind verp.Kind, list, recipient string) verp.Address {
		return verp.Address{Kind: kind, Action: verp.ActionBounce, List: list, Recipient: recipient}
	}
	forMailman := func(action verp.Action, list string) verp.Address {
		return verp.Address{Kind: verp.Mailman, Action: action, List: list}
	}
	const hash = "789b7abdf5bfdc1a"
	tests := []struct {
		name    string
		grammar verp.Grammar
		local   string
		want    verp.Address // zero: not recognised
	}{
		{"CiviCRM bounce", civi, "return+b.2.1." + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM reply", civi, "return+r.2.1." + hash, of(verp.CiviCRM, verp.ActionReply, 2, 1, hash)},
		{"CiviCRM unsubscribe", civi, "return+u.2.1." + hash, of(verp.CiviCRM, verp.ActionUnsubscribe, 2, 1, hash)},
		{"CiviCRM opt-out", civi, "return+o.2.1." + hash, of(verp.CiviCRM, verp.ActionOptOut, 2, 1, hash)},
		{"CiviCRM resubscribe", civi, "return+e.2.1." + hash, of(verp.CiviCRM, verp.ActionResubscribe, 2, 1, hash)},
		{"CiviCRM confirm", civi, "return+c.2.1." + hash, of(verp.CiviCRM, verp.ActionConfirm, 2, 1, hash)},
		{"CiviCRM subscribe", civi, "return+s.2.1." + hash, of(verp.CiviCRM, verp.ActionSubscribe, 2, 1, hash)},
		{"CiviCRM subscribe with a group alone", civi, "return+s.12", verp.Address{Kind: verp.CiviCRM, Action: verp.ActionSubscribe, Job: 12}},
		{"CiviCRM with a hash of 5.67 and later", civi, "return+b.123.456789.zyxw0123456789zz", of(verp.CiviCRM, verp.ActionBounce, 123, 456789, "zyxw0123456789zz")},
		{"CiviCRM without a prefix", verp.Grammar{Kind: verp.CiviCRM}, "b.2.1." + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM with a minus prefix", verp.Grammar{Kind: verp.CiviCRM, Prefix: "return-"}, "return-b.2.1." + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM with another separator", verp.Grammar{Kind: verp.CiviCRM, Prefix: "civi+", Separator: "-"}, "civi+b-2-1-" + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM with a separator that is a letter", verp.Grammar{Kind: verp.CiviCRM, Separator: "b"}, "bb2b1b" + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM with a separator of two characters", verp.Grammar{Kind: verp.CiviCRM, Separator: "--"}, "b--2--1--" + hash, of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM upper-cased by a relay", civi, strings.ToUpper("return+b.2.1." + hash), of(verp.CiviCRM, verp.ActionBounce, 2, 1, hash)},
		{"CiviCRM of another site", civi, "other+b.2.1." + hash, verp.Address{}},
		{"CiviCRM letters of Message-IDs", civi, "return+m.2.1." + hash, verp.Address{}},
		{"CiviCRM with a short hash", civi, "return+b.2.1." + hash[1:], verp.Address{}},
		{"CiviCRM with a long hash", civi, "return+b.2.1.0" + hash, verp.Address{}},
		{"CiviCRM with a dot in the hash", civi, "return+b.2.1.789b7abd.5bfdc1a", verp.Address{}},
		{"CiviCRM without a queue id", civi, "return+b.2." + hash, verp.Address{}},
		{"CiviCRM with an empty queue id", civi, "return+b.2.." + hash, verp.Address{}},
		{"CiviCRM with a leading nought", civi, "return+b.02.1." + hash, verp.Address{}},
		{"CiviCRM with a sign", civi, "return+b.+2.1." + hash, verp.Address{}},
		{"CiviCRM with a number of 30 digits", civi, "return+b." + strings.Repeat("9", 30) + ".1." + hash, verp.Address{}},
		{"CiviCRM with a third number", civi, "return+b.2.1.3." + hash, verp.Address{}},
		{"our own tag is not CiviCRM's", civi, "return+" + tag, verp.Address{}},
		{"the prefix alone", civi, "return+", verp.Address{}},
		{"less than the prefix", civi, "ret", verp.Address{}},
		{"CiviCRM's action alone", civi, "return+s", verp.Address{}},

		{"Mautic bounce", mautic, "crm+bounce_5f9b3a0c1d2e3", verp.Address{Kind: verp.Mautic, Action: verp.ActionBounce, List: "crm", Hash: "5f9b3a0c1d2e3"}},
		{"Mautic unsubscribe", mautic, "crm+unsubscribe_5f9b3a0c1d2e3", verp.Address{Kind: verp.Mautic, Action: verp.ActionUnsubscribe, List: "crm", Hash: "5f9b3a0c1d2e3"}},
		{"Mautic of another mailbox", verp.Grammar{Kind: verp.Mautic, Prefix: "crm+"}, "shop+bounce_5f9b3a0c1d2e3", verp.Address{}},
		{"Mautic without a hash", mautic, "crm+bounce_", verp.Address{}},
		{"Mautic without a mailbox", mautic, "+bounce_5f9b3a0c1d2e3", verp.Address{}},
		{"Mautic with another word", mautic, "crm+open_5f9b3a0c1d2e3", verp.Address{}},

		{"Mailman bounce", mailman, "news-bounces+ann=example.net", person(verp.Mailman, "news", "ann@example.net")},
		{"Mailman bounce of a tagged address", mailman, "news-bounces+ann+x=example.net", person(verp.Mailman, "news", "ann+x@example.net")},
		{"Mailman's plain bounce address names nobody", mailman, "news-bounces", forMailman(verp.ActionWrite, "news")},
		{"Mailman's probe of an address names nobody", mailman, "news-bounces+0123456789abcdef", forMailman(verp.ActionWrite, "news")},
		{"Mailman confirmation is no bounce", mailman, "news-confirm+0123456789abcdef", forMailman(verp.ActionConfirm, "news")},
		{"Mailman confirmation without a token", mailman, "news-confirm", verp.Address{}},
		{"Mailman owners", mailman, "news-owner", forMailman(verp.ActionWrite, "news")},
		{"Mailman commands", mailman, "news-request", forMailman(verp.ActionWrite, "news")},
		{"Mailman join", mailman, "news-join", forMailman(verp.ActionSubscribe, "news")},
		{"Mailman subscribe, upper-cased by a relay", mailman, "NEWS-SUBSCRIBE", forMailman(verp.ActionSubscribe, "NEWS")},
		{"Mailman leave", mailman, "news-leave", forMailman(verp.ActionUnsubscribe, "news")},
		{"Mailman unsubscribe from a list with a dash", mailman, "news-of-the-club-unsubscribe", forMailman(verp.ActionUnsubscribe, "news-of-the-club")},
		{"the list itself is no address of Mailman's own", mailman, "news", verp.Address{}},
		{"a list with a dash neither", mailman, "news-letter", verp.Address{}},
		{"Mailman word with what no list has behind it", mailman, "news-owner+x", verp.Address{}},
		{"Mailman word without a list", mailman, "-owner", verp.Address{}},
		{"Mailman word with a line end", mailman, "ne\r\nws-owner", verp.Address{}},
		{"Mailman without a list", mailman, "-bounces+ann=example.net", verp.Address{}},

		{"Postfix style", postfix, "owner-list+ann=example.net", person(verp.Postfix, "owner-list", "ann@example.net")},
		{"Postfix style with an equal sign in the mailbox", postfix, "owner+a=nn=example.net", person(verp.Postfix, "owner", "a=nn@example.net")},
		{"Postfix style without a domain", postfix, "owner+ann=", verp.Address{}},
		{"Postfix style without a mailbox", postfix, "owner+=example.net", verp.Address{}},
		{"Postfix style without an owner", postfix, "+ann=example.net", verp.Address{}},
		{"Postfix style with a line end", postfix, "owner+ann\r\n=example.net", verp.Address{}},

		{"a kind without a grammar", verp.Grammar{Kind: "generic"}, "b.2.1." + hash, verp.Address{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.grammar.Parse(tt.local)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != (tt.want != verp.Address{}) {
				t.Errorf("Parse(%q) = %v (-want +got):\n%s", tt.local, ok, diff)
			}
		})
	}
}

func TestNoAddressOfCiviCRMIsWrittenWithTwoSeparators(t *testing.T) {
	separators := []string{".", "-", "_", "--", "-_", "-_-", "+", "="}
	for _, action := range "bruoecs" {
		for _, written := range separators {
			local := fmt.Sprint(string(action), written, 12, written, 345, written, "0123456789abcdef")
			for _, read := range separators {
				_, ok := verp.Grammar{Kind: verp.CiviCRM, Separator: read}.Parse(local)
				if ok != (read == written) {
					t.Errorf("Parse(%q) with the separator %q = %v", local, read, ok)
				}
			}
		}
	}
}

func TestCampaignComesFromTheAddress(t *testing.T) {
	tests := []struct {
		name string
		give verp.Address
		want string
	}{
		{"a CiviCRM job", verp.Address{Kind: verp.CiviCRM, Action: verp.ActionBounce, Job: 7}, "civicrm:job:7"},
		{"a CiviCRM contact is no job", verp.Address{Kind: verp.CiviCRM, Action: verp.ActionConfirm, Job: 7}, ""},
		{"a CiviCRM group is no job", verp.Address{Kind: verp.CiviCRM, Action: verp.ActionSubscribe, Job: 7}, ""},
		{"a Mailman list", verp.Address{Kind: verp.Mailman, List: "News"}, "mailman:list:news"},
		{"a Postfix owner", verp.Address{Kind: verp.Postfix, List: "owner-x"}, "postfix:list:owner-x"},
		{"Mautic does not tell", verp.Address{Kind: verp.Mautic, Hash: "abc"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.give.Campaign(); got != tt.want {
				t.Errorf("Campaign() = %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzCiviCRM promises that every address that is taken apart can be put
// together again.
func FuzzCiviCRM(f *testing.F) {
	f.Add("b.2.1.789b7abdf5bfdc1a", ".")
	f.Add("b-2-1-789b7abdf5bfdc1a", "-")
	f.Add("s.12", ".")
	f.Add("b1213111789b7abdf5bfdc1a", "1")
	f.Fuzz(func(t *testing.T, local, separator string) {
		if separator == "" {
			return
		}
		a, ok := verp.Grammar{Kind: verp.CiviCRM, Separator: separator}.Parse(local)
		if !ok {
			return
		}
		again := fmt.Sprint(local[:1], separator, a.Job, separator, a.Queue, separator, a.Hash)
		if a.Hash == "" {
			again = fmt.Sprint(local[:1], separator, a.Job)
		}
		if !strings.EqualFold(again, local) {
			t.Errorf("Parse(%q, %q) = %+v, which is written %q", local, separator, a, again)
		}
	})
}

// FuzzPersonal promises that Mailman's and Postfix's addresses name one
// recipient, and can be put together again, and that Mailman's others name a
// list.
func FuzzPersonal(f *testing.F) {
	f.Add("news-bounces+ann=example.net")
	f.Add("news-leave")
	f.Add("news-confirm+0123456789abcdef")
	f.Fuzz(func(t *testing.T, local string) {
		if a, ok := (verp.Grammar{Kind: verp.Mailman}).Parse(local); ok {
			word, found := strings.CutPrefix(local, a.List+"-")
			if user, domain, whole := strings.Cut(a.Recipient, "@"); whole && !strings.EqualFold(word, "bounces+"+user+"="+domain) {
				t.Errorf("Parse(%q) = %+v, which is not written like that", local, a)
			}
			if a.List == "" || !found || word == "" || a.Action == "" || a.Command() != (a.Recipient == "") {
				t.Errorf("Parse(%q) = %+v", local, a)
			}
		}
		a, ok := verp.Grammar{Kind: verp.Postfix}.Parse(local)
		if !ok {
			return
		}
		at := strings.LastIndexByte(a.Recipient, '@')
		if again := a.List + "+" + a.Recipient[:at] + "=" + a.Recipient[at+1:]; again != local || strings.Count(a.Recipient, "@") != 1 {
			t.Errorf("Parse(%q) = %+v, which is written %q", local, a, again)
		}
	})
}

func ExampleGrammar_Parse() {
	site := verp.Grammar{Kind: verp.CiviCRM, Prefix: "return+"}
	a, ok := site.Parse("return+b.2.1.789b7abdf5bfdc1a")
	fmt.Println(ok, a.Action, a.Queue, a.Hash, a.Campaign())
	// Output: true bounce 1 789b7abdf5bfdc1a civicrm:job:2
}
