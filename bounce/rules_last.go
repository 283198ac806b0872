package bounce

import "homing/internal/reply"

// generalRules are for words so general that those about senders, persons and
// hosts come first.
var generalRules = []Rule{
	{Name: "word-auth", Reason: AuthFailure, Words: []string{"dmarc", "spf", "dkim", "sender authentication failed"},
		Examples: []string{"550 SPF is prohibiting your address"}},
	{Name: "words-policy", Reason: Policy, Words: []string{
		"beveiligingsbeleid", "sicherheitsrichtlinie", "politique de securite", "politica de seguridad",
		"politica di sicurezza", "politica de seguranca", "polityk * bezpieczenstwa", "sakerhetspolicy",
		"sikkerhedspolitik", "sikkerhetspolicy", "biztonsagi szabaly", "politica de securitate", "guvenlik politika",
		"политик * безопасност", "closed list", "non-members", "only members", "forbidden", "policy", "policies",
		"closed mailing list", "members only", "members-only", "subscribers only", "not subscribed to",
		"not on the approved", "restricted to", "requires moderator", "organizational settings", "given low priority",
		"protocol violation", "secumail valve", "captcha", "security reason", "security restriction",
		"security violation", "for security", "insecure", "administrative prohibition", "administratively prohibited",
		"administratively denied", "by administrator", "by the administrator", "not authorized", "unauthorized",
		"not authorised", "unauthorised", "delivery not authorized", "authorization", "authentication credentials",
		"smtp authentication", "authentication turned off", "authentication is required", "privacy level",
		"rule imposed", "authentication required", "prohibited", "not permitted", "not allowed", "isn't allowed",
		"server rules", "violates our rules", "access rule", "verboten", "nicht erlaubt", "nicht zulassig",
		"richtlinie", "non autorise", "interdit", "no permitido", "no autorizad", "non consentit", "non autorizzat",
		"nao permitid", "nao autorizad", "niet toegestaan", "niedozwolon", "запрещен", "許可されていません", "禁止",
	},
		Not:      []string{"policy service * unavailable"},
		Examples: []string{"550 5.7.0 Local Policy Violation", "551 5.7.1 <ann@example.com>: Recipient address rejected: Delivery not authorized."}},
	{Name: "words-refused", Reason: Rejected, Words: []string{
		"access denied", "access is denied", "access not allowed", "permission denied", "denied by",
		"rejected by destination domain", "mail rejected by destination",
	},
		Not: []string{"mailbox"}, Examples: []string{"550 5.7.1 <news@example.org>... Access denied"}},
	{Name: "words-blocked", Reason: Blocked, Words: []string{
		"blocked", "banned", "go away", "you are not welcome", "get lost", "access restricted", "blockiert",
		"gesperrt", "bloque", "bloccat", "bloquead", "geblokkeerd", "zablokowan", "заблокирован",
	},
		Examples: []string{"554 refused: blocked"}},
	{Name: "words-protocol", Reason: ProtocolError, Words: []string{
		"synchronization error", "synchronisation error", "non-ascii addresses", "syntax error", "bad sequence",
		"command not implemented", "command unrecognized", "unrecognized command", "command not recognized",
		"unknown command", "improper command pipelining", "protocol synchronization", "without waiting for",
		"protocol error", "parameter", "need mail command", "need rcpt", "out of order", "not implemented", "smtputf8",
		"8bitmime", "local-part of envelope contains utf8", "bad command", "invalid command", "invalid command or",
		"nested mail",
	},
		Examples: []string{"503 5.5.1 Bad sequence of commands", "local-part of envelope contains utf8 but remote server did not offer SMTPUTF8"}},
	{Name: "stage-connect-refused", Strength: Later, Reason: Blocked, Stages: []reply.Stage{reply.Connect}, Words: []string{
		"service not available", "service unavailable", "closing connection",
	},
		Examples: []string{"421 Service unavailable"}},
	{Name: "words-closing", Strength: Later, Reason: Blocked, Words: []string{"service not available, closing transmission channel"},
		Examples: []string{"421 Service not available, closing transmission channel"}},
	{Name: "words-system", Reason: SystemError, Words: []string{
		"eroare interna", "vnitrni chyba", "blad wewnetrzny", "belso hiba", "internt fel", "intern fejl",
		"intern feil", "sisainen virhe", "dahili hata", "interne fout", "interner serverfehler", "внутренняя ошибка",
		"εσωτερικο σφαλμα", "内部エラー", "システムエラー", "内部错误", "내부 오류", "uh-oh: .qmail", "prog delivery", "internal error",
		"internal server error", "transaction failed", "timeout waiting for input", "no mdb", "forwarding loop broken",
		"server configuration error", "internal system error", "system error", "server error", "local error",
		"error in processing", "processing error", "error while writing", "not accepting network messages",
		"out of memory", "out of resources", "insufficient resource", "ldap", "database", "mysql", "can't open",
		"can't create", "couldn't create", "cannot create", "cannot open", "unable to open", "unable to write",
		"unable to lock", "write error", "i/o error", "input/output error", "disk error", "permission problem",
		"lock failure", "configuration error", "misconfigur", "local configuration", "config error", "transport",
		"malfunction", "exception", "operating system error", "unknown error", "could not be processed",
		"encountered an error while being processed", "error was encountered", "queue file write", "upstream error",
		"locked by another", "content filter unavailable", "virus scanner", "milter", "cyrus", "lmtp",
		"timed out * lookup", "lookup failure", "lookup error", "lookup failed", "interner fehler", "systemfehler",
		"erreur interne", "error interno", "errore interno", "ошибка", "エラーが発生",
	},
		Examples: []string{"Unable to contact LDAP server. (#4.4.3)"}},
	{Name: "words-mailer", Strength: Program, Reason: SystemError, Words: []string{
		"mailer error", "procmail", "maildrop", "command died", "command failed", "command time limit",
		"command output", "exit code", "exit status", "returned exit", "exited with", "pipe to",
		"local delivery failed", "unknown mailer error", "x-unix;", "delivery agent", "mail transport",
	},
		Examples: []string{"554 5.3.0 Mailer error", "local delivery failed"}},
	{Name: "words-expired", Reason: Expired, Words: []string{
		"max time without delivery", "verweildauer", "keine weiteren zustellversuche", "retry timeout exceeded",
		"retry time not reached", "failing for a long time", "allowed queue period", "failed to deliver to domain",
		"sitting in queue", "not been collected after", "could not find a gateway", "message expired",
		"delivery expired", "delivery time expired", "envelope expired", "queue too long", "in the queue too long",
		"could not be delivered for", "was not delivered for", "message timed out", "giving up",
		"could not deliver for the last", "undeliverable for", "maximum-time-expired", "maximum time expired",
		"maximum retr", "retries exceeded", "delivery attempts * exceeded", "delivery failed * attempts",
		"delivery attempts have failed", "cannot send message for", "could not send message for",
		"unable to deliver * for the last", "was aborted after", "expired after", "has been undeliverable for",
		"lifetime expired", "numerous attempts to deliver", "time limit exceeded", "time-out reached",
		"queue lifetime", "too old", "deliver timed out", "recipient server unavailable or busy",
		"message has expired", "wait * expired", "wiederholungs", "delai * depasse", "tiempo de espera agotado",
	},
		Not:      []string{"giving up on", "account"},
		Examples: []string{"retry timeout exceeded", "Could not deliver for the last 432000 seconds. Giving up."}},
	{Name: "words-later", Strength: Later, Reason: SystemError, Words: []string{
		"temporary failure", "temporary error", "temporary problem", "temporary system", "temporarily unavailable",
		"temporary local", "temporarily deferred", "try again later", "try later", "resources temporarily",
		"service unavailable", "service not available", "service currently unavailable", "service is not available",
		"service temporarily", "server unavailable", "system not available", "system unavailable",
		"not available right now", "system is busy", "server busy", "server is busy", "too busy", "voruebergehend",
		"vorubergehend", "spater noch", "indisponible", "temporalmente", "temporaneamente", "temporariamente",
		"tijdelijk", "tymczasowo", "временно",
	},
		Examples: []string{"451 Temporary local problem - please try later"}},
	{Name: "words-message-refused", Reason: Policy, Words: []string{
		"message rejected", "message refused", "message denied", "message has been denied", "message not accepted",
		"message was rejected", "message was not accepted", "message is rejected", "message cannot be accepted",
		"mail rejected", "mail refused", "mail denied", "email rejected", "email refused", "e-mail rejected",
		"transaction refused", "delivery not permitted", "rejecting", "nachricht abgelehnt",
		"nachricht wurde abgelehnt", "message refuse", "mensaje rechazado", "messaggio rifiutato",
		"mensagem rejeitada", "bericht geweigerd",
	},
		Codes: []int{5}, Examples: []string{"550 Message rejected"}},
	{Name: "status-5.1.0-rejected", Strength: Guess, Reason: UserUnknown, Status: []string{"5.1.0"}, Words: []string{"address rejected"},
		Examples: []string{"550 5.1.0 Address rejected."}},
	{Name: "words-recipient-refused", Reason: Filtered, Words: []string{
		"recipient address rejected", "address rejected", "recipient rejected", "rejected recipient",
	}, Codes: []int{5},
		Examples: []string{"550 <ann@example.com>: Recipient address rejected"}},
}

