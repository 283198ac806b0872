package config

import "reflect"

// A Mode says what becomes of mail that applications hand over.
type Mode string

// The modes.
const (
	Deliver Mode = "deliver"
	Capture Mode = "capture" // accept, keep, never send
	Refuse  Mode = "refuse"
)

// VERPMode says whose envelope sender mail of a domain leaves with.
type VERPMode string

// The modes of VERP.
const (
	Sign VERPMode = "sign"
	Keep VERPMode = "keep" // the application's own
)

// UnsubscribeMode says whether bulk mail gets List-Unsubscribe headers (RFC
// 2369, RFC 8058) when it lacks them.
type UnsubscribeMode string

// The modes of List-Unsubscribe.
const (
	UnsubscribeAuto UnsubscribeMode = "auto"
	UnsubscribeOff  UnsubscribeMode = "off"
)

// A Warmup says whether new source addresses send little at first.
type Warmup string

// The modes of warm-up.
const (
	WarmupOff  Warmup = "off"
	WarmupAuto Warmup = "auto" // by a schedule of days for each provider
)

// A Breaker says whether campaigns that go wrong are paused.
type Breaker string

// The modes of the breaker.
const (
	BreakerAuto Breaker = "auto"
	BreakerOff  Breaker = "off"
)

// A Kind of application: its own address grammar, how refusals are worded.
type Kind string

// The kinds of application.
const (
	CiviCRM  Kind = "civicrm"
	Mautic   Kind = "mautic"
	Listmonk Kind = "listmonk"
	PHPList  Kind = "phplist"
	Mailman  Kind = "mailman"
	Generic  Kind = "generic"
)

// HeldMode says what an application hears about a recipient on hold.
type HeldMode string

// The ways to treat recipients on hold.
const (
	Suppress HeldMode = "suppress" // accept, never send, tell the sinks
	Reject   HeldMode = "reject"   // 550 at RCPT
)

// RepliesMode says what becomes of replies of people.
type RepliesMode string

// What becomes of replies.
const (
	RepliesTell    RepliesMode = "tell"
	RepliesForward RepliesMode = "forward" // and go on to the person who sent the mailing
)

// A RouteUse says what mail for a route is.
type RouteUse string

// The uses of a route.
const (
	AsActivity  RouteUse = "activity"
	AsReply     RouteUse = "reply"
	AsBounce    RouteUse = "bounce"
	AsComplaint RouteUse = "complaint"
	AsReport    RouteUse = "report"
	AsForward   RouteUse = "forward"
)

// A SourceType is how a source is read.
type SourceType string

// SourceIMAP is IMAP with IDLE (RFC 3501, RFC 2177).
const SourceIMAP SourceType = "imap"

// A SourceTLS is how the connection to a source is encrypted.
type SourceTLS string

// The ways to encrypt.
const (
	SourceImplicit SourceTLS = "implicit" // from the first octet
	SourceStartTLS SourceTLS = "starttls"
	SourcePlain    SourceTLS = "none" // over loopback alone
)

// A SinkType is how a sink is told.
type SinkType string

// The types of sink.
const (
	SinkWebhook SinkType = "webhook"
	SinkCiviCRM SinkType = "civicrm"
	SinkDSN     SinkType = "dsn"
	SinkMaildir SinkType = "maildir"
	SinkLMTP    SinkType = "lmtp"
	SinkSMTP    SinkType = "smtp"
)

// A What says what a Maildir holds.
type What string

// What a Maildir can hold.
const (
	WhatBounces    What = "bounces"
	WhatActivities What = "activities"
)

// A Party is somebody whom a mail names.
type Party string

// The parties.
const (
	PartyFrom Party = "from"
	PartyTo   Party = "to"
	PartyCC   Party = "cc"
)

// A Format is the tongue in which a webhook is told.
type Format string

