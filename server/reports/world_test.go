package reports

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/internal/dnsx/dnstest"
)

// noon of the day after the reports of these tests.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// memory is notes that can refuse.
type memory struct {
	mu      sync.Mutex
	values  map[string][]byte
	refuses error
}

func (m *memory) Notes(context.Context, string) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values), m.refuses
}

func (m *memory) Note(_ context.Context, _ string, values map[string][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuses != nil {
		return m.refuses
	}
	for name, v := range values {
		switch {
		case v == nil:
			delete(m.values, name)
		case len(v) > 64<<10:
			return fmt.Errorf("the note %s has %d octets", name, len(v))
		default:
			m.values[name] = v
		}
	}
	return nil
}

// A world is a Keeper of an association with a newsletter.
type world struct {
	*testing.T
	*Keeper
	notes    *memory
	zone     *dnstest.Zone
	registry *prometheus.Registry
	now      time.Time
}

var association = Names{
	Senders: []string{"example.org", "shop.example"}, Others: []string{"bounce.example.org"}, Hostname: "mail.example.org", Address: "dmarc@bounce.example.org",
	Selectors: map[string][]string{"example.org": {"homing1"}}, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10")}, Keep: 90 * 24 * time.Hour,
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, notes: &memory{values: map[string][]byte{}}, now: noon, zone: &dnstest.Zone{
		PTRs: map[netip.Addr][]string{
			netip.MustParseAddr("198.51.100.9"): {"mail.newsletter.example"},
			netip.MustParseAddr("198.51.100.8"): {"mail.bank.example"},
			netip.MustParseAddr("203.0.113.10"): {"mail.example.org"},
		},
		Hosts: map[string][]netip.Addr{"mail.newsletter.example": dnstest.Addrs("198.51.100.9"), "mail.bank.example": dnstest.Addrs("192.0.2.1"),
			"mail.example.org": dnstest.Addrs("203.0.113.10", "2001:db8::10")},
	}}
	w.again()
	return w
}

// again makes a Keeper anew, as a restart does.
func (w *world) again() {
	w.Helper()
	w.registry = prometheus.NewRegistry()
	var err error
	w.Keeper, err = New(w.Context(), Config{Notes: w.notes, Resolver: w.zone, Names: association, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now }, Metrics: w.registry})
	if err != nil {
		w.Fatal(err)
	}
}

// A told is a row of a report that a test writes.
type told struct {
	from      string
	count     int
	dkim, spf bool
	more      string // elements of the record
	reason    string
}

func (r told) xml() string {
	word := map[bool]string{true: "pass", false: "fail"}
	return fmt.Sprintf("<record><row><source_ip>%s</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>%s</dkim><spf>%s</spf>%s</policy_evaluated></row>%s</record>",
		r.from, r.count, word[r.dkim], word[r.spf], r.reason, r.more)
}

// A report is a DMARC report that a test writes.
type report struct {
	org, id, domain, policy string
	begin                   time.Time
	rows                    []told
}

// usual completes a report.
func (r report) mail() string {
	if r.begin.IsZero() {
		r.begin = noon.Add(-36 * time.Hour)
	}
	var rows strings.Builder
	for _, row := range r.rows {
		rows.WriteString(row.xml())
	}
	return fmt.Sprintf("Content-Type: text/xml\r\n\r\n<feedback><report_metadata><org_name>%s</org_name><report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>"+
		"<policy_published><domain>%s</domain><p>%s</p></policy_published>%s</feedback>", r.org, r.id, r.begin.Unix(), r.begin.Add(24*time.Hour-time.Second).Unix(), r.domain, r.policy, rows.String())
}

// tlsMail is a report about TLS.
func tlsMail(id, domain, kind string, good, failed int, failure string) string {
	return fmt.Sprintf("Content-Type: application/tlsrpt+json\r\n\r\n"+`{"organization-name":"google.com","report-id":"%s","date-range":{"start-datetime":"2026-11-22T00:00:00Z","end-datetime":"2026-11-22T23:59:59Z"},`+
		`"policies":[{"policy":{"policy-type":"%s","policy-domain":"%s"},"summary":{"total-successful-session-count":%d,"total-failure-session-count":%d},"failure-details":[{"result-type":"%s","failed-session-count":%[5]d}]}]}`,
		id, kind, domain, good, failed, failure)
}

// take gives mail to the Keeper.
func (w *world) take(mail string) {
	w.Helper()
	if err := w.Take(w.Context(), strings.NewReader(mail)); err != nil {
		w.Fatal(err)
	}
}

// of gives what was reported of a domain.
func (w *world) of(domain string) Domain {
	w.Helper()
	a, known := w.Answer(w.Context(), domain, time.Time{})
	if !known || len(a.Domains) != 1 {
		w.Fatalf("of %s: known %v, %d domains", domain, known, len(a.Domains))
	}
	return a.Domains[0]
}

// counted gives the metrics that are not 0, as `name{label="value"} 3`.
func (w *world) counted() string {
	w.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetValue())
			}
			if v := m.Counter.GetValue(); v > 0 {
				lines = append(lines, fmt.Sprintf("%s %s %v", strings.TrimPrefix(f.GetName(), "homing_reports_"), strings.Join(labels, ","), v))
			}
		}
	}
	return strings.Join(lines, "\n")
}

// noted gives all notes, by name.
func (w *world) noted() map[string]day {
	w.Helper()
	all := map[string]day{}
	for name, text := range w.notes.values {
		var d day
		if err := json.Unmarshal(text, &d); err != nil {
			w.Fatalf("%s: %v", name, err)
		}
		all[name] = d
	}
	return all
}
