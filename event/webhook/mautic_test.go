package webhook_test

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/webhook"
)

// anns are an answer of Mautic to a search: two contacts have the address, one
// only looks like it.
const anns = `{"total":"3","contacts":{
"47":{"id":47,"points":0,"fields":{"core":{"email":{"id":"6","alias":"email","value":"Ann@example.net"}},"all":{"id":47,"email":"Ann@example.net"}}},
"9":{"id":9,"fields":{"core":{},"all":{"id":9,"email":"ann@example.net"}}},
"8":{"id":8,"fields":{"core":{},"all":{"id":8,"email":"joann@example.net"}}}}}`

// A mauticSite answers as Mautic's API does, and keeps what it was asked.
type mauticSite struct {
	found   string // what a search gives
	statusA int    // of the answer to a mark; 0: 200
	asked   []string
}

func (m *mauticSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	user, password, _ := r.BasicAuth()
	if user != "api" || password != "geheim" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"errors":[{"code":401,"message":"API authorization denied."}]}`)
		return
	}
	m.asked = append(m.asked, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+string(body)))
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, m.found)
		return
	}
	if m.statusA != 0 {
		w.WriteHeader(m.statusA)
	}
	_, _ = io.WriteString(w, `{"channel":"email","contact":{}}`)
}

func asMautic(password string) func(*webhook.Config) {
	return func(c *webhook.Config) {
		c.Format, c.Secrets, c.Username, c.Password = webhook.Mautic, nil, "api", webhook.ParsePassword(password)
	}
}

const search = "GET /m/api/contacts?limit=30&orderBy=id&search=email%3Aann%40example.net"

func TestMauticMarksEachContactWithTheAddress(t *testing.T) {
	for _, tt := range []struct {
		name string
		want []string // requests after the search; nil: nothing is asked at all
	}{
		{"hard", []string{`POST /m/api/contacts/9/dnc/email/add {"reason":2,"comments":"550 5.1.1 <ann@example.net> & no such user"}`,
			`POST /m/api/contacts/47/dnc/email/add {"reason":2,"comments":"550 5.1.1 <ann@example.net> & no such user"}`}},
		{"complained", []string{`POST /m/api/contacts/9/dnc/email/add {"reason":1,"comments":"Called the mail unwanted (spam complaint)"}`,
			`POST /m/api/contacts/47/dnc/email/add {"reason":1,"comments":"Called the mail unwanted (spam complaint)"}`}},
		{"unsubscribed", []string{`POST /m/api/contacts/9/dnc/email/add {"reason":1,"comments":"Asked to get no more mail"}`,
			`POST /m/api/contacts/47/dnc/email/add {"reason":1,"comments":"Asked to get no more mail"}`}},
		{"resubscribed", []string{"POST /m/api/contacts/9/dnc/email/remove {}", "POST /m/api/contacts/47/dnc/email/remove {}"}},
		{"soft", nil},
		{"our own fault", nil},
		{"expired", nil},
		{"delivered", nil},
		{"held by an operator", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			site := &mauticSite{found: anns}
			srv := server(t, site.ServeHTTP)
			s := sink(t, srv.URL+"/m", asMautic("geheim"))
			all := facts(t)
			e := all[slices.IndexFunc(all, func(f fact) bool { return f.name == tt.name })].Event
			if s.Wants(e) != (tt.want != nil) {
				t.Fatalf("Wants = %v", s.Wants(e))
			}
			if tt.want == nil {
				return
			}
			if err := s.Tell(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(append([]string{search}, tt.want...), site.asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatAnAnswerOfMauticMeans(t *testing.T) {
	for _, tt := range []struct {
		name, password string
		site           mauticSite
		told           bool
		fault          event.Fault
		says           string
	}{
		{"nobody has the address", "geheim", mauticSite{found: `{"total":"0","contacts":[]}`}, true, 0, ""},
		{"somebody has one that looks like it", "geheim", mauticSite{found: `{"contacts":{"8":{"fields":{"all":{"email":"joann@example.net"}}}}}`}, true, 0, ""},
		{"the password is wrong", "falsch", mauticSite{}, false, event.Down, "password of the sink is wrong"},
		{"the user may not", "geheim", mauticSite{found: anns, statusA: 403}, false, event.Down, "may not do this"},
		{"a page in place of data", "geheim", mauticSite{found: "<html>"}, false, event.Unclear, "no list of contacts"},
		{"a mark fails", "geheim", mauticSite{found: anns, statusA: 500}, false, event.Unclear, "marking contact 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := server(t, tt.site.ServeHTTP)
			err := sink(t, srv.URL+"/m/", asMautic(tt.password)).Tell(t.Context(), bounced())
			if (err == nil) != tt.told {
				t.Fatalf("Tell = %v, want told %v", err, tt.told)
			}
			var f *event.Failure
			if errors.As(err, &f); f != nil && f.Fault != tt.fault || f == nil && tt.fault != event.Unclear {
				t.Errorf("Tell = %v, want fault %d", err, tt.fault)
			}
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Tell = %v, want it to say %q", err, tt.says)
			}
		})
	}
}

// FuzzContactsWith states that no answer makes trouble, and that whoever is
// given comes once, in order.
func FuzzContactsWith(f *testing.F) {
	f.Add([]byte(anns), "ann@example.net")
	f.Add([]byte(`{"contacts":[]}`), "ann@example.net")
	f.Add([]byte(`{"contacts":{"-1":{}}}`), "")
	f.Fuzz(func(t *testing.T, answer []byte, address string) {
		ids, err := webhook.ContactsWith(answer, address)
		if err != nil && len(ids) > 0 {
			t.Errorf("%d contacts and the error %v", len(ids), err)
		}
		if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Errorf("contacts %v", ids)
		}
	})
}
