package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"homing/config"
)

// accounts are those elsewhere that somebody must have, so that the server goes
// on to work when whoever set it up is gone.
func accounts(cfg *config.Config) (all []string) {
	var names, returns []string
	for _, d := range cfg.Domains {
		names = append(names, d.Name)
		if _, name, ok := strings.Cut(d.ReturnPath, "@"); ok && !slices.Contains(returns, name) {
			returns = append(returns, name)
		}
	}
	all = append(all, fmt.Sprintf("the DNS of %s (`homing dns` says what stands there)", strings.Join(slices.Concat(names, returns, []string{cfg.Hostname}), ", ")))
	all = append(all, "the provider of the machine, for the reverse DNS of its addresses and for port 25")
	for _, s := range smarthostsOf(cfg) {
		as := ""
		if s.Username != "" {
			as = ", where it logs in as " + s.Username
		}
		all = append(all, "the smarthost "+s.Address.Address+as)
	}
	for _, s := range cfg.Sources {
		all = append(all, "the mailbox "+s.Username+" at "+s.Address.Address+", whose folder "+s.Folder+" is read")
	}
	return append(all,
		"Google Postmaster Tools, https://postmaster.google.com: what Gmail thinks of these domains",
		"Microsoft SNDS and JMRP, https://sendersupport.olc.protection.outlook.com: the same of these addresses, and complaints of its users",
		"the feedback loops of other receivers, whose complaints go to a [[route]] with as = \"complaint\"")
}

// secretAge is how long a secret is used before another one is advised.
const secretAge = 365 * 24 * time.Hour

// dueSecrets are the secrets that have been there for long, by the times of
// their files, with what to do. Those of return addresses are kept for as long
// as addresses made with them are valid.
func dueSecrets(cfg *config.Config, now time.Time) (all []string) {
	add := func(file, advice string) {
		if info, err := os.Stat(file); file != "" && err == nil && now.Sub(info.ModTime()) > secretAge {
			all = append(all, fmt.Sprintf("%s is of %s: %s", file, info.ModTime().Format("January 2006"), advice))
		}
	}
	const see = " (docs/OPERATING.md, \"New keys and secrets\")"
	for _, d := range cfg.Domains {
		for _, k := range d.DKIM {
			add(k.KeyFile, fmt.Sprintf("the DKIM key %s of %s. Make another one under a selector of its own, publish it, then sign with it", k.Selector, d.Name)+see)
		}
	}
	first := filepath.Join(cfg.DataDir, verpKeyName)
	if len(cfg.VERP.Keys) > 0 {
		first = cfg.VERP.Keys[0].File
	}
	add(first, "the key of return addresses. Write another one before it in verp.key_files, and keep this one"+see)
	for _, s := range smarthostsOf(cfg) {
		add(s.PasswordFile, "the password at the smarthost "+s.Address.Address+". Set another one there, and write it into the file"+see)
	}
	for _, s := range cfg.Sinks {
		how := "Write another one into a second line, then change the receiver, then take the first out"
		if s.Format == config.FormatSendGrid || s.Format == config.FormatMailgun {
			how = "Write another one in its place, and change the receiver at once: what it refuses meanwhile is told again"
		}
		add(s.SecretFile, "the secret of the webhook "+s.Name+". "+how+see)
	}
	for _, s := range cfg.Sinks {
		add(s.PasswordFile, "the password of the sink "+s.Name+". Set another one at the receiver, and write it into the file"+see)
	}
	for _, s := range cfg.Sources {
		add(s.PasswordFile, "the password of the mailbox "+sourceName(s)+". Set another one there, and write it into the file"+see)
	}
	for _, a := range cfg.Applications {
		add(a.PasswordFile, "the password of the application "+a.Name+". Write another one into the file and into the application"+see)
	}
	return all
}
