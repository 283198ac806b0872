package config

import "strings"

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
