package bounce_test

import (
	"testing"

	"homing/bounce"
	"homing/internal/reply"
)

// about gives what the table makes of a text in a report, which hides the stage.
func about(text string) bounce.Verdict {
	return bounce.NewTable().Classify(bounce.Evidence{Stage: reply.DSN, Text: text})
}

func TestWhatIsSaidOfUsInWordsOfPersonsIsOurs(t *testing.T) {
	for _, text := range []string{
		"550 Absender existiert nicht",
		"550 L'expediteur n'existe pas",
		"550 Il mittente non esiste",
		"550 O remetente nao existe",
		"550 Afzender bestaat niet",
		"550 送信者のアドレスは存在しません",
		"550 发件人不存在",
		"550 5.4.1 Access denied, your IP is not allowed",
		"550 Sender address has null MX",
		"550 Domain of From: has no MX record",
		"550 5.1.1 Message refused: DKIM signature did not verify",
		"550 5.1.1 the sending domain has no MX",
		"550 Your IP address has changed since you connected",
		"550 Your message has been moved to quarantine",
		"550 Your server is not in our whitelist",
		"550 This client is not a registered mail gateway",
		"550 DKIM key for selector homing1 does not exist",
		"550 TXT record for example.org does not exist",
		"550 This service is no longer available from your network",
		"550 203.0.113.5 is not a valid mail server for example.org",
		"550 your provider is not known for fighting abuse",
		"550 Reply-To contains an invalid address",
		"550 From header: address not found",
		"550 Client IP does not exist in allow-list",
		"550 Your hostname does not exist",
		"501 5.5.4 Invalid Address",
		"550 5.5.2 Syntax error: invalid address",
		"553 5.6.7 address not valid UTF-8",
		"550 Your mail client is not active",
		"550 Smarthost account suspended: contact billing",
		"550 SMTP AUTH account is locked",
		"535 5.7.8 Account disabled",
		"550 cannot verify <news@example.org>: user unknown",
		"550 Callout to example.org failed: no such user",
		"550 The address you sent from does not exist",
		"550 Mailbox unavailable due to spam from sending domain",
		"550 mailbox unavailable. Your IP is on a list",
		"550 user unknown or message rejected: spam",
		"550-5.7.1 Email quota exceeded",
		"552 Your sending account is over quota",
		"552 5.2.2 sender over quota",
		"550 that domain isn't in my list of allowed senders",
		"550 no such sender",
		"550 5.2.1 rejected: our server does not accept mail from dynamic addresses",
		"host mx said: 550 No such user (after pipelined MAIL FROM:<news@example.org>)",
	} {
		if v := about(text); v.Class != bounce.Sender {
			t.Errorf("%q is %s, %s (%s, %q), want it to be ours", text, v.Class, v.Reason, v.Rule, v.Matched)
		}
	}
}

func TestWhatMayBeOursIsNoProofOfADeadAddress(t *testing.T) {
	for _, text := range []string{
		"550 5.4.1 Relay access denied",
		"550 TLS is not active",
		"550 Verification failed for <news@example.org>: unrouteable address",
		"550 Your subscription is unpaid",
		"550 link to a deactivated page",
		"554 Invalid request. Please contact support",
		"550 Mail contains invalid characters",
		"554 Transaction failed: content contains unknown elements",
		"550 5.7.1 Email contains an invalid link",
		"550 Ihre E-Mail wurde gesperrt",
		"550 5.7.1 Le message pour le destinataire a été bloqué",
		"550 Seu email foi bloqueado pelo servidor",
		"550 El mensaje para el usuario ha sido bloqueado",
		"550 Wiadomość do odbiorcy została zablokowana",
		"550 TLS certificate of recipient server expired",
		"Your mail to the recipient could not be delivered: the connection was closed",
		"550 Message for customer rejected: encryption key expired",
		"550 user: password expired",
		"550 5.7.1 Client name was not found in DNS",
		"550 The certificate name was not found",
		"554 5.7.1 Rejected. Bitte beachten Sie unsere neue E-Mail-Adresse postmaster@example.net",
		"550 This server has moved, please reconfigure your relay",
	} {
		if v := about(text); v.Class == bounce.Hard {
			t.Errorf("%q is hard, %s (%s, %q)", text, v.Reason, v.Rule, v.Matched)
		}
	}
}

func TestADeadAddressIsDeadWhateverIsMentionedBesides(t *testing.T) {
	for _, text := range []string{
		"550 5.1.1 user unknown This host uses DNSBL zen.spamhaus.org",
		"550 User unknown in local recipient table (reputation check passed)",
		"550 5.1.1 Mailbox not found. To contact sales of Spamfilter Inc. call 123",
		"550 5.1.1 Dieser Empfänger existiert nicht. Anlage: x",
		"550 user unknown; too many such attempts and you will be blocked",
		"550 User unknown, your IP address has been logged",
	} {
		if v := about(text); v.Class != bounce.Hard || v.Reason != bounce.UserUnknown {
			t.Errorf("%q is %s, %s (%s, %q), want hard, user_unknown", text, v.Class, v.Reason, v.Rule, v.Matched)
		}
	}
}
