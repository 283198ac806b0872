// Package config reads homing.toml: it parses the file, fills in defaults and
// names everything that is wrong with it at once, with the line and what to
// write instead. It decides nothing else.
package config

import (
	"crypto"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"homing/internal/password"
)

// Config is what the file says, with defaults filled in. Paths are absolute,
// domain names are in lower case and A-labels. It is read only; a reload makes
// a new one. The meaning of each key is in docs/CONFIGURATION.md.
//
// A key with the tag reload:"restart", or in a table that has it, takes effect
// when the server starts; every other one when it reloads.
type Config struct {
	Hostname   string `toml:"hostname" reload:"restart"`
	DataDir    string `toml:"data_dir,path" reload:"restart"`
	SpoolDir   string `toml:"spool_dir,path" reload:"restart"`
	Mode       Mode   `toml:"mode"`
	PublicURL  string `toml:"public_url"` // without a slash at the end; "": none
	Postmaster string `toml:"postmaster"` // "": none

	// TrustedResults are the names by which mail servers that hand us mail sign
	// their Authentication-Results.
	TrustedResults []string `toml:"trusted_results" reload:"restart"`

	Listen       Listen        `toml:"listen" reload:"restart"`
	TLS          TLS           `toml:"tls" reload:"restart"`
	Domains      []Domain      `toml:"domain"`
	Applications []Application `toml:"application"`
	Routes       []Route       `toml:"route"`
	Sources      []Source      `toml:"source"`
	Sinks        []Sink        `toml:"sink"`
	Hold         Hold          `toml:"hold"`
	Delivery     Delivery      `toml:"delivery"`
	VERP         VERP          `toml:"verp" reload:"restart"`
	DNS          DNS           `toml:"dns" reload:"restart"`
	Check        Check         `toml:"check"`
	Notify       Notify        `toml:"notify"`
	Bounce       Bounce        `toml:"bounce"`
	Limits       Limits        `toml:"limits" reload:"restart"`
	Retention    Retention     `toml:"retention"`
	Log          Log           `toml:"log" reload:"restart"`
	Store        Store         `toml:"store" reload:"restart"`

	// Warnings are what Load found that an operator should know and that
	// does not keep the server from working.
	Warnings Problems `toml:"-"`
}

// Listen says where the server listens. An empty list or zero Address is off.
type Listen struct {
	SMTP        []Address `toml:"smtp"`
	Submission  []Address `toml:"submission"`
	Submissions []Address `toml:"submissions"`
	LMTP        []Address `toml:"lmtp"`
	Local       Address   `toml:"local"`
	HTTP        []Address `toml:"http"`
	HTTPS       []Address `toml:"https"`
	POP3        []Address `toml:"pop3"`
	POP3S       []Address `toml:"pop3s"`
}

// TLS names the certificate that listeners show, and what is said of TLS to
// those who send to us. CertFile and KeyFile are both set or both empty; with
// them there is no ACME.
type TLS struct {
	CertFile string   `toml:"cert_file,file"`
	KeyFile  string   `toml:"key_file,file"`
	ACME     *ACME    `toml:"acme"`
	MTASTS   MTASTS   `toml:"mta_sts"`
	MTASTSMX []string `toml:"mta_sts_mx"` // empty: Hostname alone
}

// Trusted reports whether there is a certificate that clients can trust. The
// server's own is only for mail that comes in.
func (t TLS) Trusted() bool { return t.CertFile != "" || t.KeyFile != "" || t.ACME != nil }

// ACME asks for a certificate (RFC 8555).
type ACME struct {
	Email     string  `toml:"email"`
	Webroot   string  `toml:"webroot,path"`
	Listen    Address `toml:"listen"`
	Directory string  `toml:"directory"`
}

// A Domain is what mail is sent as.
type Domain struct {
	Name            string          `toml:"name"`
	ReturnPath      string          `toml:"return_path"` // local@domain; "" only with VERP Keep
	Separator       string          `toml:"separator"`   // "+" or "-"
	VERP            VERPMode        `toml:"verp"`
	ListUnsubscribe UnsubscribeMode `toml:"list_unsubscribe"`
	DKIM            []DKIM          `toml:"dkim"`
	Sinks           []string        `toml:"sinks"`     // never empty
	Smarthost       *Smarthost      `toml:"smarthost"` // nil: as Delivery says
}

