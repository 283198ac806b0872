package bounce

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"homing/internal/reply"
)

// maxText is how much of a text is looked at, in octets.
const maxText = 4 << 10

// A said is Evidence made ready for the rules.
type said struct {
	original

	stage  reply.Stage
	text   string // folded
	plain  string // the same without what stands in links behind the host
	remote string // lower case
	code   int
	status string // "" where unknown
	marks  marks  // phrases of the table that may be in the text
	ours   bool   // the text speaks of us: the sender, his address, host or signature
}

// read makes evidence ready. A code or status that the text gives counts where
// the evidence has none, or only a general one.
func read(e Evidence) said {
	text := e.Text
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	code, status := findReply(text)
	s := said{stage: e.Stage, remote: strings.ToLower(e.RemoteMTA), code: e.Code, status: e.Status}
	s.original = original{as: text, noCode: code == 0, noStatus: status == "", answer: e.Stage != reply.DSN && e.Stage != ""}
	if s.code == 0 {
		s.code = code
	}
	if general(s.status) && !general(status) || s.status == "" {
		s.status = status
	}
	if text = withoutAddresses(text); strings.Contains(text, "=") {
		text = orAddresses.ReplaceAllString(text, "@")
	}
	s.text = Fold(text)
	s.plain = withoutLinks(s.text)
	if s.stage == reply.DSN || s.stage == "" {
		s.stage = stageIn(s.text)
	}
	return s
}

// orAddresses are X.400 addresses (RFC 2156 section 4.1), as text: "/G=Ann/S=Smith/".
var orAddresses = regexp.MustCompile(`(?:/[A-Za-z-]{1,8}=[^/\n]{0,64}){2,}/?`)

// withoutAddresses puts "@" for each address: what people are called says
// nothing of what happened.
func withoutAddresses(text string) string {
	at := strings.IndexByte(text, '@')
	if at < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	from := 0
	for at >= 0 {
		if a, start, end := addressAt(text, at); a != "" && start >= from {
			out = append(append(out, text[from:start]...), '@')
			from = end
		}
		next := strings.IndexByte(text[at+1:], '@')
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return string(append(out, text[from:]...))
}

// withoutLinks takes out of folded text what stands in links behind the name of
// the host: where somebody keeps his help says nothing of what happened.
func withoutLinks(text string) string {
	i := strings.Index(text, "://")
	if i < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	for i >= 0 {
		end := i + len("://")
		for end < len(text) && text[end] != ' ' && text[end] != '/' && text[end] != '?' {
			end++
		}
		out = append(out, text[:end]...)
		for end < len(text) && text[end] != ' ' {
			end++
		}
		text = text[end:]
		i = strings.Index(text, "://")
	}
	return string(append(out, text...))
}

// general reports whether a status says no more than its first digit.
func general(status string) bool {
	return status == "" || strings.HasSuffix(status, ".0.0")
}

// temporary reports whether the other side may change its mind. The code
// decides: reports give 4.x.x to what was refused with 5xx, and the reverse.
func (s *said) temporary() bool {
	if s.code != 0 {
		return s.code/100 == 4
	}
	return strings.HasPrefix(s.status, "4.")
}

func (s *said) hasCode(want int) bool {
	return s.code == want || want < 100 && s.code/10 == want || want < 10 && s.code/100 == want
}

func (s *said) codeText() string { return strconv.Itoa(s.code) }

func (s *said) hasStatus(want string) bool {
	if start, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(s.status, start)
	}
	return s.status == want
}

// from reports whether a host of that name speaks.
func (s *said) from(name string) bool {
	return strings.Contains(s.remote, name) || strings.Contains(s.text, name)
}

// stageHints are what mail systems write into a report about the stage of the
// dialogue at which they were refused, folded.
var stageHints = []struct {
	stage reply.Stage
	words []string
}{
	{reply.MAIL, []string{"in reply to mail from", "after mail from", "after pipelined mail from", "pipelined mail from", "but sender was rejected", "[mail_from]", "did not like our mail from", "mail from command", "step: mail from"}},
	{reply.Connect, []string{"after initial connection", "refused to talk to me", "[connect]", "while receiving the initial server greeting"}},
	{reply.EHLO, []string{"in reply to ehlo", "in reply to helo", "after ehlo", "after helo", "while performing the ehlo handshake", "while performing the helo handshake", "did not like our ehlo", "did not like our helo"}},
	{reply.STARTTLS, []string{"in reply to starttls", "after starttls"}},
	{reply.Dot, []string{"in reply to end of data", "after end of data", "failed after i sent the message", "did not like our final data"}},
}

// stageIn gives the stage that a report names, else DSN. A transcript of
// Sendmail names it by the command that was answered last.
func stageIn(folded string) reply.Stage {
	if strings.Contains(folded, ">>> mail from") && !strings.Contains(folded, ">>> rcpt") && !strings.Contains(folded, ">>> data") {
		return reply.MAIL
	}
	for _, h := range stageHints {
		for _, w := range h.words {
			if strings.Contains(folded, w) {
				return h.stage
			}
		}
	}
	return reply.DSN
}

