package dnscheck_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	. "homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

func TestWhereMailGoes(t *testing.T) {
	const bounce, lists = "bounce.example.org", "lists.example.org"
	records := func(domain string, records ...dnsx.MX) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.MXs[domain] = records }
	}
	us := dnsx.MX{Host: "mail.example.org", Preference: 10}
	runAll(t, []wrongCase{
		{"a name of ours that is not the one in HELO", func(_ *Setup, z *dnstest.Zone) {
			z.MXs[bounce], z.Hosts["mx.example.org"] = mx("mx.example.org"), []netip.Addr{v4, v6}
		}, nil, "", ""},
		{"to a name to which a web page has added the zone", records(bounce, dnsx.MX{Host: "mail.example.org.example.org", Preference: 10}),
			[]string{"fail mx bounce.example.org", "warn mx_host bounce.example.org"}, "enter the value with a dot at its end, mail.example.org.", "bounce.example.org. IN MX 10 mail.example.org."},
		{"nowhere, because a web page has added the zone to the domain", func(_ *Setup, z *dnstest.Zone) {
			delete(z.MXs, bounce)
			z.MXs["bounce.example.org.example.org"] = mx("mail.example.org")
		}, []string{"fail mx bounce.example.org", "skipped mx_host bounce.example.org"}, `enter the name as "bounce"`, "bounce.example.org. IN MX 10 mail.example.org."},
		{"to somebody else", records(bounce, dnsx.MX{Host: "other.example", Preference: 10}),
			[]string{"fail mx bounce.example.org"}, "mail goes to other.example", "bounce.example.org. IN MX 10 mail.example.org."},
		{"to somebody else as often", records(bounce, us, dnsx.MX{Host: "other.example", Preference: 10}),
			[]string{"fail mx bounce.example.org"}, "other.example first, or as often", "Remove the MX records with other.example"},
		{"to somebody else first", records(bounce, us, dnsx.MX{Host: "other.example", Preference: 5}),
			[]string{"fail mx bounce.example.org"}, "other.example first", "Remove the MX records with other.example"},
		{"a backup", records(bounce, us, dnsx.MX{Host: "other.example", Preference: 20}),
			[]string{"warn mx bounce.example.org"}, "takes mail while we are away", "only\nbounce.example.org. IN MX 10 mail.example.org."},
		{"a backup without an address", records(bounce, us, dnsx.MX{Host: "gone.example", Preference: 20}),
			[]string{"warn mx bounce.example.org", "warn mx_host bounce.example.org"}, "gone.example", ""},
		{"nobody, by a null MX", records(bounce, dnsx.MX{Host: "."}),
			[]string{"fail mx bounce.example.org", "skipped mx_host bounce.example.org"}, "takes no mail at all", "Replace the MX record"},
		{"nobody at all", func(_ *Setup, z *dnstest.Zone) { delete(z.MXs, bounce) },
			[]string{"fail mx bounce.example.org", "skipped mx_host bounce.example.org"}, "nobody can send mail there", "IN MX 10 mail.example.org."},
		{"no MX, and the address of somebody else", func(_ *Setup, z *dnstest.Zone) { delete(z.MXs, bounce); z.Hosts[bounce] = a("192.0.2.1") },
			[]string{"fail mx bounce.example.org", "skipped mx_host bounce.example.org"}, "the address of the domain itself, 192.0.2.1", "IN MX 10 mail.example.org."},
		{"no MX, and our address", func(_ *Setup, z *dnstest.Zone) { delete(z.MXs, bounce); z.Hosts[bounce] = []netip.Addr{v4} },
			[]string{"warn mx bounce.example.org", "skipped mx_host bounce.example.org"}, "because the domain has our address", "IN MX 10 mail.example.org."},
		{"an address instead of a name", records(bounce, dnsx.MX{Host: "203.0.113.10", Preference: 10}),
			[]string{"fail mx_host bounce.example.org"}, "is an address, and an MX record holds a name", "IN MX 10 mail.example.org."},
		{"an alias", func(_ *Setup, z *dnstest.Zone) {
			z.MXs[bounce], z.CNAMEs["mx.example.org"] = mx("mx.example.org"), "mail.example.org"
		}, []string{"warn mx_host bounce.example.org"}, "is an alias of mail.example.org", "IN MX 10 mail.example.org."},
		{"to a host whose servers are down", func(_ *Setup, z *dnstest.Zone) { z.MXs[bounce], z.Down["mx.example.net"] = mx("mx.example.net"), true },
			[]string{"skipped mx bounce.example.org", "skipped mx_host bounce.example.org"}, "SERVFAIL", "Check again"},
		{"returns to a domain of people, whose mail must not move", func(s *Setup, z *dnstest.Zone) {
			s.Returns, s.Domains[0].Return = []string{"example.org"}, "example.org"
			z.TXTs["example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 ~all")
		}, []string{"fail mx example.org", "skipped mta_sts example.org", "skipped mta_sts_policy example.org", "skipped tls_rpt example.org"},
			"so do the bounces", "return_path = \"return@bounce.example.org\""},
		{"a route in a domain of people", func(s *Setup, z *dnstest.Zone) { s.Routed = append(s.Routed, "example.org") },
			[]string{"warn mx example.org", "skipped mta_sts example.org", "skipped mta_sts_policy example.org", "skipped tls_rpt example.org"},
			"handed on from there", "nothing is to be done"},
		{"a route in a name of its own", func(_ *Setup, z *dnstest.Zone) { z.MXs[lists] = mx("other.example") },
			[]string{"fail mx lists.example.org", "fail mta_sts_policy lists.example.org"}, "mail goes to other.example", "lists.example.org. IN MX 10"},
	})
}