// statusRules are for enhanced status codes (RFC 3463, IANA registry) whose
// text said nothing that is known.
var statusRules = []Rule{
	{Name: "status-size", Reason: MessageTooBig, Status: []string{"5.2.3", "5.3.4", "4.2.3", "4.3.4"}, Examples: []string{"552 5.3.4 refused"}},
	{Name: "status-expired", Reason: Expired, Status: []string{"5.4.7", "4.4.7"}, Examples: []string{"550 5.4.7 refused"}},
	{Name: "status-protocol", Reason: ProtocolError, Status: []string{
		"5.5.1", "5.5.2", "5.5.4", "5.5.5", "5.6.10", "4.5.1", "4.5.2", "4.5.4",
	}, Examples: []string{"501 5.5.4 refused"}},
	{Name: "status-form", Reason: NotCompliant, Status: []string{"5.6.*", "4.6.*"}, Examples: []string{"550 5.6.0 refused"}},
	{Name: "status-5.2.1", Reason: Disabled, Status: []string{"5.2.1"}, Not: []string{"this message"}, Examples: []string{"550 5.2.1 refused"}},
	{Name: "status-4.2.1", Reason: Disabled, Class: Soft, Status: []string{"4.2.1"}, Examples: []string{"450 4.2.1 refused"}},
	{Name: "status-no-way", Reason: HostUnknown, Status: []string{"5.4.4", "4.4.4"}, Examples: []string{"550 5.4.4 refused"}},
	{Name: "status-network", Reason: NetworkError, Status: []string{"5.4.*", "4.4.*"}, Examples: []string{"451 4.4.1 refused"}},
	{Name: "status-system", Reason: SystemError, Status: []string{
		"5.3.*", "4.3.*", "4.2.0", "4.2.4", "5.2.4",
	}, Examples: []string{"451 4.3.0 refused"}},
	{Name: "status-policy", Reason: Policy, Status: []string{"5.7.*"}, Examples: []string{"554 5.7.9 refused"}},
	{Name: "status-4.7.0", Reason: RateLimited, Status: []string{"4.7.0"}, Codes: []int{421}, Examples: []string{"421 4.7.0 refused"}},
	{Name: "status-4.7", Reason: Policy, Status: []string{"4.7.*"}, Examples: []string{"451 4.7.8 refused"}},
}

