package message

import (
	"html"
	"strings"
	"unicode/utf8"
)

// TextOfHTML gives the text that a reader of HTML sees, roughly: a line for
// each block and each row of a table, an empty line around paragraphs, a tab
// between the cells of a row, no tags, entities decoded. It takes time that
// grows with the size alone.
func TextOfHTML(s string) string {
	p := page{out: make([]byte, 0, len(s)/2)}
	for s != "" {
		i := strings.IndexByte(s, '<')
		if i < 0 {
			p.text(html.UnescapeString(s))
			break
		}
		p.text(html.UnescapeString(s[:i]))
		s = s[i:]
		if strings.HasPrefix(s, "<!--") {
			s = after(s, "-->")
			continue
		}
		end := strings.IndexByte(s, '>')
		if end < 0 {
			break
		}
		// An address in brackets is no tag.
		if strings.ContainsRune(s[1:end], '@') && !strings.ContainsAny(s[1:end], " =\"") {
			p.text(s[:end+1])
		}
		name := tagName(s[1:end])
		s = s[end+1:]
		switch name {
		case "style", "script", "title":
			s = after(s, "</"+name)
			s = after(s, ">")
		default:
			p.tag(name)
		}
	}
	return string(p.out)
}

// A page is text as it is laid out.
type page struct {
	out          []byte
	preformatted bool
}

// text adds text, its white space as one space where that has no meaning.
func (p *page) text(s string) {
	if p.preformatted {
		p.out = append(p.out, strings.ReplaceAll(s, "\u00a0", " ")...)
		return
	}
	for _, r := range s {
		switch r {
		case ' ', '\t', '\r', '\n', '\u00a0':
			if !p.atSpace() {
				p.out = append(p.out, ' ')
			}
		default:
			p.out = utf8.AppendRune(p.out, r)
		}
	}
}

// tag follows a tag.
func (p *page) tag(name string) {
	switch name {
	case "pre":
		p.line()
		p.preformatted = true
	case "/pre":
		p.preformatted = false
		p.line()
	case "br":
		p.trim()
		p.out = append(p.out, '\n')
	case "p", "/p", "h1", "/h1", "h2", "/h2", "h3", "/h3", "h4", "/h4", "hr", "table", "/table", "blockquote", "/blockquote", "ul", "/ul", "ol", "/ol":
		p.line()
		if len(p.out) > 0 && !strings.HasSuffix(string(p.out[max(len(p.out)-2, 0):]), "\n\n") {
			p.out = append(p.out, '\n')
		}
	case "div", "/div", "tr", "/tr", "li", "/li", "dt", "dd":
		p.line()
	case "td", "/td", "th", "/th":
		if p.trim(); !p.atSpace() {
			p.out = append(p.out, '\t')
		}
	}
}

// atSpace reports whether the text ends with white space, or is empty.
func (p *page) atSpace() bool {
	return len(p.out) == 0 || strings.IndexByte(" \t\n", p.out[len(p.out)-1]) >= 0
}

// trim takes white space off the end of a line.
func (p *page) trim() {
	for len(p.out) > 0 && strings.IndexByte(" \t", p.out[len(p.out)-1]) >= 0 {
		p.out = p.out[:len(p.out)-1]
	}
}

// line ends a line that has something in it.
func (p *page) line() {
	if p.trim(); len(p.out) > 0 && p.out[len(p.out)-1] != '\n' {
		p.out = append(p.out, '\n')
	}
}

// tagName gives the lower-case name of a tag.
func tagName(tag string) string {
	i := strings.IndexAny(tag, " \t\r\n")
	if i >= 0 {
		tag = tag[:i]
	}
	if len(tag) > 12 {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(tag, "/"))
}

// after gives what follows the first mark, or nothing. Letter case is ignored.
func after(s, mark string) string {
	for {
		i := strings.IndexByte(s, mark[0])
		if i < 0 {
			return ""
		}
		s = s[i:]
		if len(s) >= len(mark) && strings.EqualFold(s[:len(mark)], mark) {
			return s[len(mark):]
		}
		s = s[1:]
	}
}
