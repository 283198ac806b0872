package aggregate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
)

// A tlsReport is the JSON of RFC 8460 section 4.4, as far as it counts here.
type tlsReport struct {
	Organization scalar `json:"organization-name"`
	ID           scalar `json:"report-id"`
	Range        struct {
		Begin scalar `json:"start-datetime"`
		End   scalar `json:"end-datetime"`
	} `json:"date-range"`
	Contact  scalar          `json:"contact-info"`
	Policies list[tlsPolicy] `json:"policies"`
}

type tlsPolicy struct {
	Policy struct {
		Type   scalar `json:"policy-type"`
		Domain scalar `json:"policy-domain"`
	} `json:"policy"`
	Summary struct {
		Good   scalar `json:"total-successful-session-count"`
		Failed scalar `json:"total-failure-session-count"`
	} `json:"summary"`
	Failures list[tlsFailure] `json:"failure-details"`
}

type tlsFailure struct {
	Type  scalar `json:"result-type"`
	Count scalar `json:"failed-session-count"`
}

// A list is one in JSON, or what alone would be in it: there is software that
// makes no list of one.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(text []byte) error {
	switch text[0] {
	case 'n': // null
		return nil
	case '{':
		*l = make([]T, 1)
		return json.Unmarshal(text, &(*l)[0])
	}
	return json.Unmarshal(text, (*[]T)(l))
}

// A scalar is a text or a number, whichever a reporter writes; anything else
// is empty.
type scalar string

func (s *scalar) UnmarshalJSON(text []byte) error {
	var str string
	switch err := json.Unmarshal(text, &str); {
	case err == nil:
		*s = scalar(clip(str))
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		*s = scalar(clip(string(text)))
	}
	return nil
}

// mostValues bounds the structures that decoding makes: no list has more
// elements than the text has commas, and no more objects than braces.
const (
	mostValues  = 200_000
	mostObjects = 20_000
)

// tls reads a report about TLS (RFC 8460 section 4).
func (x *reading) tls(in *bufio.Reader) error {
	text, err := io.ReadAll(io.LimitReader(in, maxJSON+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxJSON, bytes.Count(text, []byte(",")) > mostValues, bytes.Count(text, []byte("{")) > mostObjects:
		return faultf(TooBig, "the JSON has more than %d octets, %d values or %d objects", maxJSON, mostValues, mostObjects)
	}
	var r tlsReport
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return faultf(Syntax, "it is no report about TLS: %s is a %s", clip(wrong.Field), wrong.Value)
		}
		return faultf(Syntax, "it is no JSON: %v", err)
	}
	if r.Policies == nil && r.ID == "" {
		return errForeign
	}
	out, err := x.finishTLS(&r)
	if err == nil {
		x.out.TLS = append(x.out.TLS, out)
	}
	return err
}

// finishTLS gives the report, if it says what one must say. Policies of no
// domain are left out.
func (x *reading) finishTLS(r *tlsReport) (TLS, error) {
	out := TLS{Head: Head{Org: string(r.Organization), ID: string(r.ID), Begin: timeOf(string(r.Range.Begin)), End: timeOf(string(r.Range.End))}}
	if out.Org == "" {
		out.Org = domainOf(string(r.Contact))
	}
	for _, p := range r.Policies {
		if err := x.row(); err != nil {
			return out, err
		}
		q := Policy{Domain: domainOf(string(p.Policy.Domain)), Type: known(p.Policy.Type, PolicyTypes)}
		if q.Domain == "" {
			continue
		}
		q.Good, _ = countOf(string(p.Summary.Good))
		q.Failed, _ = countOf(string(p.Summary.Failed))
		for _, f := range p.Failures {
			if err := x.row(); err != nil {
				return out, err
			}
			if n, _ := countOf(string(f.Count)); n > 0 {
				q.Failures = append(q.Failures, Failure{known(f.Type, FailureTypes), n})
			}
		}
		out.Policies = append(out.Policies, q)
	}
	if len(out.Policies) == 0 {
		return out, faultf(Incomplete, "the report does not say which domain it is about")
	}
	return out, out.Head.check()
}

// known gives a type if it is one of those that there are, else Other.
func known(s scalar, types []string) string {
	if t := strings.ToLower(strings.TrimSpace(string(s))); slices.Contains(types, t) {
		return t
	}
	return Other
}