// chain publishes a record at bounce.example.org that includes n others, one
// after the other.
func chain(z *dnstest.Zone, n int, end string) {
	z.TXTs["bounce.example.org"] = txt("v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 include:i1.example -all")
	for i := 1; i < n; i++ {
		z.TXTs[fmt.Sprintf("i%d.example", i)] = txt(fmt.Sprintf("v=spf1 include:i%d.example -all", i+1))
	}
	z.TXTs[fmt.Sprintf("i%d.example", n)] = txt(end)
}

func TestSPF(t *testing.T) {
	const spf, record = "fail spf bounce.example.org", "fail spf_record bounce.example.org"
	const lookups, void = "skipped spf_lookups bounce.example.org", "skipped spf_void bounce.example.org"
	publish := func(texts ...string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.TXTs["bounce.example.org"] = texts }
	}
	const us = "ip4:203.0.113.10 ip6:2001:db8::10"
	runAll(t, []wrongCase{
		{"none", publish(), []string{spf, "skipped spf_record bounce.example.org", lookups, void}, "there is no SPF record that would let 203.0.113.10 pass",
			`bounce.example.org. IN TXT "v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all"`},
		{"with the quotes of a zone file", publish("\"v=spf1 " + us + " -all\""), []string{record, spf, lookups, void}, "does not begin with v=spf1",
			"Replace\nbounce.example.org. IN TXT \"\\\"v=spf1 " + us + " -all\\\"\"\nby\nbounce.example.org. IN TXT \"v=spf1 " + us + " -all\""},
		{"none for the name in HELO", func(_ *Setup, z *dnstest.Zone) { delete(z.TXTs, "mail.example.org") },
			[]string{"warn spf mail.example.org", "skipped spf_record mail.example.org", "skipped spf_lookups mail.example.org", "skipped spf_void mail.example.org"},
			"no SPF record", `mail.example.org. IN TXT "v=spf1 `},
		{"one address is not named", publish("v=spf1 ip4:203.0.113.10 -all"), []string{spf}, "fail for 2001:db8::10",
			"Replace\nbounce.example.org. IN TXT \"v=spf1 ip4:203.0.113.10 -all\"\nby\nbounce.example.org. IN TXT \"v=spf1 ip6:2001:db8::10 ip4:203.0.113.10 -all\""},
		{"not named, mildly", publish("v=spf1 mx:other.example ~all"), []string{spf, "warn spf_void bounce.example.org"}, "softfail for 203.0.113.10", "ip4:203.0.113.10"},
		{"nothing is said", publish("v=spf1 ?all"), []string{"warn spf bounce.example.org"}, "neutral for 203.0.113.10", "ip4:203.0.113.10"},
		{"two records", publish("v=spf1 "+us+" -all", "v=spf1 include:mailgun.org ~all"), []string{record, spf, lookups, void},
			"there are 2 SPF records", "by\nbounce.example.org. IN TXT \"v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 include:mailgun.org ~all\""},
		{"two records, of which one has everything", publish("v=spf1 "+us+" -all", "v=spf1 "+us+" ~all"), []string{record, spf, lookups, void},
			"there are 2 SPF records", "Remove\nbounce.example.org. IN TXT"},
		{"another TXT record beside it", publish("google-site-verification=x", "v=spf1 "+us+" -all"), nil, "", ""},
		{"everybody, by +all", publish("v=spf1 " + us + " +all"), []string{record}, "lets everybody send", `"v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 ~all"`},
		{"everybody, by a network", publish("v=spf1 " + us + " ip4:0.0.0.0/0 -all"), []string{record}, "lets everybody send", `"v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 ~all"`},
		{"everybody, by an include", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.org"], z.TXTs["lax.example"] = txt("v=spf1 "+us+" include:lax.example -all"), txt("v=spf1 all")
		}, []string{record}, "lets everybody send", "include of such a record"},
		{"?all is a remark", publish("v=spf1 " + us + " ?all"), nil, "", ""},
		{"ptr", publish("v=spf1 " + us + " ptr:example.org -all"), []string{"warn spf_record bounce.example.org"}, "ptr:example.org is slow", "take out ptr:example.org"},
		{"terms behind the end", publish("v=spf1 " + us + " -all include:mailgun.org"), []string{"warn spf_record bounce.example.org"}, "never read: include:mailgun.org", "Put -all at the end"},
		{"a word that does not exist", publish("v=spf1 " + us + " ipv4:192.0.2.1 -all"), []string{record}, "ipv4:192.0.2.1: there is no such word", "Correct that word in the record"},
		{"a word that does not exist, in front", publish("v=spf1 ipv4:192.0.2.1 " + us + " -all"), []string{record, spf}, "there is no such word", "Correct that word in the record"},
		{"an address that is none", publish("v=spf1 " + us + " ip4:192.0.2.300 -all"), []string{record}, "no address of this kind", "Correct that word in the record"},
		{"an IPv6 address as ip4", publish("v=spf1 " + us + " ip4:2001:db8::1 -all"), []string{record}, "no address of this kind", "Correct that word in the record"},
		{"a hyphen of a text processor", publish("v=spf1 " + us + " \u2013all"), []string{record}, "pasted from a text processor", "Correct that word in the record"},
		{"an include without a domain", publish("v=spf1 " + us + " include: -all"), []string{record}, "a domain must follow", "Correct that word in the record"},
		{"two redirections", publish("v=spf1 " + us + " redirect=mailgun.org redirect=example.org"), []string{record, spf}, "stands there twice", "Correct that word in the record"},
		{"an include of what has no record", publish("v=spf1 " + us + " include:other.example -all"), []string{record}, "includes a name without an SPF record",
			"include:other.example has been replaced by, or take it out:\nbounce.example.org. IN TXT \"v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all\""},
		{"an include of what includes what has no record", func(_ *Setup, z *dnstest.Zone) { chain(z, 2, "v=spf1 include:other.example -all") },
			[]string{record}, "includes a name without an SPF record", "in a record that this one includes. Tell whoever runs it, or take it out: include:i1.example (3)"},
		{"eight look-ups", func(_ *Setup, z *dnstest.Zone) { chain(z, 8, "v=spf1 -all") }, nil, "", ""},
		{"nine look-ups", func(_ *Setup, z *dnstest.Zone) { chain(z, 9, "v=spf1 -all") },
			[]string{"warn spf_lookups bounce.example.org"}, "9 of 10", "include:i1.example (9)"},
		{"ten look-ups", func(_ *Setup, z *dnstest.Zone) { chain(z, 10, "v=spf1 -all") }, []string{"warn spf_lookups bounce.example.org"}, "10 of 10", "include:i1.example (10)"},
		{"eleven look-ups", func(_ *Setup, z *dnstest.Zone) { chain(z, 11, "v=spf1 -all") }, []string{"fail spf_lookups bounce.example.org"}, "11 of 10", "Take out"},
		{"eleven look-ups in front of us", func(_ *Setup, z *dnstest.Zone) {
			chain(z, 11, "v=spf1 -all")
			z.TXTs["bounce.example.org"] = txt("v=spf1 include:i1.example " + us + " -all")
		}, []string{spf, "fail spf_lookups bounce.example.org"}, "more than 10 look-ups", "with more than 10 it counts for nothing"},
		{"a circle", func(_ *Setup, z *dnstest.Zone) { chain(z, 3, "v=spf1 include:i1.example -all") }, []string{"fail spf_lookups bounce.example.org"}, "in a circle", "Take out"},
		{"one name that does not exist", publish("v=spf1 " + us + " a:gone.example -all"), []string{"warn spf_void bounce.example.org"}, "1 of 2 allowed: gone.example", "names gone.example"},
		{"three names that do not exist", publish("v=spf1 " + us + " a:one.example mx:two.example exists:three.example -all"),
			[]string{"fail spf_void bounce.example.org"}, "3 of 2 allowed: one.example, two.example, three.example", "Take out"},
		{"three names that do not exist, in front of us", publish("v=spf1 a:one.example mx:two.example exists:three.example " + us + " -all"),
			[]string{spf, "fail spf_void bounce.example.org"}, "more than 2 things that do not exist", "spf_record"},
		{"a service that answers for each sender", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.org"], z.TXTs["_spf.salesforce.example"] = txt("v=spf1 "+us+" include:_spf.salesforce.example -all"), txt("v=spf1 exists:%{i}._spf.mta.salesforce.example -all")
		}, nil, "", ""},
		{"services that answer by every macro, and a name that does not exist", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.org"] = txt("v=spf1 " + us + " exists:%{ir}.a.example exists:%{l}.b.example exists:%{h}.c.example a:gone.example -all")
		}, []string{"warn spf_void bounce.example.org"}, "1 of 2 allowed: gone.example", "names gone.example"},
		{"its servers are down", func(_ *Setup, z *dnstest.Zone) { z.Down["bounce.example.org"] = true },
			[]string{"skipped spf bounce.example.org", "skipped spf_record bounce.example.org", lookups, void, "fail nameservers bounce.example.org",
				"skipped mx bounce.example.org", "skipped mx_host bounce.example.org"}, "SERVFAIL", "Check again"},
		{"servers of an include are down", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["bounce.example.org"], z.Down["mailgun.org"] = txt("v=spf1 include:mailgun.org "+us+" -all"), true
		}, []string{"skipped spf bounce.example.org", "skipped spf_record bounce.example.org", lookups, void}, "SERVFAIL", "Check again"},
		{"applications keep their own senders", func(s *Setup, z *dnstest.Zone) { s.Domains[0].Return = "" }, []string{"fail spf example.org"},
			"softfail for 203.0.113.10", "ip4:203.0.113.10 ip6:2001:db8::10 include:_spf.google.com ~all"},
	})
}

