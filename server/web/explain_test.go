package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"homing/queue"
)

// hosted looks up a zone of one domain.
func hosted(_ context.Context, domain string) ([]queue.Host, error) {
	if domain != "one.test" {
		return nil, errors.New("Host or domain name not found: " + domain)
	}
	return []queue.Host{{Name: "mx.host.test", Address: netip.MustParseAddr("192.0.2.1")}}, nil
}

func TestAnExplanationInJSON(t *testing.T) {
	w := open(t, func(w *Web) { w.Hosts = hosted })
	w.give("pause", `{"domain":"one.test","by":"olga","why":"they move"}`)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/explain?domain=ONE.test"}).body, `{"domain":"one.test","site":"host.test","cause":"organisation",
		"host":"mx.host.test","address":"192.0.2.1","limits":{"connections":1,"origin":""},
		"ways":[{"source":"","active":0,"connections":1,"bound":""}],"state":"nothing","busy":0,
		"here":{"first":0,"bulk":0,"paused":0},"there":{"first":0,"bulk":0,"paused":0},
		"pauses":[{"domain":"one.test","since":"TIME","by":"olga","why":"they move","standing":true}]}`)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/explain?domain=two.test"}).body, `{"domain":"two.test","site":"two.test","cause":"nothing",
		"limits":{"connections":1,"origin":""},"ways":[{"source":"","active":0,"connections":1,"bound":""}],"state":"nothing","busy":0,
		"here":{"first":0,"bulk":0,"paused":0},"there":{"first":0,"bulk":0,"paused":0},"pauses":[],"lookup":"Host or domain name not found: two.test"}`)
}

func TestAnExplanationNeedsADomain(t *testing.T) {
	w := open(t, func(w *Web) {
		w.Hosts = hosted
		w.Sends = func(domain string) bool { return domain == "shop.example" }
	})
	const noDomain = "domain: want the domain of recipients, like example.net, and not the name of a provider"
	for path, want := range map[string]string{
		"":                                     noDomain,
		"?domain=":                             noDomain,
		"?domain=google":                       noDomain,
		"?domain=*.google.com":                 noDomain,
		"?domain=not+a.domain":                 noDomain,
		"?domain=smarthost:shop.example":       noDomain,
		"?domain=a.test&from=hsop.example":     "from: want a domain that mail is sent as",
		"?domain=a.test&site=big":              `there is no parameter "site" here`,
		"?domain=" + strings.Repeat("x", 1001): noDomain,
	} {
		wantProblem(t, do(t, w.url, request{path: "/api/v1/queue/explain" + path}), http.StatusBadRequest, want)
	}
	for _, path := range []string{"?domain=%5B192.0.2.1%5D", "?domain=%5BIPv6:2001:db8::1%5D", "?domain=b%C3%BCcher.example", "?domain=a_b.test&from=Shop.example"} {
		if got := do(t, w.url, request{path: "/api/v1/queue/explain" + path}); got.status != http.StatusOK {
			t.Errorf("%s is answered %d %s", path, got.status, got.body)
		}
	}
}

// TestMailHostsAreLookedUpForMailThatGoesThere: what goes to a smarthost needs
// no answer of the DNS.
func TestMailHostsAreLookedUpForMailThatGoesThere(t *testing.T) {
	w := open(t, func(w *Web) { w.Hosts, w.Queue = hosted, underWay{} })
	for from, want := range map[string]string{"": "1 hosts", "club.example": "1 hosts", "Shop.example": "0 hosts"} {
		var e Explanation
		w.get("/api/v1/queue/explain?domain=one.test&from="+from, &e)
		if e.Site != want || e.From != strings.ToLower(from) {
			t.Errorf("from %q: %s, from %q; want %s", from, e.Site, e.From, want)
		}
	}
}

func TestAPlanInJSON(t *testing.T) {
	w := open(t, nil)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/plan?recipients=120"}).body, `{"recipients":120,"basis":"guess",
		"sites":[{"provider":"default","recipients":120,"waiting_before":0,"through":"TIME","limited_by":"connections","limit":"1 connections at 2 messages a second"}],
		"through":"TIME","limited_by":"connections","limit":"1 connections at 2 messages a second","provider":"default"}`)
	var p queue.Plan
	w.get("/api/v1/queue/plan?recipients=7200", &p)
	if took := time.Until(*p.Through); took < 59*time.Minute || took > time.Hour+time.Second {
		t.Errorf("7200 recipients take %v, want an hour", took)
	}
}

func TestAPlanNeedsANumberOfRecipients(t *testing.T) {
	w := open(t, nil)
	for path, want := range map[string]string{
		"":                         "recipients: want a number from 1 to 1000000000",
		"?recipients=0":            "recipients: want a number from 1 to 1000000000",
		"?recipients=1000000001":   "recipients: want a number from 1 to 1000000000",
		"?recipients=many":         "recipients: want a number from 1 to 1000000000",
		"?recipients=5&domain=one": `there is no parameter "domain" here`,
	} {
		wantProblem(t, do(t, w.url, request{path: "/api/v1/queue/plan" + path}), http.StatusBadRequest, want)
	}
}

func TestCampaignsInJSON(t *testing.T) {
	w := open(t, nil)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/campaigns"}).body, `{"campaigns":[]}`)
	w = open(t, func(w *Web) { w.Queue = underWay{} })
	wantJSON(t, do(t, w.url, request{path: "/api/v1/queue/campaigns"}).body, `{"campaigns":[{"application":"crm","campaign":"spring","waiting":7,"paused":7,
		"through":null,"limited_by":"paused","limit":"it is paused","provider":""}]}`)
	wantProblem(t, do(t, w.url, request{path: "/api/v1/queue/campaigns?limit=1"}), http.StatusBadRequest, `there is no parameter "limit" here`)
}

// underWay is a queue with a campaign.
type underWay struct{ failing }

func (underWay) Through(sending string) string {
	return map[string]string{"shop.example": "relay"}[sending]
}

func (underWay) Explain(domain, from string, hosts []queue.Host) queue.Explanation {
	return queue.Explanation{Domain: domain, From: from, Site: fmt.Sprint(len(hosts), " hosts")}
}

func (underWay) Campaigns() []queue.Campaign {
	return []queue.Campaign{{Application: "crm", Campaign: "spring", Waiting: 7, Paused: 7, LimitedBy: queue.LimitPaused, Limit: "it is paused"}}
}
