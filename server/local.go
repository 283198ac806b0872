package server

import (
	"fmt"
	"net/mail"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"homing/hold"
	"homing/internal/message"
	"homing/internal/reply"
)

// Programs on this machine write to and as users of it: cron to "root", PHP as
// "www-data@web1". There are no mailboxes here. What follows completes such
// addresses as an MTA does (RFC 6409 section 8.5), for local users only: senders
// become ones of their application's first domain, and mail to people at this
// machine goes to the postmaster.

// atHome reports whether a domain is a name of this machine itself.
func (p *Policy) atHome(domain string) bool {
	return domain == "localhost" || domain == "localhost.localdomain" || domain == hold.CanonicalDomain(p.Hostname) ||
		slices.ContainsFunc(p.Machine, func(name string) bool { return domain == hold.CanonicalDomain(name) })
}

// author completes a sender that the application may not use, if it is a user
// of this machine.
func (p *Policy) author(a *Application, address string) string {
	local, domain := split(address)
	if a.sendsAs(address, true) != nil || !p.atHome(domain) {
		return address
	}
	return local + "@" + a.Domains[0].Name
}

// completeAuthor does so in the From field.
func completeAuthor(p *Policy, a *Application, h *message.Header) {
	authors := message.Mailboxes(h.Get("From"))
	if len(authors) != 1 || h.Count("From") != 1 || strings.HasPrefix(authors[0].Address, `"`) {
		return
	}
	if full := p.author(a, authors[0].Address); full != authors[0].Address {
		h.Set("From", (&mail.Address{Name: authors[0].Name, Address: full}).String())
	}
}

// errNoMailbox answers mail for a user of this machine that nobody reads.
var errNoMailbox = reply.Errorf(550, reply.Enhanced{5, 1, 1}, "there are no mailboxes on this machine: set postmaster in homing.toml, who then gets such mail, or write to an address with a domain")

// reader says who gets mail for an address from a local user.
func (p *Policy) reader(a *Application, address string) (string, error) {
	_, domain := split(address)
	switch {
	case a.sendsAs(address, true) != nil || !p.atHome(domain):
		return address, nil
	case p.Postmaster == "":
		return "", errNoMailbox
	}
	return p.Postmaster, nil
}

// errUser tells a local user that no application has him.
func errUser(uid int) *reply.Error {
	name := UserName(uid)
	return reply.Errorf(550, reply.Enhanced{5, 7, 1}, "the local user %s (uid %d) may not send: add users = [%q] to an [[application]] of homing.toml and reload the server", name, uid, name)
}

// UserName is what a local user is called; the number where that is not known.
func UserName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprint(uid)
}
