package bounce

import "homing/internal/reply"

// senderRules recognise that we are refused, not the person. They come before
// the rules about the person: a mailbox that nobody has refuses nothing for a
// bad signature. General words, which also turn up in links and disclaimers,
// are in lastRules.
var senderRules = []Rule{
	// Authentication of the sender (RFC 7208, 6376, 7489, 8617).
	{Name: "words-auth", Reason: AuthFailure, Words: []string{
		"dmarc policy", "dmarc check failed", "dmarc verification", "dmarc validation", "dmarc evaluation", "dmarc fail", "fails dmarc", "failed dmarc", "not pass dmarc", "due to dmarc", "rejected by dmarc", "violates dmarc", "dmarc reject", "per dmarc", "dmarcrejection", "p=dmarc", "not pass authentication checks", "dmarc alignment",
		"spf check failed", "spf fail", "spf validation failed", "spf-fail", "spf hard fail", "spf hardfail", "fails to pass spf", "failed spf", "fails spf", "did not pass spf", "not pass spf", "spf record with a hard fail", "spf softfail", "spf: fail", "spf=fail", "spf permanent error", "spf checks", "spf unauthorized", "violates spf", "spf policy", "is not allowed to send from", "not permitted to send", "is not permitted to send mail from", "not authorized to send mail for", "is not authorized to use", "not designated as a permitted sender", "sender policy framework", "openspf", "open-spf", "spf-result", "spf record. please", "please see http://www.openspf",
		"dkim fail", "dkim check failed", "dkim validation failed", "dkim verification", "failed dkim", "invalid dkim", "bad dkim", "no dkim signature", "dkim signature * fail", "dkim unauthorized", "arc validation fail", "arc fail",
		"unauthenticated email", "unauthenticated mail", "does not have authentication information", "fails to pass authentication", "failed authentication checks", "email authentication * required", "required authentication level", "sender is unauthenticated", "authentication results * fail", "message failed authentication", "mail is not authenticated", "p=unauthenticated", "mi:spf", "sender id (pra) not permitted", "sender id * fail", "sender-id fail", "domainkeys fail"},
		Not: []string{"mailbox full", "user unknown"},
		Examples: []string{
			"550 5.7.1 Email rejected per DMARC policy for example.org",
			"550-5.7.26 Unauthenticated email from example.org is not accepted due to domain's\n550-5.7.26 DMARC policy.",
			"550 5.1.0 192.0.2.222 is not allowed to send from <example.net> per it's SPF Record.",
			"550 DMARC check failed."}},
	{Name: "status-auth", Reason: AuthFailure, Status: []string{"5.7.20", "5.7.21", "5.7.22", "5.7.23", "5.7.24", "5.7.26", "5.7.29", "5.7.30", "4.7.20", "4.7.21", "4.7.22", "4.7.23", "4.7.24", "4.7.26", "4.7.29", "4.7.30", "5.7.515"},
		Examples: []string{"550 5.7.26 refused"}},

	// Reverse DNS and HELO.
	{Name: "words-ptr", Reason: NoPTR, Words: []string{
		"reverse dns", "rdns", "no ptr", "ptr record", "ptr resource", "fix your ptr", "missing ptr", "without ptr", "reverse lookup", "reverse hostname", "reverse host name", "reverse name", "reverse-dns", "cannot find your hostname", "cannot find your reverse hostname", "unable to resolve your ip", "ip address has no", "no valid host name", "does not resolve to a name", "client host rejected: cannot find", "generic hostname", "dynamic ip hostname", "hostname is not fully qualified * ptr", "inverse dns", "resolution inverse", "reverser dns-eintrag", "reverse-mapping", "ip name lookup failed", "ip name possibly forged", "unverifyable sending", "forward-confirmed", "fcrdns", "servers without a valid sender domain"},
		Examples: []string{"550 5.7.1 Connections not accepted from servers without a valid sender domain. Fix reverse DNS for 203.0.113.22", "571 No PTR Record found. Reverse DNS required: 203.0.113.22"}},
	{Name: "status-ptr", Reason: NoPTR, Status: []string{"5.7.25", "4.7.25"}, Examples: []string{"550 5.7.25 refused"}},
	{Name: "words-helo", Reason: Blocked, Words: []string{
		"helo command rejected", "invalid helo", "bad helo", "helo name", "helo/ehlo", "ehlo/helo", "helo hostname", "need fully-qualified hostname", "helo host", "helo string", "fake helo", "forged helo", "your helo", "helo was"},
		Examples: []string{"504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"}},

	// Lists of bad senders.
	{Name: "words-block-list", Reason: Blocked, Words: []string{
		"spamhaus", "spamcop", "barracudacentral", "b.barracuda", "sorbs", "uceprotect", "spamrats", "mailspike", "invaluement", "abuseat.org", "cbl.abuse", "psbl", "surbl.org * ip", "senderscore", "senderbase", "talosintelligence", "spfbl", "nixspam", "dnswl", "truncate.gbudb", "abusix", "backscatterer", "njabl", "ahbl", "dsbl", "ordb", "manitu.net", "rbl.", "dnsbl", "dns blacklist", "dns black list", "dns block list", "real-time black", "realtime black", "realtime block", "rbl+", "by rbl", "in rbl", "rbl restriction", "rbldns", "local rbl",
		"blocklist", "block list", "blocked list", "blacklist", "black list", "black-list", "blackholed", "denylist", "is listed at", "is listed by", "is listed in", "is listed on", "listed as an unresolved", "ip * listed", "address * is listed", "blocked by * list", "blocked using",
		"schwarze liste", "schwarzen liste", "gesperrte ip", "ip-adresse * gesperrt", "ip-adresse * blockiert", "liste noire", "lista negra", "lista nera", "zwarte lijst", "czarnej list", "черном списке", "черный список", "заблокирован * ip"},
		Not:      []string{"blacklisted url", "recipient is blacklisted", "mailbox is blacklisted"},
		Examples: []string{"554 5.7.1 Service unavailable; Client host [192.0.2.4] blocked using bl.spamcop.net; Blocked - see http://www.spamcop.net/bl.shtml?192.0.2.4", "550 5.7.1 IP address blacklisted by recipient"}},
	{Name: "words-ip-refused", Reason: Blocked, Words: []string{
		"client host rejected", "client host * blocked", "host rejected: access denied", "your ip * blocked", "your ip * rejected", "your ip * refused", "your ip * denied", "your ip address * block", "ip address * blocked", "ip address * has been blocked", "ip * is blocked", "ip blocked", "blocked ip", "sending ip * blocked", "sender ip * rejected", "sender ip * blocked", "sending ip address", "source ip * blocked", "your host * blocked", "your server * blocked", "your mail server * blocked", "your mail server has been blocked", "your network * blocked", "server * has been blocked", "mail from your ip", "mail from * ip address is not accepted", "connection refused by policy", "connection rejected by policy", "connections not accepted from", "connections will not be accepted from", "connection from your host", "connection not accepted from", "we do not accept mail from your", "does not accept mail from your", "not accepting mail from your", "refused mail from your", "no mail accepted from your", "mail from your domain is blocked", "refused to accept mail from your", "traffic not accepted from this ip", "you are not allowed to connect", "you're not allowed to connect", "not allowed to connect", "host is blocked", "host blocked", "domain is blocked by", "dynamic ip", "dial-up", "dialup", "residential ip", "dynamically assigned", "dynamic/residential", "bad sender ip", "access denied, your ip", "access from ip", "ip address is not allowed", "ip not allowed", "refused from your ip", "refused by * ip reputation", "banned ip", "ip banned", "banned for abuse", "banned host", "too many spam messages", "too much spam from your", "spam from your ip", "spam source", "spam has been sent from", "spammer", "open relay", "insecure mail relay * your", "blocked for abuse", "blocked due to abuse", "abusive host", "has been blocked due to"},
		Not:      []string{"recipient address rejected: access denied"},
		Examples: []string{"550 Access from ip address 192.0.2.24 refused. Your IP has been blocked", "554 5.7.1 <mx.example.org[203.0.113.22]>: Client host rejected: Access denied"}},

	// Reputation.
	{Name: "words-reputation", Reason: BadReputation, Words: []string{
		"reputation", "poor sender score", "sender score", "trust score", "mailservers with bad", "reputazione", "reputacion", "reputatie", "репутац"},
		Examples: []string{"554-mx.example.com\n554 Your access to this mail system has been rejected due to the sending MTA's poor reputation."}},

	// How fast and how many.
	{Name: "words-rate", Reason: RateLimited, Words: []string{
		"connection rate limit", "rate limit", "rate-limit", "ratelimit", "message rate", "sending rate", "connection rate", "rate exceeded", "rate control", "throttl", "too many connections", "too many concurrent", "too many simultaneous", "too many sessions", "too many messages", "too many emails", "too many mails", "too many mail", "too many smtp", "too many requests", "too many deliveries", "too many incoming", "too many transactions", "too many errors from", "too many invalid recipients", "too many unknown", "too many bad", "too many recipients", "too many rcpt", "too much mail", "too much load from", "too many attempts", "number of recipients exceeds", "recipients limit", "recipient limit", "maximum number of recipients", "sending too fast", "too fast", "too frequent", "slow down", "flood", "exceeded the maximum number of", "exceeded the maximum inbound", "exceeded the allowed number", "exceeded max", "max defers and failures", "maximum number of messages per", "max message per", "maximum * per hour", "per-hour limit", "hourly limit", "daily limit", "daily message limit", "hourly message limit", "mails per", "messages per hour", "limit on the number of", "connection limit exceeded", "connections limit", "concurrent connections", "max connections", "max concurrent", "connection count", "resource restrictions", "excessive number of", "trop de", "zu viele", "demasiad", "troppi", "troppe connessioni", "te veel", "za duzo", "слишком много"},
		Not:      []string{"hops", "hop count", "mailbox full", "too many messages in the mailbox", "too many messages in mailbox", "too many messages on this mailbox", "quota"},
		Examples: []string{"452 4.3.2 Connection rate limit exceeded.", "421 4.7.0 Too many connections from 192.0.2.1, please slow down"}},
	{Name: "status-rate", Reason: RateLimited, Status: []string{"4.7.28", "5.7.28", "4.5.3", "5.5.3"}, Examples: []string{"421 4.7.28 refused"}},

	// Greylisting: come back later, and all is well.
	{Name: "words-greylist", Reason: Greylisted, Codes: []int{4}, Words: []string{
		"greylist", "grey list", "grey-list", "graylist", "gray list", "gray-list", "postgrey", "milter-greylist", "try again in * minutes", "try again in * seconds", "retry in * seconds", "please try again in", "first time", "unknown sender, try again", "delaying mail from unknown", "temporarily deferred, please retry", "you have been greylisted", "early retry", "please retry later", "temporarily rejected * try again", "temporarily delayed"},
		Not:      []string{"mailbox", "quota", "disk", "user unknown"},
		Examples: []string{"450 4.2.0 <ann@example.com>: Recipient address rejected: Greylisted, see http://postgrey.example/help", "451 4.7.1 Please try again in 5 minutes"}},
	{Name: "status-greylist", Reason: Greylisted, Status: []string{"4.7.1"}, Codes: []int{450, 451}, Words: []string{"try again", "try later", "temporar", "later"},
		Not:      []string{"mailbox", "quota", "spam", "blocked", "policy"},
		Examples: []string{"451 4.7.1 Temporary failure, please try again later"}},

	// Who may pass mail on.
	{Name: "words-relay", Reason: RelayDenied, Words: []string{
		"relay access denied", "relaying denied", "relay denied", "relaying not allowed", "relay not permitted", "relaying not permitted", "relay not allowed", "relaying is not allowed", "relaying prohibited", "relay prohibited", "relaying is prohibited", "no relaying", "not permitted to relay", "not allowed to relay", "cannot relay", "can't relay", "unable to relay", "unable to accept message for relay", "we do not relay", "we don't relay", "does not relay", "refused to relay", "relaying mail to", "relaying to * denied", "relaying temporarily denied", "relaying blocked", "insecure mail relay", "mail server requires authentication when attempting to send to a non-local", "that domain isn't in my list of allowed rcpthosts", "isn't in my list of allowed rcpthosts", "not in my list of allowed rcpthosts", "not a gateway", "not a relay", "not an open relay", "is not permitted to relay through", "this system is not configured to relay", "relay rejected", "relay operation rejected", "relais refuse", "relais interdit", "relaying nicht", "relay verweigert", "weiterleitung nicht erlaubt", "retransmision denegada", "relay non consentito", "sender is not authorized to relay", "no mx or a for domain * relay", "rcpthosts"},
		Examples: []string{"554 5.7.1 <ann@example.com>: Relay access denied", "550 Insecure Mail Relay"}},

	// TLS.
	{Name: "words-tls", Reason: TLSFailed, Words: []string{
		"starttls", "tls required", "requires tls", "tls is required", "encryption required", "requires encryption", "tls negotiation", "tls handshake", "tls session", "ssl handshake", "must issue a starttls", "mta-sts", "certificate verif", "certificate not trusted", "server certificate", "dane validation", "tlsa"},
		Not:      []string{"user unknown", "in reply to end of data", "with starttls", "starttls;", "using tls"},
		Examples: []string{"530 5.7.0 Must issue a STARTTLS command first", "454 4.7.5 TLS handshake failed"}},
	{Name: "status-tls", Reason: TLSFailed, Status: []string{"5.7.10", "4.7.10", "4.7.5", "5.7.5"}, Examples: []string{"554 5.7.10 refused"}},
	{Name: "stage-tls", Reason: TLSFailed, Stages: []reply.Stage{reply.STARTTLS}, Codes: []int{4, 5}, Examples: []string{"454 not available due to temporary reason"}},

	// Viruses.
	{Name: "words-virus", Reason: Virus, Words: []string{
		"virus", "malware", "trojan", "infected", "clamav", "eicar", "worm detected", "phishing", "heuristics.", "virenbefall", "vírus"},
		Not:      []string{"virus scanner unavailable", "virus scanner error", "virus scan * fail", "virus checked", "user unknown", "virus alias", "virus-scanner", "antivirus system", "virus database", "viruswall", "virtual", "antivirus gateway", "mailbox", "quota", "no such user"},
		Examples: []string{"554 5.7.1 Message contains a virus (Eicar-Test-Signature)", "550 5.7.0 <ann@example.com>: Recipient address rejected: Virus detected."}},

	// Too large.
	{Name: "words-size", Reason: MessageTooBig, Words: []string{
		"message too large", "message is too large", "message too big", "message is too big", "message size exceeds", "message size * exceeds", "exceeds size limit", "exceeds * message size", "exceeded * message size", "exceeded maximum inbound message size", "exceeded the maximum incoming message size", "maximum message size", "maximum incoming message size", "message size limit", "message exceeds", "size limit exceeded", "mail size limit", "message length exceeds", "message file too big", "message too long", "mail too large", "mail is too large", "mail too big", "e-mail too large", "exceeds fixed maximum", "exceeds fixed size", "exceeds the maximum size", "exceeds the maximum allowed", "exceeds maximum allowed", "class=size limit", "size of * exceeds", "larger than the * limit", "larger than the * size", "data size exceeded", "max message size", "message header size", "header too large", "headers too large", "nachricht * zu gross", "nachricht ist zu groß", "mail ist zu groß", "zu gross", "message trop gros", "mensaje demasiado grande", "tamano maximo", "messaggio troppo grande", "bericht is te groot", "wiadomosc jest zbyt duza", "слишком большо", "サイズが大き", "容量が大き"},
		Not:      []string{"mailbox size limit", "mailbox exceeds", "mailbox size", "quota", "over limit"},
		Examples: []string{"552 5.3.4 Message size exceeds fixed maximum message size (10485760)", "554 5.7.1 Message Rejected Class=size limit=15728640 Subclass=reject size=18571048"}},

	// The sender's address.
	{Name: "words-sender", Reason: Rejected, Words: []string{
		"sender address rejected", "sender rejected", "sender verify failed", "sender verification failed", "could not complete sender verify", "sender address verification", "sender domain", "domain of sender", "sender address * does not exist", "sender not accepted", "sender denied", "sender is not allowed", "sender blocked", "sender is blocked", "blocked sender", "sender not allowed", "sender has been blocked", "sender unknown", "unknown sender", "invalid sender", "invalid return path", "invalid return-path", "bad sender", "badsender", "bad return path", "bogus sender", "return path * invalid", "return address * rejected", "return address is", "mail from * rejected", "mail from command rejected", "from address * rejected", "from address rejected", "your email address has been rejected", "your domain has been", "your domain is not", "your address has been", "rejected your sender", "you are not allowed to send", "you are not permitted to send", "not authorized to send", "not allowed to post", "not permitted to post", "you do not have permission to send", "no permission to send", "envelope sender", "badmailfrom", "in my badmailfrom", "backscatter", "null sender", "null reverse-path", "empty sender", "empty envelope", "from:<> not", "we don't accept mail from", "does not accept mail from * sender", "mail from * not allowed", "mail from * denied", "absender * abgelehnt", "absender * ungultig", "absenderadresse", "absender-adresse", "ungultiger absender", "remitente * rechazad", "remitente no valido", "mittente * rifiutat", "mittente non valid", "expediteur * refuse", "expediteur * invalide", "afzender * geweigerd", "nadawca * odrzuc", "адрес отправителя", "отправител", "domain does not exist. * sender", "from domain * does not exist", "no mx or a record for your domain", "but sender was rejected", "verify sender", "not a known sender"},
		Not:      []string{"mailbox full", "user unknown", "list of allowed sender", "restricted to", "approved sender", "sender not authenticated for"},
		Examples: []string{"501 5.1.8 Sender address rejected: Domain not found", "553 5.1.8 <root@mail.example>... Domain of sender address root@mail.example does not exist"}},
	{Name: "status-sender", Reason: Rejected, Status: []string{"5.1.7", "5.1.8", "5.7.27", "4.1.7", "4.1.8", "4.7.27"}, Not: []string{"does not accept mail"},
		Examples: []string{"550 5.1.8 refused"}},
	{Name: "stage-mail", Reason: Rejected, Stages: []reply.Stage{reply.MAIL}, Words: []string{"does not exist", "not exist", "no such domain", "domain not found", "unknown domain", "host unknown", "unresolvable", "not resolve", "access denied", "not found", "relay"},
		Examples: []string{"553 5.1.0 news mail.example does not exist (in reply to MAIL FROM command)"}},

	// Spam. Named after the person, the word is part of a name or a link.
	{Name: "words-spam", Reason: Spam, Words: []string{
		"spam", "junk", "unsolicited", "ube", "unwanted content", "message scored", "bulk email", "bulk mail", "mass mail", "mass mailer", "blacklisted url", "uribl", "surbl", "dcc bulk", "bogofilter", "bayes", "rejected as bulk", "permanently rejected message", "denied (mode: normal)", "probably unwanted", "looks like advertis", "suspicious content", "similar to * we have received before", "cloudmark", "fingerprint", "werbung", "pourriel", "indesirable", "correo no deseado", "no solicitado", "indesiderat", "ongewenste", "niechcian", "спам", "迷惑メール", "垃圾邮件", "垃圾郵件", "스팸"},
		Not:      []string{"user unknown", "unknown user", "no such user", "mailbox unavailable", "does not exist", "doesn't exist", "user not found", "invalid recipient", "mailbox full", "quota", "recipient unknown", "no mailbox", "unable to connect to spam", "spam filter unavailable", "anti-spam engine", "antispam software to", "recipient address rejected: unknown", "tube", "spam-filter is", "cubed"},
		Examples: []string{"554 5.7.1 Spam score (12.878) too high: see http://www.example.net/", "550 5.7.1 Message content rejected, UBE, id=11092-02-101", "550 5.7.1 You're using a mass mailer, therefore you're bounced."}},

	// The form of the message.
	{Name: "words-form", Reason: NotCompliant, Words: []string{
		"not compliant", "does not comply with required standards", "non-compliant", "noncompliant", "rfc 5322", "rfc5322", "rfc 2822", "rfc2822", "rfc 822", "rfc822 compliant", "improper use of 8-bit", "8-bit data in message header", "8bit data", "bare lf", "bare linefeed", "bare line feed", "bare newline", "bare cr", "missing date", "no date header", "missing from", "missing message-id", "no message-id", "missing to:", "without to:", "must have exactly one", "multiple from", "multiple to", "duplicate header", "bad header", "bad_header", "malformed header", "invalid header", "header syntax", "headers are not", "header is not", "line too long", "line length", "lines longer than", "too long line", "malformed", "corrupt", "broken mime", "invalid mime", "mime error", "improper mime", "mime boundary", "message format", "undisclosed recipients not", "messages without to", "not accept message without", "null bytes", "unencoded", "nonascii", "non-ascii char"},
		Not:      []string{"user unknown", "malformed or unexpected name server", "malformed address", "malformed recipient", "recipient address", "client host", "headers of your"},
		Examples: []string{"550 5.6.9 improper use of 8-bit data in message header", "Messages without To: fields are not accepted here"}},
	{Name: "words-content", Reason: Content, Words: []string{
		"attachment", "file extension", "content rejected", "content denied", "content filter", "content not allowed", "content is not allowed", "content blocked", "message content", "body content", "prohibited content", "banned content", "banned file", "restricted content", "objectionable", "offensive", "dangerous file", "executable", "blocked file", "forbidden file", "filetype", "file type", "prohibited url", "unacceptable content", "macro", "encrypted archive", "subject * not allowed", "language not", "character set not", "charset * not", "subject line"},
		Not:      []string{"with attachments or embedded", "virus"},
		Examples: []string{"552 5.7.0 This message has a banned file extension .exe"}},
}