// The formats of webhooks.
const (
	FormatStandard Format = "standard"
	FormatListmonk Format = "listmonk"
	FormatPostmark Format = "postmark"
	FormatSendGrid Format = "sendgrid"
	FormatMailgun  Format = "mailgun"
	FormatSES      Format = "ses"
	FormatMautic   Format = "mautic"
)

// A TLSPolicy says whether a connection must be encrypted.
type TLSPolicy string

// The TLS policies.
const (
	TLSRequire       TLSPolicy = "require"
	TLSOpportunistic TLSPolicy = "opportunistic"
	TLSNone          TLSPolicy = "none"
)

// An MTASTS is the mode of the policies about TLS (RFC 8461 section 5).
type MTASTS string

// The modes of policies.
const (
	MTASTSOff     MTASTS = "off" // there are none
	MTASTSTesting MTASTS = "testing"
	MTASTSEnforce MTASTS = "enforce"
)

// A Digest is how often a summary is mailed.
type Digest string

// The digests.
const (
	NoDigest Digest = "off"
	Daily    Digest = "daily"
	Weekly   Digest = "weekly"
)

// A LogFormat is how log lines look.
type LogFormat string

// The log formats.
const (
	LogAuto LogFormat = "auto" // text on a terminal, JSON otherwise
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// LogAddresses says how much of people's addresses is logged.
type LogAddresses string

// The ways to log addresses.
const (
	LogFull   LogAddresses = "full"
	LogMasked LogAddresses = "masked"
	LogHashed LogAddresses = "hashed"
)

// An Engine is a kind of store.
type Engine string

// The engines.
const (
	Embedded Engine = "embedded"
	Postgres Engine = "postgres"
)

// choices lists the values of each type that has only a few.
var choices = map[reflect.Type][]string{
	reflect.TypeFor[Mode]():            of(Deliver, Capture, Refuse),
	reflect.TypeFor[VERPMode]():        of(Sign, Keep),
	reflect.TypeFor[UnsubscribeMode](): of(UnsubscribeAuto, UnsubscribeOff),
	reflect.TypeFor[Breaker]():         of(BreakerAuto, BreakerOff),
	reflect.TypeFor[Warmup]():          of(WarmupOff, WarmupAuto),
	reflect.TypeFor[Kind]():            of(CiviCRM, Mautic, Listmonk, PHPList, Mailman, Generic),
	reflect.TypeFor[HeldMode]():        of(Suppress, Reject),
	reflect.TypeFor[RepliesMode]():     of(RepliesTell, RepliesForward),
	reflect.TypeFor[RouteUse]():        of(AsActivity, AsReply, AsBounce, AsComplaint, AsReport, AsForward),
	reflect.TypeFor[SourceType]():      of(SourceIMAP),
	reflect.TypeFor[What]():            of(WhatBounces, WhatActivities),
	reflect.TypeFor[Party]():           of(PartyFrom, PartyTo, PartyCC),
	reflect.TypeFor[SourceTLS]():       of(SourceImplicit, SourceStartTLS, SourcePlain),
	reflect.TypeFor[SinkType]():        of(SinkWebhook, SinkCiviCRM, SinkDSN, SinkMaildir, SinkLMTP, SinkSMTP),
	reflect.TypeFor[Format]():          of(FormatStandard, FormatListmonk, FormatPostmark, FormatSendGrid, FormatMailgun, FormatSES, FormatMautic),
	reflect.TypeFor[TLSPolicy]():       of(TLSRequire, TLSOpportunistic, TLSNone),
	reflect.TypeFor[MTASTS]():          of(MTASTSOff, MTASTSTesting, MTASTSEnforce),
	reflect.TypeFor[Digest]():          of(NoDigest, Daily, Weekly),
	reflect.TypeFor[LogFormat]():       of(LogAuto, LogText, LogJSON),
	reflect.TypeFor[LogAddresses]():    of(LogFull, LogMasked, LogHashed),
	reflect.TypeFor[Engine]():          of(Embedded, Postgres),
}

func of[T ~string](values ...T) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return texts
}
