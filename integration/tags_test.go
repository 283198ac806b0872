package integration

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
	"homing/internal/toynet"
	"homing/verp"
)

// The tag of a return address stands between these.
const (
	tagPrefix = "return+"
	tagSuffix = "@bounce.example.org"
	alphabet  = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// tagKey signs the return addresses of the stages here.
const tagKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// probe asks the MX about addresses, as many in a connection as it allows, all
// in one packet, and gives what it says to each.
func (st *stage) probe(addresses []string) (answers []string) {
	st.t.Helper()
	const most = 19 // one more refusal ends the connection
	for some := range slices.Chunk(addresses, most) {
		w := dial(st.t, st.MX)
		w.put("EHLO client.test\r\nMAIL FROM:<>\r\nRCPT TO:<" + strings.Join(some, ">\r\nRCPT TO:<") + ">\r\nQUIT\r\n")
		w.expect("250")
		w.expect("250")
		for range some {
			answers = append(answers, w.hear())
		}
		w.expect("221")
		w.conn.Close()
	}
	return answers
}

// tag is what stands in a return address; it fails the test for any other.
func tag(t *testing.T, address string) string {
	t.Helper()
	text, ok := strings.CutPrefix(address, tagPrefix)
	text, ok2 := strings.CutSuffix(text, tagSuffix)
	if !ok || !ok2 || len(text) != verp.TagLength {
		t.Fatalf("return address %q, want one with a tag", address)
	}
	return text
}

func TestOnlyGenuineTagsAreAccepted(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Tables: "[verp]\nkey_files = [\"verp.key\"]", Files: map[string]string{"verp.key": tagKey}})
	st.Mail(1, "ann@accepts.test", "bob@accepts.test")
	ann, bob := tag(t, st.Arrived("ann@accepts.test").From), tag(t, st.Arrived("bob@accepts.test").From)
	half, forger := len(ann)/2, forgerWho(ann)
	refused := make(map[string]string) // by what was said, an address it was said to

	for _, tt := range []struct{ name, address string }{
		{"as it was made", tagPrefix + ann + tagSuffix},
		{"in upper case", strings.ToUpper(tagPrefix + ann + tagSuffix)},
		{"in mixed case", "Return+" + strings.ToUpper(ann[:half]) + ann[half:] + "@Bounce.Example.ORG"},
		{"with the other separator", "return-" + ann + tagSuffix},
		{"in quotes that it does not need", `"` + tagPrefix + ann + `"` + tagSuffix},
		{"of a delivery that was forgotten", tagPrefix + forger.sign(t, tagKey, "bounce.example.org", verp.Return, time.Now()) + tagSuffix},
		{"behind a source route", "@relay.test:" + tagPrefix + ann + tagSuffix},
	} {
		t.Run("a genuine one "+tt.name+" is accepted", func(t *testing.T) {
			if got := st.probe([]string{tt.address})[0]; !strings.HasPrefix(got, "250") {
				t.Errorf("%s: %q, want 250", tt.address, got)
			}
		})
	}
	for _, tt := range []struct {
		name string
		tags []string
	}{
		{"every change of one character", changes(ann)},
		{"20,000 random ones", random(20_000)},
		{"the name of one delivery with the signature of another", []string{ann[:15] + bob[15:], bob[:15] + ann[15:]}},
		{"every exchange of two characters", exchanges(ann)},
		{"every part cut off, and anything put behind", cuts(ann)},
		{"those of another key, day, domain or purpose", forger.foreign(t)},
	} {
		t.Run("none is accepted of "+tt.name, func(t *testing.T) {
			var addresses []string
			for _, text := range tt.tags {
				addresses = append(addresses, tagPrefix+text+tagSuffix)
			}
			for i, answer := range st.probe(addresses) {
				if !strings.HasPrefix(answer, "550") {
					t.Errorf("%s: %q, want 550", addresses[i], answer)
				}
				refused[answer] = addresses[i]
			}
		})
	}
	t.Run("all are refused in the same words", func(t *testing.T) {
		if len(refused) != 1 {
			t.Errorf("the answers differ: %q", refused)
		}
	})
	t.Run("a forged one does not fall to the catch-all", func(t *testing.T) {
		st.Reload(settings{Tables: "[verp]\nkey_files = [\"verp.key\"]\n[[route]]\naddress = \"*@bounce.example.org\"\nas = \"reply\"\nto = [\"hooks\"]"})
		forged := append(changes(ann)[:10], ann[:15]+bob[15:], forger.foreign(t)[0])
		for _, text := range forged {
			if got := st.probe([]string{tagPrefix + text + tagSuffix})[0]; !strings.HasPrefix(got, "550") {
				t.Errorf("%s: %q, want 550", text, got)
			}
		}
		if got := st.probe([]string{"anybody" + tagSuffix})[0]; !strings.HasPrefix(got, "250") {
			t.Errorf("anybody: %q, want 250 from the catch-all", got)
		}
	})
}

