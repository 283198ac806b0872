package config

import (
	"path/filepath"
	"strings"
)

// filing fills in how a sink is told of mail that is filed.
func (c *checker) filing(s *Sink, path string) {
	switch {
	case s.Type == SinkMaildir && !c.has(path+".what"):
		s.What = WhatBounces
	case s.Type == SinkCiviCRM:
		if c.has(path+".activity_type") && strings.TrimSpace(s.ActivityType) != s.ActivityType {
			c.errorf(path+".activity_type", `%q begins or ends with a space, and no type of activity is called that; write its name as Administer, Customize Data and Screens, Activity Types has it`, s.ActivityType)
		}
		or(&s.ActivityType, "Inbound Email")
		if !c.has(path + ".create_contacts") {
			s.CreateContacts = true
		}
		if !c.has(path + ".activity_targets") {
			s.ActivityTargets = []Party{PartyTo, PartyCC}
		}
		if !c.has(path + ".activity_assignees") {
			s.ActivityAssignees = []Party{PartyFrom}
		}
	}
}

// maildirs checks that no Maildir holds bounces and activities: who reads the
// one would take the other for what it is not.
func (c *checker) maildirs() {
	for i, s := range c.c.Sinks {
		for _, earlier := range c.c.Sinks[:i] {
			if s.Type == SinkMaildir && earlier.Type == SinkMaildir && s.Path != "" && filepath.Clean(s.Path) == filepath.Clean(earlier.Path) && s.What != earlier.What {
				c.errorf(at("sink", i, "path"), "is the Maildir of %s too, which holds %s, and this one holds %s: CiviCRM would take the ones for the others; name another directory",
					earlier.Name, earlier.What, s.What)
			}
		}
	}
}

// filers checks that the sinks of a route for activities are told of mail.
func (c *checker) filers(to []string, path string) {
	for i, name := range to {
		s := c.c.Sink(name)
		switch {
		case s == nil: // which was said
		case s.Type == SinkMaildir && s.What == WhatBounces:
			c.errorf(at(path, i), `%s is a Maildir of bounces, and activities need one of their own; make another [[sink]] with type = "maildir", what = "activities" and a path of its own, and name that`, name)
		case s.Type == SinkDSN, s.Type == SinkWebhook && s.Format != FormatStandard:
			c.errorf(at(path, i), `%s is not told of mail that is filed; name a sink of type civicrm, lmtp or smtp, a webhook of format standard, or a Maildir with what = "activities"`, name)
		}
	}
}
