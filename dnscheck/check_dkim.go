package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

func (c *checker) dkimJobs() (jobs []job) {
	for _, d := range c.s.Domains {
		jobs = append(jobs, job{d.Name, []string{CheckDKIM}, func(context.Context) []Finding { return []Finding{signing(d)} }})
		for _, k := range d.Keys {
			name := k.Selector + "._domainkey." + d.Name
			jobs = append(jobs, job{name, []string{CheckDKIMKey, CheckDKIMLength, CheckDKIMFlags}, func(ctx context.Context) []Finding {
				return c.key(ctx, name, k)
			}})
		}
	}
	return jobs
}

// signing says whether the mail of a domain has a signature that receivers can
// verify: few know Ed25519.
func signing(d Domain) Finding {
	f := Finding{Check: CheckDKIM, Verdict: Warn, Wanted: "signatures with an RSA key",
		Fix: newKey(d.Name, "homing1") + "\nThen publish what `homing dns` prints."}
	switch {
	case len(d.Keys) == 0:
		f.Found = "mail of this domain is not signed: large receivers refuse bulk mail without a signature"
	case !slices.ContainsFunc(d.Keys, func(k Key) bool { return k.Bits > 0 }):
		f.Found = "the only signature is of Ed25519, which most receivers cannot verify"
	default:
		return right(CheckDKIM, f.Wanted, fmt.Sprintf("%d of them", len(d.Keys)))
	}
	return f
}

// newKey says how to make a key and sign with it.
func newKey(domain, selector string) string {
	file := "/etc/homing/dkim-" + selector + ".pem"
	text := "Make a key:\nsudo openssl genrsa -out " + file + " 2048\nsudo chown root:homing " + file + " && sudo chmod 0640 " + file +
		"\nand name it in the [[domain]]"
	if domain != "" {
		text += " of " + domain
	}
	return text + ":\ndkim = [ { selector = \"" + selector + "\", key_file = \"" + file + "\" } ]"
}

// key compares a published key with ours (RFC 6376 section 3.6). The keys are
// compared, not the texts.
func (c *checker) key(ctx context.Context, name string, k Key) []Finding {
	wanted, err := keyRecordOf(k.Record)
	if err != nil {
		return []Finding{skipped(CheckDKIMKey, "our own record cannot be read: "+err.Error())}
	}
	texts, err := c.textsOf(ctx, name)
	if err != nil {
		return []Finding{noAnswer(CheckDKIMKey, err), skipped(CheckDKIMLength, "no answer"), skipped(CheckDKIMFlags, "no answer")}
	}
	f, published := compareKey(name, k, wanted, texts)
	if len(texts) == 0 {
		f.Found += c.astray(ctx, Record{Name: name, Type: "TXT", Value: k.Record, Purpose: ForDKIM})
	}
	if published.public == nil {
		return []Finding{f, skipped(CheckDKIMLength, "no key to be read"), skipped(CheckDKIMFlags, "no key to be read")}
	}
	return []Finding{f, keyLength(published.bits(), name), keyFlags(published, name, k)}
}

// compareKey gives also the published key, where there is one.
func compareKey(name string, k Key, wanted keyRecord, texts []string) (f Finding, published keyRecord) {
	f = Finding{Check: CheckDKIMKey, Verdict: Fail, Wanted: "the key that we sign with", Fix: textLine(name, k.Record)}
	if len(texts) == 0 {
		f.Found = "there is no record, so that no signature can be verified"
		return f, published
	}
	if len(texts) > 1 {
		f.Found = fmt.Sprintf("there are %d TXT records, of which receivers take any one (RFC 6376 section 3.6.2.2)", len(texts))
		f.Fix = "Remove all but this one:\n" + f.Fix
		return f, published
	}
	published, err := keyRecordOf(texts[0])
	switch {
	case errors.Is(err, errRevoked):
		f.Found = "the published key is withdrawn (p is empty), and we still sign with it"
		f.Fix = "Publish the key again:\n" + f.Fix + "\nor, if it was withdrawn because others may have it, sign with a new one."
	case err != nil:
		f.Found = "the record cannot be read: " + err.Error()
		f.Fix = "Replace it by\n" + f.Fix
	case !published.sameKey(wanted):
		f.Found = "another key is published, so that every signature is wrong"
		f.Fix = "Replace it by\n" + f.Fix + "\nIf the other key is in use elsewhere, give ours another selector."
	default:
		f = right(CheckDKIMKey, f.Wanted, "published")
	}
	return f, published
}

// keyLength judges an RSA key (RFC 8301 section 3.2).
func keyLength(bits int, name string) Finding {
	f := Finding{Check: CheckDKIMLength, Wanted: "an RSA key of 2048 bits, or Ed25519", Found: fmt.Sprintf("%d bits", bits),
		Fix: newKey("", "another") + "\nPublish it with `homing dns`, and take " + name + " away a week later."}
	switch {
	case bits == 0:
		return right(CheckDKIMLength, f.Wanted, "Ed25519")
	case bits < 1024:
		f.Verdict, f.Found = Fail, f.Found+", which receivers take for no signature"
	case bits < 2048:
		f.Verdict, f.Found = Warn, f.Found+", which somebody with money can break"
	default:
		return right(CheckDKIMLength, f.Wanted, f.Found)
	}
	return f
}

// keyFlags looks for what excludes our signatures: of mail, with SHA-256 (RFC
// 6376 section 3.6.1).
func keyFlags(published keyRecord, name string, k Key) Finding {
	f := Finding{Check: CheckDKIMFlags, Verdict: Fail, Wanted: "a key for mail, in earnest, with SHA-256", Fix: "Replace the record by\n" + textLine(name, k.Record)}
	switch {
	case len(published.hashes) > 0 && !slices.Contains(published.hashes, "sha256"):
		f.Found = fmt.Sprintf("h=%s excludes SHA-256, which we sign with", listed(published.hashes))
	case len(published.services) > 0 && !slices.Contains(published.services, "*") && !slices.Contains(published.services, "email"):
		f.Found = fmt.Sprintf("s=%s excludes mail", listed(published.services))
	case slices.Contains(published.flags, "y"):
		f.Verdict, f.Found = Warn, "t=y says that this is a test, and receivers may pass signatures over"
	default:
		return right(CheckDKIMFlags, f.Wanted, "so it is")
	}
	return f
}