// changes gives every tag that differs from a genuine one in one character.
func changes(genuine string) (all []string) {
	for i := range genuine {
		for _, c := range alphabet {
			if byte(c) != genuine[i] {
				all = append(all, genuine[:i]+string(c)+genuine[i+1:])
			}
		}
	}
	return all
}

// exchanges gives every tag in which two unlike characters have changed
// places.
func exchanges(genuine string) (all []string) {
	for i := range genuine {
		for j := range i {
			if b := []byte(genuine); b[i] != b[j] {
				b[i], b[j] = b[j], b[i]
				all = append(all, string(b))
			}
		}
	}
	return all
}

// cuts gives every beginning and end of a tag, and what is longer than it.
func cuts(genuine string) []string {
	all := []string{genuine + "a", "a" + genuine, genuine + genuine, genuine + "." + genuine, genuine + "+" + genuine}
	for i := 1; i < len(genuine); i++ {
		all = append(all, genuine[:i], genuine[i:])
	}
	return all
}

func random(count int) []string {
	all := make([]string, count)
	for i := range all {
		b := make([]byte, verp.TagLength)
		for j := range b {
			b[j] = base32[rand.IntN(len(base32))]
		}
		all[i] = string(b)
	}
	return all
}

// base32 is what tags are made of.
const base32 = "abcdefghijklmnopqrstuvwxyz234567"

// A forger knows the number of a key, which is the first thing in every tag.
type forger struct{ keyID uint8 }

func forgerWho(saw string) forger { return forger{uint8(strings.IndexByte(base32, saw[0]) >> 1)} }

// sign makes a tag as the server does.
func (f forger) sign(t *testing.T, key, domain string, p verp.Purpose, sent time.Time) string {
	t.Helper()
	c, err := verp.New(verp.Options{Keys: []verp.Key{{ID: f.keyID, Secret: []byte(key)}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := c.Encode(domain, p, 42, sent)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// foreign gives tags that are well signed, and yet not good here and now.
func (f forger) foreign(t *testing.T) []string {
	t.Helper()
	const day = 24 * time.Hour
	now := time.Now()
	return []string{
		f.sign(t, tagKey, "bounce.example.org", verp.Return, now.Add(-400*day)),
		f.sign(t, tagKey, "bounce.example.org", verp.Return, now.Add(-32*day)),
		f.sign(t, tagKey, "bounce.example.org", verp.Return, now.Add(3*day)),
		f.sign(t, tagKey, "bounce.example.net", verp.Return, now),
		f.sign(t, tagKey, "example.org", verp.Return, now),
		f.sign(t, tagKey, "bounce.example.org", verp.Purpose('x'), now),
		f.sign(t, strings.Repeat("fedcba9876543210", 4), "bounce.example.org", verp.Return, now),
	}
}

func TestABounceCountsAgainstTheRecipientOfItsTagAlone(t *testing.T) {
	t.Parallel()
	// What comes back to ann names somebody else wherever a report can.
	slander := func(c toynet.Composer) toynet.Domain {
		return toynet.Domain{Behaviour: toynet.Behaviour{Later: []toynet.Later{{After: 50 * time.Millisecond, Compose: func(o toynet.Original) toynet.Letter {
			o.To = "bob@accepts.test"
			return c(o)
		}}}}}
	}
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{
		"postfix.test": slander(toynet.PostfixDSN), "exim.test": slander(toynet.EximBounce), "exchange.test": slander(toynet.ExchangeDSN), "accepts.test": {},
	}}})
	victims := recipients("ann", 1, "postfix.test", "exim.test", "exchange.test")
	sent := st.Mail(1, append(victims, "bob@accepts.test")...)
	st.Outcomes(sent)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatalf("waiting for the reports: %v", err)
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded(st.Net.Notes.All())); err != nil {
		t.Errorf("waiting for what the application is told of the reports: %v", err)
	}
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Event.Recipient == "bob@accepts.test" && tellsOfReport(c.Event) {
			t.Errorf("the application was told that bob %s: %s", c.Event.Type, c.Body)
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(victims)), st.Held()); diff != "" {
		t.Errorf("addresses on hold (-want +got):\n%s", diff)
	}
	st.Balanced()
}