// through sends the mail of ours through a smarthost.
func through(host, record string) func(*Setup, *dnstest.Zone) {
	return func(s *Setup, z *dnstest.Zone) {
		s.Domains[0].Smarthost = host
		z.TXTs["bounce.example.org"] = txt(record)
	}
}

func TestWithASmarthostItsIncludeIsWanted(t *testing.T) {
	runAll(t, []wrongCase{
		{"there", through("smtp.mailgun.org", "v=spf1 include:mailgun.org -all"), nil, "", ""},
		{"there by its networks", through("smtp.mailgun.org", "v=spf1 ip4:198.51.100.128/26 -all"), nil, "", ""},
		{"not there", through("smtp.mailgun.org", "v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 -all"),
			[]string{"fail spf bounce.example.org"}, "smarthost smtp.mailgun.org", "by\nbounce.example.org. IN TXT \"v=spf1 include:mailgun.org ip4:203.0.113.10"},
		{"no record", func(s *Setup, z *dnstest.Zone) {
			through("smtp.mailgun.org", "")(s, z)
			delete(z.TXTs, "bounce.example.org")
		}, []string{"fail spf bounce.example.org", "skipped spf_record bounce.example.org", "skipped spf_lookups bounce.example.org", "skipped spf_void bounce.example.org"},
			"no SPF record", `IN TXT "v=spf1 include:mailgun.org -all"`},
		{"a host of our own", func(s *Setup, z *dnstest.Zone) {
			through("relay.example.org", "v=spf1 ip4:192.0.2.7 -all")(s, z)
			z.Hosts["relay.example.org"] = a("192.0.2.7")
		}, nil, "", ""},
		{"a host of our own that is not named", func(s *Setup, z *dnstest.Zone) {
			through("relay.example.org", "v=spf1 -all")(s, z)
			z.Hosts["relay.example.org"] = a("192.0.2.7")
		}, []string{"fail spf bounce.example.org"}, "relay.example.org", "v=spf1 a:relay.example.org -all"},
		{"of a provider that is not known", through("smtp.elsewhere.example", "v=spf1 -all"), []string{"warn spf bounce.example.org"}, "not known here", "what the provider of smtp.elsewhere.example"},
		{"of a provider that is not known, with a record", through("smtp.elsewhere.example", "v=spf1 include:mailgun.org -all"), nil, "", ""},
		{"a second domain goes straight", func(s *Setup, z *dnstest.Zone) {
			s.Domains = append(s.Domains, Domain{Name: "bulk.example.org", Return: "bounce.example.org", Keys: s.Domains[0].Keys})
			through("smtp.mailgun.org", "v=spf1 include:mailgun.org -all")(s, z)
			z.TXTs["one._domainkey.bulk.example.org"], z.TXTs["homing2._domainkey.bulk.example.org"] = txt(rsaKey(2048)), txt(ed.Record)
		}, []string{"fail spf bounce.example.org"}, "fail for 203.0.113.10; fail for 2001:db8::10", "ip4:203.0.113.10 ip6:2001:db8::10"},
	})
}

