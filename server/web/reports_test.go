package web

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/server/reports"
)

// claim lets a receiver report 120 messages of yesterday that fail.
func (w *world) claim(domain, id string, days int) {
	w.Helper()
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
	mail := fmt.Sprintf("Content-Type: text/xml\r\n\r\n<feedback><report_metadata><org_name>google.com</org_name><report_id>%s</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>"+
		"<policy_published><domain>%s</domain><p>none</p></policy_published><record><row><source_ip>203.0.113.9</source_ip><count>120</count><policy_evaluated><disposition>none</disposition><dkim>fail</dkim>"+
		"<spf>fail</spf></policy_evaluated></row></record></feedback>", id, begin.Unix(), begin.Add(24*time.Hour-time.Second).Unix(), domain)
	if err := w.Web.Reports.(*reports.Keeper).Take(w.Context(), strings.NewReader(mail)); err != nil {
		w.Fatal(err)
	}
}

func TestReportsSayWhoSendsInOurName(t *testing.T) {
	w := open(t, nil)
	w.claim("example.org", "1", 1)
	w.claim("example.org", "2", 20)
	w.claim("xn--mller-kva.example", "3", 1)
	tests := []struct{ query, want string }{
		{"", "example.org 240, xn--mller-kva.example 120"},
		{"?since=7d", "example.org 120, xn--mller-kva.example 120"},
		{"?domain=Example.ORG", "example.org 240"},
		{"?domain=M%C3%BCller.example&since=7d", "xn--mller-kva.example 120"},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			var a reports.Answer
			w.get("/api/v1/reports"+tt.query, &a)
			var words []string
			for _, d := range a.Domains {
				words = append(words, fmt.Sprint(d.Domain, " ", d.Messages))
				if len(d.Sources) != 1 || d.Sources[0].Address.String() != "203.0.113.9" || len(d.Advice) != 1 {
					t.Errorf("%s has the sources %+v and the advice %q", d.Domain, d.Sources, d.Advice)
				}
			}
			if got := strings.Join(words, ", "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	wantProblem(t, do(t, w.url, request{path: "/api/v1/reports?domain=example.com"}), http.StatusNotFound, `"example.com" is none of the domains`)
	wantProblem(t, do(t, w.url, request{path: "/api/v1/reports?since=yesterday"}), http.StatusBadRequest, "since")
	wantProblem(t, do(t, w.url, request{path: "/api/v1/reports?name=x"}), http.StatusBadRequest, "possible are: domain, since")
}
