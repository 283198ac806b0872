package dnscheck

import (
	"context"
	"errors"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// A State says how a wanted record stands to what is published.
type State string

// The states.
const (
	Published State = "ok"      // it is there
	ToAdd     State = "add"     // nothing is there that it would contradict
	ToChange  State = "change"  // what is there, From, gives way to it
	ToRemove  State = "remove"  // the record is not wanted: it contradicts one that is
	Unseen    State = "unknown" // the DNS did not answer
)

// A Difference is a record and what is to be done about it.
type Difference struct {
	Record
	State State    `json:"state"`
	From  []string `json:"from,omitempty"` // what is published and gives way
	Note  string   `json:"note,omitempty"`
}

// Diff compares a Plan with what is published. To be removed is only what
// contradicts us where it stands: a second SPF record, another key under a
// selector of ours. What others have published beside ours is nobody's
// business here.
func Diff(ctx context.Context, r Resolver, plan Plan) []Difference {
	var parts []func(context.Context) []Difference
	for rest := plan.Records; len(rest) > 0; {
		n := 1
		for n < len(rest) && alike(rest[0], rest[n]) {
			n++
		}
		wanted := rest[:n]
		parts = append(parts, func(ctx context.Context) []Difference { return compare(ctx, r, wanted) })
		rest = rest[n:]
	}
	return append([]Difference{}, slices.Concat(together(ctx, parts)...)...)
}

// alike reports whether two records are of one set.
func alike(a, b Record) bool {
	return a.Name == b.Name && a.Type == b.Type && a.Purpose == b.Purpose
}

// Outstanding counts what is to be done and what could not be found out. When
// both are 0, all is green.
func Outstanding(plan Plan, all []Difference) (todo, unknown int) {
	for _, d := range all {
		switch d.State {
		case Published:
		case Unseen:
			unknown++
		default:
			todo++
		}
	}
	for _, r := range plan.Remarks {
		switch r.Kind {
		case Todo:
			todo++
		case Unknown:
			unknown++
		}
	}
	return todo, unknown
}

// compare finds what is to be done about the records of one set.
func compare(ctx context.Context, r Resolver, wanted []Record) (out []Difference) {
	found, err := lookUp(ctx, r, wanted[0])
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		for _, w := range wanted {
			out = append(out, Difference{Record: w, State: Unseen, Note: err.Error()})
		}
		return out
	}
	var open []int // of out
	for _, w := range wanted {
		d := Difference{Record: w, State: Published}
		if i := slices.IndexFunc(found, func(value string) bool { return same(w, value) }); i >= 0 {
			found = slices.Delete(found, i, i+1)
		} else {
			d.State, open = ToAdd, append(open, len(out))
		}
		out = append(out, d)
	}
	if alone(wanted[0].Purpose) {
		out = settle(out, open, found)
	} else {
		out = beside(ctx, r, out, open, found)
	}
	noAlias(ctx, r, out)
	for i, d := range out {
		if (d.State == ToAdd || d.State == ToChange) && d.Note == "" {
			out[i].Note = cause(ctx, r, d)
		}
	}
	return out
}

// noAlias wants the addresses themselves at the name that we call ourselves,
// which is an MX as well and must be no alias (RFC 2181 section 10.3).
func noAlias(ctx context.Context, r Resolver, out []Difference) {
	if out[0].Purpose != ForHost {
		return
	}
	of := aliasOf(ctx, r, out[0].Name)
	for i := range out {
		if of != "" && out[i].State == Published {
			out[i].State, out[i].From = ToChange, []string{"CNAME " + of + "."}
		}
	}
}

// alone reports whether records of a purpose suffer no other at their name.
func alone(p Purpose) bool {
	return slices.Contains([]Purpose{ForSPF, ForDKIM, ForDMARC, ForSTS, ForTLSRPT}, p)
}

// settle lets each record that is missing take the place of one that it
// contradicts; what contradicts and is left over goes.
func settle(out []Difference, open []int, rivals []string) []Difference {
	for _, i := range open {
		if len(rivals) > 0 {
			out[i].State, out[i].From, rivals = ToChange, rivals[:1], rivals[1:]
		}
	}
	for _, value := range rivals {
		gone := out[0].Record
		gone.Value, gone.Instead = value, nil
		gone.Why = "it contradicts the record that is wanted here"
		out = append(out, Difference{Record: gone, State: ToRemove})
	}
	return out
}

// beside judges what stands beside records that suffer others: they give way
// only where none of ours is there.
func beside(ctx context.Context, r Resolver, out []Difference, open []int, others []string) []Difference {
	first := &out[0]
	switch purpose := first.Purpose; {
	case len(others) == 0 || purpose == ForConsent:
	case purpose == ForDANE:
		first.Note = "others stand beside it: right while certificates change, else they can go"
	case len(open) < len(out): // one of ours is there
		first.Note = besides(purpose, others)
	case purpose == ForReversal && confirmed(ctx, r, first.Record, others) != "":
		first.State, first.Note = Published, "the name is "+confirmed(ctx, r, first.Record, others)+", which leads back to the address: good enough"
	default:
		first.State, first.From = ToChange, others
	}
	return out
}

func besides(p Purpose, others []string) string {
	list := strings.Join(others, ", ")
	switch p {
	case ForMX:
		return "mail may go to " + list + " as well: it comes here only if it is handed on"
	case ForHost:
		return "the name leads to " + list + " as well: if that is an address of this machine, it is missing in delivery.public_addresses"
	}
	return "there is " + list + " as well"
}

// confirmed gives the name of an address that leads back to it and belongs to
// us; "": there is none.
func confirmed(ctx context.Context, r Resolver, record Record, names []string) string {
	ours := dnsx.Organisation(strings.TrimSuffix(record.Value, "."))
	for _, name := range names {
		name = strings.TrimSuffix(name, ".")
		addrs, err := r.Addrs(ctx, name)
		if err == nil && slices.Contains(addrs, record.address) && dnsx.Organisation(name) == ours {
			return name
		}
	}
	return ""
}
