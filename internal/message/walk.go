package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"time"
)

// Limits of a walk. Whoever sends us mail chooses its shape; these bound what
// it can cost.
const (
	MaxDepth  = 20        // multiparts inside each other
	MaxParts  = 200       // parts that are no multiparts
	MaxFields = 256 << 10 // octets of header read, of all parts together
	MaxText   = 256 << 10 // octets kept of one part
	MaxKept   = 4 << 20   // octets kept of all parts together
	MaxWalk   = time.Second
)

// keptOther is what is kept of a part that is neither text nor a message:
// enough to see that a mail system put its report there under a wrong name.
const keptOther = 16 << 10

// lineBuffer is the longest line that is seen in one piece. Longer ones are
// content, never a delimiter or a header field.
const lineBuffer = 32 << 10

// A Walker reads a message of any shape, in time that grows with its size
// alone and memory that does not. The zero Walker is ready. It may be used
// from many goroutines.
type Walker struct {
	Limit time.Duration    // computing time for one message; 0: MaxWalk
	Now   func() time.Time // nil: time.Now
	Keep  int              // octets kept of each part, whatever it is, within MaxKept; 0: MaxText of text and messages, little of others
	Whole int              // which part, from 1, is kept whole however long it is; 0: none
	// Leaf, if set, is asked for each part whose content begins, with its place
	// in Mail.Parts and a Part that has no content yet. What it gives, if not
	// nil, is written all of the content as it comes, whatever is kept of it; an
	// error of it ends the walk.
	Leaf func(n int, p Part) io.Writer
}

// Mail is what a walk found.
type Mail struct {
	Fields  Fields // header of the message
	Parts   []Part // all that are no multiparts, in order; at most MaxParts
	Limited bool   // a limit was reached: there is more in the message
}

// A Part is a leaf of the tree that MIME makes of a message (RFC 2045). A
// message inside the message (RFC 2046 section 5.2) is a leaf as well.
type Part struct {
	Fields Fields
	Type   string // "text/plain": lower case, never empty
	Depth  int    // multiparts around it; 0: the message has no others
	Raw    []byte // content as it came, as much as is kept of it
	Size   int64  // octets of the whole content
	// Stray is set for text between the header of a multipart and its first
	// delimiter, kept where no delimiter came.
	Stray bool

	kind ContentType
}

// Cut reports whether Raw is not the whole content.
func (p *Part) Cut() bool { return int64(len(p.Raw)) < p.Size }

// Param gives a parameter of the content type: "charset", "report-type".
func (p *Part) Param(name string) string { return p.kind.Param(name) }

// errSlow ends a walk that takes too long.
var errSlow = errors.New("message: walking took too long")

// Walk reads a message to its end, or until a limit leaves nothing to find.
// Nothing in a message is an error: missing and wrong delimiters, lines of any
// length, LF alone as line end and an mbox "From " line are all understood.
// An error is one of r; the Mail is then what was seen before it.
func (w Walker) Walk(r io.Reader) (Mail, error) {
	clock := stopwatch{r: r, now: w.Now, limit: w.Limit}
	if clock.now == nil {
		clock.now = time.Now
	}
	if clock.limit == 0 {
		clock.limit = MaxWalk
	}
	clock.last = clock.now()
	s := walk{in: bufio.NewReaderSize(&clock, lineBuffer), buf: make([]byte, 0, 16<<10), each: w.Keep, whole: w.Whole, leaf: w.Leaf}
	s.open(0)
	err := s.run()
	s.close()
	if errors.Is(err, errSlow) {
		s.limited, err = true, nil
	}
	return s.mail(), err
}

// A stopwatch stops a reader when the time between its reads adds up to more
// than limit: that is time spent computing, not waiting.
type stopwatch struct {
	r     io.Reader
	now   func() time.Time
	last  time.Time
	spent time.Duration
	limit time.Duration
}

func (s *stopwatch) Read(p []byte) (int, error) {
	if s.spent += s.now().Sub(s.last); s.spent > s.limit {
		return 0, errSlow
	}
	n, err := s.r.Read(p)
	s.last = s.now()
	return n, err
}

