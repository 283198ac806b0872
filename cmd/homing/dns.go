package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/dnscheck"
	"homing/internal/dnsx"
)

func newDNS() *cobra.Command {
	c := &cobra.Command{
		Use:   "dns [ZONE...]",
		Short: "Show the DNS records that are wanted, and what of them is published",
		Long: "Show the DNS records that are wanted for the configuration: what to enter in which zone. The server need not run. SPF and DMARC\n" +
			"are made of what is published already, of which nothing is taken away, and the MX of a domain whose mail is elsewhere stays there.\n" +
			"With zones, only what belongs into them.\n\n" +
			"With --diff the exit code is 0 when everything is published as wanted, 1 when something is to do, and 2 when the DNS did not answer.",
		Example: "  homing dns\n  homing dns --zone example.org >homing.zone\n  homing dns --diff\n  homing dns --watch",
	}
	var j dnsJob
	c.Flags().BoolVar(&j.zone, "zone", false, "print a zone file, for a name server that reads one")
	c.Flags().BoolVar(&j.diff, "diff", false, "compare with what is published")
	c.Flags().BoolVar(&j.watch, "watch", false, "compare again and again, at the name servers of the zones, until everything is published")
	c.Flags().BoolVar(&j.tlsa, "tlsa", false, "want TLSA records of the certificate as well; without it only where there are some already")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, zones []string) error {
		if j.zone && (*asJSON || j.diff || j.watch) {
			return usage(c, errors.New("--zone goes together with none of --json, --diff and --watch"))
		}
		cfg, _, err := loadConfig(c)
		if err != nil {
			return err
		}
		j.cfg, j.json, j.out = cfg, *asJSON, c.OutOrStdout()
		if j.setup, err = setupOf(cfg); err != nil {
			return err
		}
		for _, z := range zones {
			name, err := dnsx.Canonical(z)
			if err != nil {
				return usage(c, err)
			}
			j.zones = append(j.zones, name)
		}
		return j.run(c.Context())
	}
	return c
}

// A dnsJob is one call of `homing dns`.
type dnsJob struct {
	zone, json, diff, watch, tlsa bool

	cfg   *config.Config
	setup dnscheck.Setup
	zones []string // empty: all
	out   io.Writer
}

// dnsWithin is how long the DNS has for everything that is asked at once.
const dnsWithin = time.Minute

func (j *dnsJob) run(ctx context.Context) error {
	if j.watch {
		return j.watchUntilGreen(ctx)
	}
	r, err := dnsx.New(dnsOptions(j.cfg))
	if err != nil {
		return fmt.Errorf("dns.server: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dnsWithin)
	defer cancel()
	plan, err := j.plan(ctx, r)
	switch {
	case err != nil:
		return err
	case j.zone:
		return printZones(j.out, plan)
	case j.diff:
		return j.printDiff(plan, dnscheck.Diff(ctx, r, plan))
	case j.json:
		return printJSON(j.out, plan)
	}
	return printRecords(j.out, plan)
}

// plan gives what is wanted in the zones that were asked for.
func (j *dnsJob) plan(ctx context.Context, r dnscheck.Resolver) (plan dnscheck.Plan, err error) {
	s := j.setup
	if s.Pinned, err = pinned(ctx, r, j.cfg, s, j.tlsa); err != nil {
		return plan, err
	}
	return ofZones(dnscheck.Wanted(ctx, r, s), j.zones)
}

// ofZones leaves of a plan what belongs into some zones.
func ofZones(plan dnscheck.Plan, zones []string) (dnscheck.Plan, error) {
	if len(zones) == 0 {
		return plan, nil
	}
	known := zonesOf(plan)
	for _, z := range zones {
		if !slices.Contains(known, z) {
			return plan, &exitError{exitUnable, fmt.Errorf("nothing is wanted in a zone %s; there are: %s", z, strings.Join(known, ", "))}
		}
	}
	// A name belongs into the longest of the zones that it is in.
	in := func(name string) bool {
		best := ""
		for _, z := range known {
			if (name == z || strings.HasSuffix(name, "."+z)) && len(z) > len(best) {
				best = z
			}
		}
		return slices.Contains(zones, best)
	}
	plan.Records = slices.DeleteFunc(plan.Records, func(r dnscheck.Record) bool { return r.Provider || !slices.Contains(zones, r.Zone) })
	plan.Policies = slices.DeleteFunc(plan.Policies, func(p dnscheck.Policy) bool { return !in(p.Domain) })
	plan.Remarks = slices.DeleteFunc(plan.Remarks, func(r dnscheck.Remark) bool { return !in(r.Subject) })
	return plan, nil
}

// zonesOf gives the zones in which something is wanted, in order.
func zonesOf(plan dnscheck.Plan) (all []string) {
	for _, r := range plan.Records {
		if !r.Provider && !slices.Contains(all, r.Zone) {
			all = append(all, r.Zone)
		}
	}
	return all
}

// printDiff shows the differences. Its error is the exit code.
func (j *dnsJob) printDiff(plan dnscheck.Plan, all []dnscheck.Difference) error {
	todo, unknown := dnscheck.Outstanding(plan, all)
	var err error
	if j.json {
		err = printJSON(j.out, struct {
			Green       bool                  `json:"green"`
			Differences []dnscheck.Difference `json:"differences"`
			Policies    []dnscheck.Policy     `json:"policies"`
			Remarks     []dnscheck.Remark     `json:"remarks"`
		}{todo+unknown == 0, all, plan.Policies, plan.Remarks})
	} else {
		err = printDifferences(j.out, plan, all)
	}
	switch {
	case err != nil:
		return err
	case todo > 0:
		return &exitError{code: exitFailed}
	case unknown > 0:
		return &exitError{code: exitUnable}
	}
	return nil
}
