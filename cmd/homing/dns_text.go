package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"homing/dnscheck"
	"homing/internal/terminal"
)

// printRecords shows what to enter where.
func printRecords(w io.Writer, plan dnscheck.Plan) error {
	rows := make([]dnscheck.Difference, 0, len(plan.Records))
	for _, r := range plan.Records {
		rows = append(rows, dnscheck.Difference{Record: r, From: r.Instead})
	}
	if err := printTables(w, rows, false); err != nil {
		return err
	}
	printPolicies(w, plan.Policies)
	printRemarks(w, plan.Remarks)
	_, err := fmt.Fprintln(w, "\nA text goes into one record, without quotes. What of this is published already, `homing dns --diff` says.")
	return err
}

// printDifferences shows what is published and what is to do.
func printDifferences(w io.Writer, plan dnscheck.Plan, all []dnscheck.Difference) error {
	if err := printTables(w, all, true); err != nil {
		return err
	}
	todo, unknown := dnscheck.Outstanding(plan, all)
	if todo+unknown > 0 {
		printPolicies(w, plan.Policies)
	}
	printRemarks(w, plan.Remarks)
	_, err := fmt.Fprintln(w, "\n"+verdictOf(len(plan.Records), todo, unknown))
	return err
}

func verdictOf(records, todo, unknown int) string {
	switch {
	case todo > 0 && unknown > 0:
		return fmt.Sprintf("To do: %d. Not found out, because the DNS did not answer: %d.", todo, unknown)
	case todo > 0:
		return fmt.Sprintf("To do: %d.", todo)
	case unknown > 0:
		return fmt.Sprintf("Nothing is to do as far as the DNS answered; not found out: %d. Ask again later.", unknown)
	}
	return fmt.Sprintf("All is green: %d records are published as wanted.", records)
}

// printTables shows records in a table for each zone.
func printTables(w io.Writer, rows []dnscheck.Difference, states bool) error {
	for i := 0; i < len(rows); {
		n := i + 1
		for n < len(rows) && heading(rows[n]) == heading(rows[i]) {
			n++
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, heading(rows[i]))
		if err := printTable(w, rows[i:n], states); err != nil {
			return err
		}
		i = n
	}
	return nil
}

func heading(d dnscheck.Difference) string {
	if d.Provider {
		return "Reverse DNS, which the provider of the address sets"
	}
	return "Zone " + d.Zone
}

func printTable(w io.Writer, rows []dnscheck.Difference, states bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	state := func(s string) string {
		if !states {
			return ""
		}
		return s + "\t"
	}
	fmt.Fprintf(t, "  %sNAME\tTYPE\tTTL\tVALUE\n", state("STATE"))
	for _, d := range rows {
		fmt.Fprintf(t, "  %s%s\t%s\t%d\t%s\n", state(string(d.State)), entered(d.Record), d.Type, d.TTL, shownValue(d))
		for _, old := range d.From {
			fmt.Fprintf(t, "  %s\t\t\tinstead of: %s\n", state(""), terminal.Line(old))
		}
		if d.Note != "" {
			fmt.Fprintf(t, "  %s\t\t\t(%s)\n", state(""), terminal.Line(d.Note))
		}
	}
	return t.Flush()
}

// entered gives the name as it is entered: at a provider of addresses, the
// address.
func entered(r dnscheck.Record) string {
	if a := r.Address(); r.Provider && a.IsValid() {
		return a.String()
	}
	return r.Relative()
}

// maxPublished is how much is shown of a value that is published already.
const maxPublished = 70

func shownValue(d dnscheck.Difference) string {
	if d.State == dnscheck.Published {
		return terminal.Clip(d.Value, maxPublished)
	}
	return terminal.Line(d.Value)
}

func printPolicies(w io.Writer, all []dnscheck.Policy) {
	for _, p := range all {
		fmt.Fprintf(w, "\nTo be served at %s, as text/plain:\n", p.URL)
		for line := range strings.Lines(p.Text) {
			fmt.Fprintln(w, "  "+strings.TrimSpace(line))
		}
	}
}

// printRemarks shows what is to do first.
func printRemarks(w io.Writer, all []dnscheck.Remark) {
	order := []dnscheck.Kind{dnscheck.Todo, dnscheck.Unknown, dnscheck.Note}
	word := map[dnscheck.Kind]string{dnscheck.Todo: "To do", dnscheck.Unknown: "Not found out", dnscheck.Note: "Note"}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b dnscheck.Remark) int { return slices.Index(order, a.Kind) - slices.Index(order, b.Kind) })
	for _, r := range all {
		fmt.Fprintf(w, "\n%s, %s: %s\n", word[r.Kind], r.Subject, terminal.Line(r.Text))
	}
}

// printZones writes the records as a zone file (RFC 1035 section 5), with what
// else there is to say in comments.
func printZones(w io.Writer, plan dnscheck.Plan) error {
	zone := ""
	for _, r := range plan.Records {
		if r.Provider {
			fmt.Fprintf(w, "\n; %s\n; %s. %d IN PTR %s\n", terminal.Line(r.Why), r.Name, r.TTL, r.Value)
			continue
		}
		if r.Zone != zone {
			if zone != "" {
				fmt.Fprintln(w)
			}
			zone = r.Zone
			fmt.Fprintf(w, "$ORIGIN %s.\n", zone)
		}
		fmt.Fprintf(w, "; %s\n", terminal.Line(r.Why))
		for _, old := range r.Instead {
			gone := r
			gone.Value = old
			fmt.Fprintf(w, "; instead of, which must go: %s\n", gone.Quoted())
		}
		value := r.Value
		if r.Type == "TXT" {
			value = r.Quoted()
		}
		fmt.Fprintf(w, "%s %d IN %s %s\n", r.Relative(), r.TTL, r.Type, value)
	}
	return printComments(w, plan)
}

func printComments(w io.Writer, plan dnscheck.Plan) error {
	var b strings.Builder
	printPolicies(&b, plan.Policies)
	printRemarks(&b, plan.Remarks)
	for line := range strings.Lines(b.String()) {
		text := strings.TrimRight("; "+strings.TrimRight(line, "\n"), " ")
		if _, err := fmt.Fprintln(w, strings.TrimSuffix(text, ";")); err != nil {
			return err
		}
	}
	return nil
}