// Where in a part the walk is.
type place int

const (
	inHeader place = iota
	inContent
	inStray // of a multipart, before its first delimiter
	inGap   // after a multipart's last delimiter
)

// A walk is the state of one Walk. All that is kept is in buf; parts name
// pieces of it until the end, because it moves when it grows.
type walk struct {
	in      *bufio.Reader
	buf     []byte
	found   []found
	stack   []delimiter
	part    found // the one being read
	at      place
	each    int // octets kept of each part; 0: by its type
	whole   int // which part is kept whole, from 1
	fields  int // octets of header so far
	limited bool
	started bool // a line of the message has been seen
	drop    bool // the header of this part is past the limit
	top     [2]int
	topped  bool // top is the header of the message
	leaf    func(n int, p Part) io.Writer
	out     io.Writer // of the part being read; nil: nobody
	failed  error     // of out
}

// A found is a Part that still names its octets by position.
type found struct {
	head, text [2]int
	kind       ContentType
	depth      int
	size       int64
	keep       int
	stray      bool
}

// A delimiter ends the parts of one multipart.
type delimiter struct {
	line    []byte // with its leading "--"; nil: not known yet
	matched bool   // it was seen
}

func (s *walk) run() error {
	begins := true
	for {
		line, err := s.in.ReadSlice('\n')
		ends := err != bufio.ErrBufferFull
		if len(line) > 0 && !s.line(line, begins, ends) {
			return s.failed
		}
		switch begins = ends; err {
		case nil, bufio.ErrBufferFull:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// line takes a line with its end, or a piece of one that is too long. It
// reports whether anything can follow that matters.
func (s *walk) line(line []byte, begins, ends bool) bool {
	if begins && ends && len(line) > 2 && line[0] == '-' && line[1] == '-' && s.delimit(line) {
		if s.at == inHeader && len(s.found) >= MaxParts {
			s.limited = true
			return false
		}
		return true
	}
	switch s.at {
	case inHeader:
		s.header(line, begins)
	case inContent, inStray:
		s.content(line)
	}
	return s.failed == nil
}

// delimit acts on a line that delimits parts and reports whether it was one.
func (s *walk) delimit(line []byte) bool {
	line = bytes.TrimRight(line, " \t\r\n")
	for i := len(s.stack) - 1; i >= 0; i-- {
		d := s.stack[i]
		if d.line == nil || !bytes.HasPrefix(line, d.line) {
			continue
		}
		switch string(line[len(d.line):]) {
		case "":
			s.stack[i].matched = true
			s.close()
			s.stack = s.stack[:i+1]
			s.open(i + 1)
			return true
		case "--":
			s.close()
			s.stack = s.stack[:i]
			s.at = inGap
			return true
		}
	}
	return s.adopt(line)
}

// adopt takes a line for the delimiter of a multipart that names none, or
// another one: before the first part, and only when a part's header follows.
func (s *walk) adopt(line []byte) bool {
	top := len(s.stack) - 1
	if s.at != inStray || top < 0 || s.stack[top].matched || len(line) < 3 || bytes.ContainsAny(line, " \t") {
		return false
	}
	line = bytes.Clone(line) // Peek moves it
	next, _ := s.in.Peek(len("content-"))
	if !bytes.EqualFold(next, []byte("content-")) {
		return false
	}
	s.stack[top] = delimiter{line: line, matched: true}
	s.part.stray = false // what came before is no stray text
	s.at = inGap
	s.open(top + 1)
	return true
}

// open begins a part.
func (s *walk) open(depth int) {
	s.part = found{depth: depth, head: [2]int{len(s.buf), len(s.buf)}}
	s.at, s.drop, s.out = inHeader, false, nil
}

// close ends the part being read and keeps it, if it is one.
func (s *walk) close() {
	if s.at == inHeader {
		s.endHeader()
	}
	p := s.part
	p.text[1] = len(s.buf)
	switch {
	case s.at == inContent, s.at == inStray && p.size > 0 && !s.stack[len(s.stack)-1].matched:
		p.stray = s.at == inStray
		if len(s.found) < MaxParts {
			s.found = append(s.found, p)
		}
	}
	s.at = inGap
}

// header takes a line of a header block, or a piece of one.
func (s *walk) header(line []byte, begins bool) {
	text := bytes.TrimRight(line, "\r\n")
	if !s.started {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
		s.started = len(text) > 0 // empty lines before the message
		if !s.started || bytes.HasPrefix(text, []byte("From ")) || bytes.HasPrefix(text, []byte(">From ")) {
			return // mbox
		}
	}
	switch {
	case !begins:
	case len(text) == 0:
		s.endHeader()
		return
	case fieldLine(text), folded(text) && len(bytes.TrimSpace(text)) > 0:
	case folded(text):
		if !s.fieldFollows() {
			s.endHeader()
			return
		}
		line = []byte(" \n") // Peek moved it
	default:
		// A broken gateway left the empty line out.
		s.endHeader()
		s.content(line)
		return
	}
	if s.drop || s.fields+len(line) > MaxFields {
		s.drop, s.limited = true, true
		return
	}
	s.fields += len(line)
	s.buf = append(s.buf, line...)
	s.part.head[1] = len(s.buf)
}

// fieldFollows reports whether the next line belongs to a header block.
func (s *walk) fieldFollows() bool {
	next, _ := s.in.Peek(128)
	line, _, _ := bytes.Cut(next, []byte("\n"))
	return fieldLine(line) || folded(line)
}

// endHeader decides by the header what the part is.
func (s *walk) endHeader() {
	head := ParseFields(s.buf[s.part.head[0]:s.part.head[1]])
	if !s.topped {
		s.top, s.topped = s.part.head, true
	}
	kind := ParseContentType(head.Get("Content-Type"))
	s.part.kind = kind
	s.part.text[0] = len(s.buf)
	s.part.keep = MaxText
	s.at = inContent
	switch {
	case strings.HasPrefix(kind.Type, "multipart/") && len(s.stack) >= MaxDepth:
		s.part.keep, s.limited = 0, true
	case strings.HasPrefix(kind.Type, "multipart/"):
		s.at = inStray
		d := delimiter{}
		if b := kind.Param("boundary"); b != "" {
			d.line = append([]byte("--"), strings.TrimRight(b, " \t")...)
		}
		s.stack = append(s.stack, d)
		s.part.depth++
	case s.each > 0:
		s.part.keep = s.each
	case !strings.HasPrefix(kind.Type, "text/") && !strings.HasPrefix(kind.Type, "message/"):
		s.part.keep = keptOther
	}
	if s.whole == len(s.found)+1 {
		s.part.keep = math.MaxInt
	}
	if s.leaf != nil && s.at == inContent && len(s.found) < MaxParts {
		s.out = s.leaf(len(s.found), Part{Fields: head, Type: kind.Type, Depth: s.part.depth, kind: kind})
	}
}

// content keeps what may be kept.
func (s *walk) content(piece []byte) {
	s.part.size += int64(len(piece))
	if s.out != nil {
		_, s.failed = s.out.Write(piece)
	}
	room := min(s.part.keep-(len(s.buf)-s.part.text[0]), len(piece))
	if s.part.keep < math.MaxInt {
		room = min(room, MaxKept-len(s.buf))
	}
	if room > 0 {
		s.buf = append(s.buf, piece[:room]...)
	}
}

// mail makes the Mail of what was found.
func (s *walk) mail() Mail {
	m := Mail{Limited: s.limited, Parts: make([]Part, len(s.found))}
	m.Fields = ParseFields(s.buf[s.top[0]:s.top[1]:s.top[1]])
	for i, p := range s.found {
		m.Parts[i] = Part{Type: p.kind.Type, Depth: p.depth, Size: p.size, Stray: p.stray, kind: p.kind,
			Fields: ParseFields(s.buf[p.head[0]:p.head[1]:p.head[1]]), Raw: s.buf[p.text[0]:p.text[1]:p.text[1]]}
		if p.stray {
			m.Parts[i].Type = "text/plain"
		}
	}
	return m
}
