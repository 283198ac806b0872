package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/config"
)

func newApp() *cobra.Command {
	return group("app", "The applications that may send", newAppList(), newAppAdd())
}

func newAppList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the applications that may send",
		Args:  cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _, err := loadConfig(c)
		if err != nil {
			return err
		}
		if *asJSON {
			return listAppsJSON(c.OutOrStdout(), cfg)
		}
		return listApps(c.OutOrStdout(), cfg)
	}
	return c
}

func listApps(w io.Writer, cfg *config.Config) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tKIND\tDOMAINS\tKNOWN BY\tTELLS\tMODE")
	for _, a := range cfg.Applications {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", a.Name, a.Kind, strings.Join(a.Domains, " "),
			knownBy(a), strings.Join(sinksOf(cfg, a), " "), modeOf(cfg, a))
	}
	return t.Flush()
}

// knownBy says in a few words how an application is recognised.
func knownBy(a config.Application) string {
	var ways []string
	if !a.Password.IsZero() {
		ways = append(ways, "password")
	}
	for _, n := range a.Networks {
		ways = append(ways, n.String())
	}
	for _, u := range a.Users {
		ways = append(ways, "user "+u)
	}
	return cmp.Or(strings.Join(ways, ", "), "token only")
}

// sinksOf names who is told of an application: its own sinks, else those of
// its domains.
func sinksOf(cfg *config.Config, a config.Application) []string {
	if len(a.Sinks) > 0 {
		return a.Sinks
	}
	var names []string
	for _, d := range cfg.Domains {
		if slices.Contains(a.Domains, d.Name) {
			names = append(names, d.Sinks...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// modeOf is the stricter of the server's mode and the application's.
func modeOf(cfg *config.Config, a config.Application) config.Mode {
	for _, m := range []config.Mode{config.Refuse, config.Capture} {
		if cfg.Mode == m || a.Mode == m {
			return m
		}
	}
	return config.Deliver
}

func listAppsJSON(w io.Writer, cfg *config.Config) error {
	type listed struct {
		Name       string      `json:"name"`
		Kind       config.Kind `json:"kind"`
		Domains    []string    `json:"domains"`
		Password   bool        `json:"password"`
		Networks   []string    `json:"networks"`
		Users      []string    `json:"users"`
		VERPPrefix string      `json:"verp_prefix"`
		Sinks      []string    `json:"sinks"`
		Mode       config.Mode `json:"mode"`
	}
	list := make([]listed, 0, len(cfg.Applications))
	for _, a := range cfg.Applications {
		l := listed{a.Name, a.Kind, a.Domains, !a.Password.IsZero(), []string{}, append([]string{}, a.Users...),
			a.VERPPrefix, sinksOf(cfg, a), modeOf(cfg, a)}
		for _, n := range a.Networks {
			l.Networks = append(l.Networks, n.String())
		}
		list = append(list, l)
	}
	return printJSON(w, list)
}