// DKIM is a key that signs for a Domain.
type DKIM struct {
	Selector string        `toml:"selector"`
	KeyFile  string        `toml:"key_file,file"`
	Key      crypto.Signer `toml:"-"` // *rsa.PrivateKey or ed25519.PrivateKey
}

// Format keeps the key out of everything that package fmt makes.
func (d DKIM) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "(dkim key %s)", d.Selector) }

// An Application may send.
type Application struct {
	Name          string         `toml:"name"`
	Kind          Kind           `toml:"kind"`
	Domains       []string       `toml:"domains"` // names of Domains; never empty
	PasswordHash  Secret         `toml:"password_hash"`
	PasswordFile  string         `toml:"password_file,file"`
	Password      password.Hash  `toml:"-"` // of either; zero: none
	Networks      []netip.Prefix `toml:"networks"`
	Users         []string       `toml:"users"`
	VERPPrefix    string         `toml:"verp_prefix"`
	VERPSeparator string         `toml:"verp_separator"` // CiviCRM's; "" for other kinds
	Sinks         []string       `toml:"sinks"`          // names of Sinks; empty: those of the domain
	Replies       RepliesMode    `toml:"replies"`
	RepliesTo     string         `toml:"replies_to"` // an address; "": none
	Mode          Mode           `toml:"mode"`
	Held          HeldMode       `toml:"held"`
	DailyLimit    int            `toml:"daily_limit"` // recipients; 0: no limit
	AllowRate     Rate           `toml:"allow_rate"`  // zero: no limit
}

// A Route says what is done with inbound mail that carries no tag of ours.
type Route struct {
	Address string   `toml:"address"` // local part in lower case, or "*", then "@" and the domain
	As      RouteUse `toml:"as"`
	From    []string `toml:"from"` // domains and addresses
	To      []string `toml:"to"`   // names of Sinks
}

// A Source is mail that another server keeps for us. Folder and MovedTo are
// never the same.
type Source struct {
	Type         SourceType `toml:"type"`
	Address      Address    `toml:"address"`
	TLS          SourceTLS  `toml:"tls"`
	Username     string     `toml:"username"`
	PasswordFile string     `toml:"password_file,file"`
	Password     Secret     `toml:"-"`
	Folder       string     `toml:"folder"`
	MovedTo      string     `toml:"moved_to"`
	As           RouteUse   `toml:"as"`
	From         []string   `toml:"from"`
	To           []string   `toml:"to"`
}

// A Sink is who is told. What is set depends on Type.
type Sink struct {
	Name               string   `toml:"name"`
	Type               SinkType `toml:"type"`
	Format             Format   `toml:"format"`
	Topic              string   `toml:"topic"`
	URL                string   `toml:"url"`
	Username           string   `toml:"username"`
	PasswordFile       string   `toml:"password_file,file"`
	Password           Secret   `toml:"-"`
	SecretFile         string   `toml:"secret_file,file"`
	Secret             Secret   `toml:"-"`
	AllowPrivate       bool     `toml:"allow_private"`
	APIKeyFile         string   `toml:"api_key_file,file"`
	APIKey             Secret   `toml:"-"`
	SiteKeyFile        string   `toml:"site_key_file,file"`
	SiteKey            Secret   `toml:"-"`
	ReportSenderFaults bool     `toml:"report_sender_faults"`
	CreateContacts     bool     `toml:"create_contacts"`
	ActivityType       string   `toml:"activity_type"`
	ActivityTargets    []Party  `toml:"activity_targets"`
	ActivityAssignees  []Party  `toml:"activity_assignees"`
	Path               string   `toml:"path,path"`
	What               What     `toml:"what"`
	Address            Address  `toml:"address"`

	Keep        time.Duration `toml:"keep"`         // maildir: how long a report lies there at most
	MaxMessages int           `toml:"max_messages"` // maildir: how many there are at most
}

// Hold is when addresses are put on hold. Thresholds has all six CiviCRM types
// that soft evidence can have; 0 means never.
type Hold struct {
	Share      bool           `toml:"share"`
	Thresholds map[string]int `toml:"thresholds"`
}