// Fold makes text comparable: lower case, no accents, each run of white space
// one space, no reply codes and no continuation marks of replies.
func Fold(text string) string {
	ascii := true
	for i := 0; i < len(text) && ascii; i++ {
		ascii = text[i] < utf8.RuneSelf
	}
	if !ascii {
		text = plain(text)
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		for i < len(text) && space(text[i]) {
			i++
		}
		end := i
		for end < len(text) && !space(text[end]) {
			end++
		}
		word := text[i:end]
		i = end
		if word = bareWord(word); word == "" {
			continue
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		for j := 0; j < len(word); j++ {
			c := word[j]
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			out = append(out, c)
		}
	}
	return string(out)
}

// plain lower-cases and removes accents. Curly quotes become straight.
func plain(text string) string {
	text = norm.NFD.String(strings.ToValidUTF8(text, " "))
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf:
			return r
		case unicode.Is(unicode.Mn, r):
			return -1
		case r == '’' || r == '‘':
			return '\''
		case r == '\u00a0' || r == '\u3000':
			return ' '
		case r == 'ı' || r == 'ł' || r == 'Ł':
			return undecomposed[r]
		}
		return unicode.ToLower(r)
	}, text)
}

// undecomposed are letters that have no accent of their own in Unicode, and
// that people leave the mark off.
var undecomposed = map[rune]rune{'ı': 'i', 'ł': 'l', 'Ł': 'l'}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// bareWord takes the reply code and the status off the start of a word:
// "550-5.7.1" and "550" become nothing, "550-the" becomes "the".
func bareWord(w string) string {
	if len(w) >= 3 && (w[0] == '4' || w[0] == '5') && digit(w[1]) && digit(w[2]) {
		if len(w) == 3 {
			return ""
		}
		if w[3] == '-' {
			w = w[4:]
		}
	}
	if n := statusLen(w); n > 0 && n == len(w) {
		return ""
	}
	return w
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// statusLen gives the length of the enhanced status code that s begins with
// (RFC 3463 section 2), or 0.
func statusLen(s string) int {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return 0
	}
	i := 2
	for part := 0; part < 2; part++ {
		start := i
		for i < len(s) && digit(s[i]) && i-start < 3 {
			i++
		}
		if i == start {
			return 0
		}
		if part == 0 {
			if i >= len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(s) && (digit(s[i]) || alpha(s[i]) || s[i] == '.' && i+1 < len(s) && digit(s[i+1])) {
		return 0 // an IP address, a version
	}
	return i
}

func alpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// findReply finds the reply code and the enhanced status code in a text: the
// pair that stands together, else what looks most like each. Only failures
// count.
func findReply(text string) (code int, status string) {
	best, statusBest := 0, 0
	for i := 0; i+3 <= len(text); i++ {
		c := text[i]
		if c != '4' && c != '5' || i > 0 && (digit(text[i-1]) || alpha(text[i-1]) || text[i-1] == '.' || text[i-1] == '-' && i > 1 && digit(text[i-2])) {
			continue
		}
		if n := statusLen(text[i:]); n > 0 {
			if rank := statusRank(text, i); rank > statusBest {
				status, statusBest = text[i:i+n], rank
			}
			i += n
			continue
		}
		rank, after := codeRank(text, i)
		if rank == 0 {
			continue
		}
		if n := statusLen(text[after:]); n > 0 && rank > 1 {
			if best < 5 {
				code, _ = strconv.Atoi(text[i : i+3])
				status, best, statusBest = text[after:after+n], 5, 5
			}
			i = after + n
			continue
		}
		if rank > best {
			code, _ = strconv.Atoi(text[i : i+3])
			best = rank
		}
		i += 2
	}
	return code, status
}

// statusRank says how much what stands at i looks like a status: marked with
// "#", in brackets, alone.
func statusRank(text string, i int) int {
	switch {
	case i == 0 || text[i-1] == '#' || text[i-1] == '(' || text[i-1] == '\'':
		return 3
	case space(text[i-1]) || text[i-1] == ':' || text[i-1] == ';' || text[i-1] == '[':
		return 2
	}
	return 0
}

// codeRank says how much the three digits at i look like a reply code, and
// where the text after them begins.
func codeRank(text string, i int) (rank, after int) {
	if len(text) < i+3 || !digit(text[i+1]) || !digit(text[i+2]) || text[i+1] > '7' {
		return 0, 0
	}
	after = i + 3
	if after < len(text) && !space(text[after]) && !strings.ContainsRune("-:,;]>)'\"", rune(text[after])) {
		return 0, 0
	}
	for after < len(text) && strings.IndexByte(" -:#'\"", text[after]) >= 0 {
		after++
	}
	lead := strings.TrimRight(text[:i], " \t([\"'<")
	switch {
	case lead == "" || strings.HasSuffix(lead, "\n"), strings.HasSuffix(lead, "said:"), strings.HasSuffix(lead, "<<<"), strings.HasSuffix(lead, "smtp;"):
		return 4, after
	case strings.HasSuffix(lead, ":"), strings.HasSuffix(lead, ";"), strings.HasSuffix(lead, ">"), strings.HasSuffix(lead, "Code"), strings.HasSuffix(lead, "code"), strings.HasSuffix(lead, "..."):
		return 3, after
	case text[i+1] <= '5' && after < len(text) && text[i+3] == ' ' && (alpha(text[after]) || text[after] == '<' || text[after] == '5' || text[after] == '4'):
		return 2, after
	}
	return 0, 0
}