// codeRules are for bare reply codes (RFC 5321 section 4.2.3).
var codeRules = []Rule{
	{Name: "stage-early", Reason: Blocked, Stages: []reply.Stage{reply.Connect, reply.EHLO}, Codes: []int{5}, Examples: []string{"554 No"}},
	{Name: "code-syntax", Reason: ProtocolError, Codes: []int{500, 501, 502, 503, 504, 555}, Examples: []string{"503 refused"}},
	{Name: "stage-mail-refused", Reason: Rejected, Stages: []reply.Stage{reply.MAIL}, Codes: []int{5}, Examples: []string{"550 No"}},
	{Name: "code-551", Strength: Guess, Reason: Moved, Codes: []int{551}, Stages: []reply.Stage{reply.RCPT, reply.DSN},
		Not: []string{"spam", "policy"}, Examples: []string{"551 refused"}},
	{Name: "code-553-550-mailbox", Strength: Guess, Reason: UserUnknown, Codes: []int{550, 553}, Words: []string{"mailbox"},
		Stages: []reply.Stage{reply.RCPT, reply.DSN}, Examples: []string{"550 mailbox"}},
	{Name: "code-421", Reason: SystemError, Codes: []int{421}, Examples: []string{"421 refused"}},
	{Name: "code-452", Reason: SystemFull, Codes: []int{452}, Examples: []string{"452 refused"}},
	{Name: "code-451", Reason: SystemError, Codes: []int{451, 450}, Examples: []string{"451 refused"}},
}