func TestDKIM(t *testing.T) {
	const key, length, flags = "fail dkim_key one._domainkey.example.org", "skipped dkim_length one._domainkey.example.org", "skipped dkim_flags one._domainkey.example.org"
	const name = "one._domainkey.example.org"
	publish := func(texts ...string) func(*Setup, *dnstest.Zone) {
		return func(_ *Setup, z *dnstest.Zone) { z.TXTs[name] = texts }
	}
	ours := rsaKey(2048)
	astray := func(_ *Setup, z *dnstest.Zone) { z.TXTs[name], z.TXTs[name+".example.org"] = nil, txt(ours) }
	bare := strings.TrimPrefix(ours, "v=DKIM1; k=rsa; ")
	short := func(bits int) func(*Setup, *dnstest.Zone) {
		return func(s *Setup, z *dnstest.Zone) {
			s.Domains[0].Keys[0] = Key{Selector: "one", Record: rsaKey(bits), Bits: bits}
			z.TXTs[name] = txt(rsaKey(bits))
		}
	}
	fix := name + `. IN TXT "v=DKIM1; k=rsa; p=`
	runAll(t, []wrongCase{
		{"written otherwise", publish("k=rsa;" + strings.Replace(bare, "p=", "n=our key ; p= ", 1) + ";"), nil, "", ""},
		{"cut into pieces with space", publish(ours[:100] + " " + ours[100:]), nil, "", ""},
		{"restricted to what we do", publish("v=DKIM1; h=sha1:sha256; s=email; t=s; " + bare), nil, "", ""},
		{"none", publish(), []string{key, length, flags}, "no record", fix},
		{"where a web page has put it, with the zone added to the name", astray, []string{key, length, flags}, `enter the name as "one._domainkey"`, fix},
		{"another", publish(rsaKey(2047)), []string{key, "warn dkim_length one._domainkey.example.org"}, "another key is published", "Replace it by\n" + fix},
		{"withdrawn", publish("v=DKIM1; p="), []string{key, length, flags}, "withdrawn", "Publish the key again:\n" + fix},
		{"two records", publish(ours, "v=spf1 -all"), []string{key, length, flags}, "2 TXT records", "Remove all but this one:\n" + fix},
		{"cut off", publish(ours[:255]), []string{key, length, flags}, "cut off", "Replace it by"},
		{"with quotes of a web form", publish(`"` + ours + `"`), []string{key, length, flags}, "cannot be read", "Replace it by"},
		{"with an escape of a web form", publish(strings.ReplaceAll(ours, ";", `\;`)), []string{key, length, flags}, "cannot be read", "Replace it by"},
		{"version 2", publish("v=DKIM2; " + bare), []string{key, length, flags}, "must come first and be DKIM1", "Replace it by"},
		{"version at the end", publish("k=rsa; " + bare + "; v=DKIM1"), []string{key, length, flags}, "must come first and be DKIM1", "Replace it by"},
		{"without p", publish("v=DKIM1; k=rsa"), []string{key, length, flags}, "no p", "Replace it by"},
		{"the same tag twice", publish(ours + "; k=rsa"), []string{key, length, flags}, "twice", "Replace it by"},
		{"an unknown kind of key", publish("v=DKIM1; k=dsa; " + bare), []string{key, length, flags}, `kind of key "dsa"`, "Replace it by"},
		{"RSA that says Ed25519", publish("v=DKIM1; k=ed25519; " + bare), []string{key, length, flags}, "a key of Ed25519 has 32 octets", "Replace it by"},
		{"Ed25519 that says RSA", func(_ *Setup, z *dnstest.Zone) {
			z.TXTs["homing2._domainkey.example.org"] = txt(strings.Replace(ed.Record, "ed25519", "rsa", 1))
		}, []string{"fail dkim_key homing2._domainkey.example.org", "skipped dkim_length homing2._domainkey.example.org", "skipped dkim_flags homing2._domainkey.example.org"},
			"no RSA key", "homing2._domainkey.example.org. IN TXT \"v=DKIM1; k=ed25519; p="},
		{"512 bits", short(512), []string{"fail dkim_length one._domainkey.example.org"}, "512 bits", "openssl genrsa"},
		{"1024 bits", short(1024), []string{"warn dkim_length one._domainkey.example.org"}, "1024 bits", "openssl genrsa"},
		{"a test", publish(ours + "; t=s:y"), []string{"warn dkim_flags one._domainkey.example.org"}, "t=y", "Replace the record by\n" + fix},
		{"for SHA-1 alone", publish(ours + "; h=sha1"), []string{"fail dkim_flags one._domainkey.example.org"}, "h=sha1 excludes", fix},
		{"not for mail", publish(ours + "; s=tlsrpt"), []string{"fail dkim_flags one._domainkey.example.org"}, "s=tlsrpt excludes", fix},
		{"its servers are down", func(_ *Setup, z *dnstest.Zone) { z.Down[name] = true },
			[]string{"skipped dkim_key one._domainkey.example.org", length, flags}, "SERVFAIL", "Check again"},
		{"our own key cannot be read", func(s *Setup, _ *dnstest.Zone) { s.Domains[0].Keys[0].Record = "v=DKIM1; p=x" },
			[]string{"skipped dkim_key one._domainkey.example.org", length, flags}, "our own record", ""},
		{"no key", func(s *Setup, _ *dnstest.Zone) { s.Domains[0].Keys = nil },
			[]string{"warn dkim example.org", "warn dmarc_alignment example.org"}, "not signed", "openssl genrsa"},
		{"Ed25519 alone", func(s *Setup, _ *dnstest.Zone) { s.Domains[0].Keys = []Key{ed} },
			[]string{"warn dkim example.org"}, "only signature is of Ed25519", "openssl genrsa"},
	})
}