// Delivery is how mail leaves. Retry is never empty; its last pause repeats.
type Delivery struct {
	SourceAddresses []netip.Addr    `toml:"source_addresses" reload:"restart"`
	PublicAddresses []netip.Addr    `toml:"public_addresses" reload:"restart"`
	Port            int             `toml:"port" reload:"restart"`
	Lifetime        time.Duration   `toml:"lifetime"`
	Retry           []time.Duration `toml:"retry"`
	AllowNetworks   []netip.Prefix  `toml:"allow_networks" reload:"restart"`
	WindowSites     []string        `toml:"window_sites"` // where transactions go whole
	Window          int             `toml:"window"`       // how many of them
	TLSReports      bool            `toml:"tls_reports"`
	Smarthost       *Smarthost      `toml:"smarthost"` // nil: to the MXs
	Warmup          Warmup          `toml:"warmup"`
	Breaker         Breaker         `toml:"breaker"`
	WarmAddresses   []netip.Addr    `toml:"warm_addresses"` // of SourceAddresses
	Providers       []Provider      `toml:"provider"`       // those that ship included; the first that fits counts
}

// A Smarthost takes all mail, or all of a domain.
type Smarthost struct {
	Address        Address   `toml:"address"`
	Username       string    `toml:"username"`
	PasswordFile   string    `toml:"password_file,file"`
	Password       Secret    `toml:"-"`
	TLS            TLSPolicy `toml:"tls"`
	MaxPerHour     int       `toml:"max_per_hour"` // 0: no limit
	RewritesSender bool      `toml:"rewrites_sender"`
}

// VERP holds the keys of return addresses. Keys[0] signs, all verify; none:
// the server makes one in DataDir.
type VERP struct {
	KeyFiles []string  `toml:"key_files,file"`
	Keys     []VERPKey `toml:"-"`
}

// DNS says whom to ask, and whether to believe what it says of DNSSEC. A zero
// Server is the system's resolver.
type DNS struct {
	Server  Address `toml:"server"`
	TrustAD bool    `toml:"trust_ad"`
}

// Check is the self-check. Nil Blocklists are the shipped list; an empty list
// is none.
type Check struct {
	Interval   time.Duration `toml:"interval"`
	Blocklists []string      `toml:"blocklists"`
}

// Notify is who gets notices by mail.
type Notify struct {
	To     []string `toml:"to"`
	Digest Digest   `toml:"digest"`
}

// Bounce is about understanding bounces. An empty RulesFile is the shipped
// table alone; what stands in it, package bounce reads.
type Bounce struct {
	RulesFile string `toml:"rules_file,path"`
}

// Limits bound what others can make us do. Sizes are in octets.
type Limits struct {
	DiskReserve           Reserve `toml:"disk_reserve"`
	MessageOut            Size    `toml:"message_out"`
	MessageIn             Size    `toml:"message_in"`
	Recipients            int     `toml:"recipients"`
	ConnectionsPerAddress int     `toml:"connections_per_address"`
	AuthFailuresPerMinute int     `toml:"auth_failures_per_minute"`
}

// Retention is how long things are kept.
type Retention struct {
	Events   time.Duration `toml:"events"`
	Bounces  time.Duration `toml:"bounces"`
	Captured time.Duration `toml:"captured"`
	Index    time.Duration `toml:"index"`
}

// Log is how the server logs.
type Log struct {
	Format    LogFormat    `toml:"format"`
	Addresses LogAddresses `toml:"addresses"`
}

// Store is what remembers.
type Store struct {
	Engine  Engine `toml:"engine"`
	URLFile string `toml:"url_file,file"`
	URL     Secret `toml:"-"`
}

// RestartFor names the keys in which c differs from an older Config and that
// take effect only when the server starts, in the order of the file.
func (c *Config) RestartFor(old *Config) []string {
	var keys []string
	is, was := reflect.ValueOf(c).Elem(), reflect.ValueOf(old).Elem()
	for _, k := range allKeys {
		if k.restart && !k.table && !reflect.DeepEqual(k.in(is), k.in(was)) {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// Keeping gives c with what old has for keys that take effect only when the
// server starts: what is in force when c is loaded while the server runs that
// started with old.
func (c *Config) Keeping(old *Config) *Config {
	kept := *c
	is, was := reflect.ValueOf(&kept).Elem(), reflect.ValueOf(old).Elem()
	for _, k := range allKeys {
		if k.tagged {
			is.FieldByIndex(k.index).Set(was.FieldByIndex(k.index))
		}
	}
	return &kept
}

// Sink finds a sink by its name; nil: there is none.
func (c *Config) Sink(name string) *Sink {
	i := slices.IndexFunc(c.Sinks, func(s Sink) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Sinks[i]
}
