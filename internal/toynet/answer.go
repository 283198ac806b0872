package toynet

import (
	"fmt"
	"net/url"
	"strings"
)

// Vacation is an out-of-office note to the return path (RFC 3834).
func Vacation(o Original) Letter {
	b := o.begin("<"+o.To+">", "<"+o.From+">", "Automatic reply: "+o.subject())
	fmt.Fprintf(b, `In-Reply-To: %[1]s
References: %[1]s
Auto-Submitted: auto-replied
X-Auto-Response-Suppress: All
Precedence: bulk
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Thank you for your message. I am out of the office until Monday
and will read it when I am back.
`, o.field("Message-ID"))
	return Letter{To: o.From, Message: b.Bytes()}
}

// Reply is what a person writes back, to the return path.
func Reply(o Original) Letter {
	b := o.begin("<"+o.To+">", "<"+o.From+">", "Re: "+o.subject())
	fmt.Fprintf(b, `In-Reply-To: %[1]s
References: %[1]s
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Thank you, I shall be there, and I bring my sister along – is that all right?

Best wishes

> %[2]s
`, o.field("Message-ID"), o.subject())
	return Letter{From: o.To, To: o.From, Message: b.Bytes()}
}

// Unsubscribe is what a mail program sends when its user asks to be taken off
// the list: an empty mail to the address in List-Unsubscribe (RFC 2369 section
// 3.2). Where that has no address, nobody is written to.
func Unsubscribe(o Original) Letter {
	to := mailto(o.field("List-Unsubscribe"))
	b := o.begin("<"+o.To+">", "<"+to+">", "unsubscribe")
	fmt.Fprintf(b, "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n")
	return Letter{From: o.To, To: to, Message: b.Bytes()}
}

// mailto gives the first mail address in a List- field (RFC 2369 section 2);
// "" when there is none.
func mailto(field string) string {
	for item := range strings.SplitSeq(field, ",") {
		u, err := url.Parse(strings.Trim(strings.TrimSpace(item), "<>"))
		if err != nil || u.Scheme != "mailto" {
			continue
		}
		if address, err := url.PathUnescape(u.Opaque); err == nil {
			return address
		}
	}
	return ""
}
