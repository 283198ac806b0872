package toynet

import (
	"strings"
	"time"

	"homing/internal/reply"
)

// Everyday is a world with a domain for each thing that becomes of mail. What
// comes back later comes after the given time.
func Everyday(after time.Duration) World {
	at := func(code int, e reply.Enhanced, text string) Behaviour {
		return Behaviour{RCPT: reply.Reply{Code: code, Enhanced: e, Text: text}}
	}
	later := func(c Composer, why reply.Reply) Behaviour {
		return Behaviour{Later: []Later{{After: after, Compose: c, Why: why}}}
	}
	slow := at(452, reply.Enhanced{4, 2, 2}, "<{rcpt}>: The mailbox is over quota, please try later")
	grey := at(450, reply.Enhanced{4, 7, 1}, "<{rcpt}>: Recipient address rejected: Greylisted, please try again")
	grey.For = after
	return World{Domains: map[string]Domain{
		"accepts.test": {About: "delivers everything"},
		"unknown.test": {About: "knows nobody",
			Behaviour: at(550, reply.Enhanced{5, 1, 1}, "<{rcpt}>: Recipient address rejected: User unknown in virtual mailbox table")},
		"disabled.test": {About: "has closed the account",
			Behaviour: at(550, reply.Enhanced{5, 2, 1}, "The email account that you tried to reach is disabled")},
		"full.test": {About: "has full mailboxes",
			Behaviour: at(552, reply.Enhanced{5, 2, 2}, "<{rcpt}>: The mailbox is full and over quota"),
			Mailboxes: map[string]Behaviour{"slow": slow}},
		"greylist.test": {About: "wants to be asked twice", Behaviour: grey},
		"down.test":     {About: "does not answer", Host: Host{Dead: true}},
		"nohost.test":   {About: "does not exist", Missing: true},
		"nullmx.test":   {About: "accepts no mail", Null: true},
		"busy.test": {About: "has too many connections",
			Host: Host{Faults: []Fault{{At: reply.Connect, Say: "421 4.7.0 busy.test Too many connections from your host, try again later\r\n", Then: Close}}}},
		"blocks.test": {About: "has us on a block list",
			Behaviour: at(554, reply.Enhanced{5, 7, 1}, "Service unavailable; Client host [{peer}] blocked using zen.blocklist.test")},
		"spam.test": {About: "takes it for spam",
			Behaviour: Behaviour{Dot: reply.Reply{Code: 554, Enhanced: reply.Enhanced{5, 7, 1}, Text: "Message rejected as spam by content filter"}}},
		"later.test": {About: "accepts, then bounces (Postfix)", Behaviour: later(PostfixDSN, userUnknown)},
		"exim.test":  {About: "accepts, then bounces (Exim)", Behaviour: later(EximBounce, userUnknown)},
		"exchange.test": {About: "accepts, then bounces (Exchange)",
			Behaviour: later(ExchangeDSN, reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 10}, Text: "RESOLVER.ADR.RecipientNotFound; Recipient {rcpt} not found by SMTP address lookup"})},
		"delays.test":    {About: "accepts, then says it takes long", Behaviour: later(PostfixDelay, reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 4, 1}, Text: "Connection timed out"})},
		"complains.test": {About: "accepts, then calls it spam", Behaviour: later(Complaint, reply.Reply{})},
		"vacation.test":  {About: "is out of office", Behaviour: later(Vacation, reply.Reply{})},
		"replies.test":   {About: "writes back", Behaviour: later(Reply, reply.Reply{})},
		"leaves.test":    {About: "unsubscribes", Behaviour: later(Unsubscribe, reply.Reply{})},
	}}
}

// Misbehaving is a world of MXs that break the protocol, one domain for each
// way. octet is how long the slow ones take for an octet.
func Misbehaving(octet time.Duration) World {
	domains := make(map[string]Domain)
	add := func(name, about string, h Host) { domains[name] = Domain{About: about, Host: h} }
	// Faults stay outside TLS: a client that used it would not meet them.
	one := func(f Fault) Host { return Host{Faults: []Fault{f}, NoTLS: f.At != reply.STARTTLS} }

	add("silent.test", "never greets", one(Fault{At: reply.Connect, Then: Hang}))
	add("refuses.test", "says 421 instead of a greeting", one(Fault{At: reply.Connect, Say: "421 4.3.2 Service shutting down\r\n", Then: Close}))
	add("slams.test", "closes instead of a greeting", one(Fault{At: reply.Connect, Then: Close}))
	add("garbage.test", "greets with garbage", one(Fault{At: reply.Connect, Say: "\x16\x03\x01\x00\xff\x00 \x80\r\n\r\n\x00"}))
	add("big.test", "greets with ten megabytes", one(Fault{At: reply.Connect, Say: "220-" + strings.Repeat("x", 1018) + "\r\n", Repeat: 10 << 10}))
	add("line.test", "greets with one line of ten megabytes", one(Fault{At: reply.Connect, Say: strings.Repeat("x", 1024), Repeat: 10 << 10}))
	add("endless.test", "never ends its reply to EHLO", one(Fault{At: reply.EHLO, Say: "250-more\r\n", Repeat: Forever}))
	add("drip.test", "says everything one octet at a time", one(Fault{At: Always, Say: Proper, Each: octet}))
	add("closemail.test", "closes after MAIL", one(Fault{At: reply.MAIL, Then: Close}))
	add("closedata.test", "closes after 354", one(Fault{At: reply.DATA, Say: Proper, Then: Close}))
	add("closedot.test", "closes after the final dot", one(Fault{At: reply.Dot, Then: Close}))
	add("mutedot.test", "says nothing after the final dot", one(Fault{At: reply.Dot, Then: Hang}))
	add("mixed.test", "mixes codes in one reply to RCPT", one(Fault{At: reply.RCPT, Say: "250-2.1.5 Ok\r\n550 5.1.1 User unknown\r\n"}))
	add("extra.test", "answers MAIL twice", one(Fault{At: reply.MAIL, Say: Proper + "250 2.1.5 Ok\r\n"}))
	add("notls.test", "refuses STARTTLS after offering it", one(Fault{At: reply.STARTTLS, Say: "454 4.7.0 TLS not available due to local problem\r\n"}))
	add("badtls.test", "speaks no TLS after 220", one(Fault{At: reply.STARTTLS, Say: "220 2.0.0 Ready\r\nthis is no handshake\r\n", Then: Close}))
	add("deaf.test", "offers PIPELINING and forgets what it is sent so", Host{Deaf: true, NoTLS: true})
	add("noquit.test", "never answers QUIT", one(Fault{At: Quit, Then: Hang}))
	return World{Domains: domains}
}