func TestABounceToTheApplicationsOwnAddress(t *testing.T) {
	t.Parallel()
	world := toynet.Everyday(50 * time.Millisecond)
	t.Run("counts where it is the address that we recorded", func(t *testing.T) {
		t.Parallel()
		st := newStage(t, settings{World: world, Domain: `verp = "keep"`})
		sent := st.Mail(1, "ann@later.test", "bob@accepts.test")
		st.Outcomes(sent)
		if got := st.Arrived("ann@later.test").From; got != sent[0].Sender {
			t.Errorf("return path %q, want the application's own %q", got, sent[0].Sender)
		}
		if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded([]toynet.Note{{About: "ann@later.test", Reply: reply.Reply{Code: 250}}})); err != nil {
			t.Errorf("waiting for the bounce of ann: %v", err)
		}
		if diff := cmp.Diff([]string{"ann@later.test"}, st.Held()); diff != "" {
			t.Errorf("addresses on hold (-want +got):\n%s", diff)
		}
		st.Balanced()
	})
	for _, tt := range []struct{ name, domain string }{
		{"counts against nobody where we gave out a tag instead", ""},
		{"counts against nobody where its secret is wrong", `verp = "keep"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, settings{World: world, Domain: tt.domain})
			sent := st.Mail(1, "ann@accepts.test")
			st.Outcomes(sent)
			to := sent[0].Sender
			if tt.domain != "" {
				at := strings.LastIndexByte(to, '@')
				to = to[:at-1] + string("0123456789"[(to[at-1]+1)%10]) + to[at:]
			}
			letter := toynet.PostfixDSN(toynet.Original{Host: "mx.accepts.test", Addr: netip.MustParseAddr("127.1.2.3"), From: to, To: "ann@accepts.test",
				ID: "4A", Arrived: time.Now(), Now: time.Now(), Header: []byte("Subject: News\r\n"),
				Why: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no such user"}})
			st.bringBack(letter)
			last := st.Mail(2, "last@accepts.test")
			st.Outcomes(last) // by now the application knows all that it will know
			for _, c := range st.Net.Hook.Calls.All() {
				if tellsOfReport(c.Event) {
					t.Errorf("the application was told: %s", c.Body)
				}
			}
			if held := st.Held(); len(held) > 0 {
				t.Errorf("on hold: %q, want nobody", held)
			}
			st.Balanced()
		})
	}
}

// bringBack hands a letter to the MX, which has to take it.
func (st *stage) bringBack(l toynet.Letter) {
	st.t.Helper()
	w := dialSMTP(st.t, st.MX)
	w.begin(l.From, l.To)
	w.put(strings.ReplaceAll(string(l.Message), "\n", "\r\n"))
	w.must("\r\n.", "250")
}

// Held gives the addresses on hold, sorted.
func (st *stage) Held() (all []string) {
	st.t.Helper()
	var list struct {
		Holds []struct{ Address string }
	}
	if err := json.Unmarshal([]byte(st.Run("hold", "list", "--json")), &list); err != nil {
		st.t.Fatal(err)
	}
	for _, h := range list.Holds {
		all = append(all, h.Address)
	}
	slices.Sort(all)
	return all
}
