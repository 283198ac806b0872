package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

func newHoldRelease() *cobra.Command {
	c := &cobra.Command{
		Use:   "release [ADDRESS…]",
		Short: "Let addresses be mailed again",
		Long: "Let addresses be mailed again: those that are named, or all that --rule, --since, --domain and --provider choose.\n" +
			"What was said against them before counts no more.",
		Example: "  homing hold release ann@example.net\n  homing hold release --since 2h --rule hard --provider google --dry-run",
	}
	holdFlags(c)
	dryRun := c.Flags().Bool("dry-run", false, "say what would be released and release nothing")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, addresses []string) error {
		chosen := asked(c, "domain", "provider", "rule", "since")
		switch {
		case len(addresses) == 0 && len(chosen) == 0:
			return usage(c, errors.New("name addresses, or choose some with --rule, --since, --domain or --provider"))
		case len(addresses) > 0 && len(chosen) > 0:
			return usage(c, errors.New("name addresses or choose some, not both"))
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		r := release{control: server, application: c.Flag("application").Value.String(), dryRun: *dryRun, each: func(x released) error {
			if *asJSON {
				return nil
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), x)
			return err
		}}
		if len(chosen) > 0 {
			addresses, err = r.choose(c.Context(), chosen)
		}
		if err == nil {
			err = r.all(c.Context(), addresses)
		}
		if *asJSON {
			return errors.Join(printJSON(c.OutOrStdout(), r.done), err)
		}
		return err
	}
	return c
}

// A release is one run of `homing hold release`.
type release struct {
	*control
	application string
	dryRun      bool
	each        func(released) error
	done        []released
}

// released says what a release did to one address.
type released struct {
	Address  string `json:"address"`
	Released bool   `json:"released"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

func (r released) String() string {
	address := terminal.Line(r.Address)
	switch {
	case !r.Released:
		return address + " was not on hold."
	case r.DryRun:
		return address + " would be released."
	}
	return address + " is released: it will be mailed again."
}

// choose lists the addresses of those holds that a query asks for.
func (r *release) choose(ctx context.Context, query url.Values) ([]string, error) {
	if r.application != "" {
		query.Set("application", r.application)
	}
	found, err := r.holds(ctx, query)
	var addresses []string
	for _, h := range found.Holds {
		addresses = append(addresses, h.Address)
	}
	return addresses, err
}

// all releases one address after the other. What was done before an error is
// in done.
func (r *release) all(ctx context.Context, addresses []string) error {
	r.done = []released{}
	for _, address := range addresses {
		x := released{Address: address, DryRun: r.dryRun}
		var err error
		if x.Released, err = r.one(ctx, address); err != nil {
			return err
		}
		r.done = append(r.done, x)
		if err := r.each(x); err != nil {
			return err
		}
	}
	return nil
}

// one releases one address and reports whether it was on hold.
func (r *release) one(ctx context.Context, address string) (bool, error) {
	if r.dryRun {
		h, err := r.hold(ctx, address)
		return holds(h, r.application), err
	}
	if err := checkAddress(address); err != nil {
		return false, err
	}
	query := url.Values{}
	if r.application != "" {
		query.Set("application", r.application)
	}
	err := r.call(ctx, http.MethodDelete, "/api/v1/holds/"+url.PathEscape(address), query, nil, nil)
	if notFound(err) {
		return false, nil
	}
	return err == nil, err
}

// holds reports whether an address is on hold for an application; "": for any.
func holds(h web.Hold, application string) bool {
	for _, s := range h.Scopes {
		if len(s.Holds) > 0 && (application == "" || s.Application == "" || s.Application == application) {
			return true
		}
	}
	return false
}
