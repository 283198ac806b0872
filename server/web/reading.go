package web

import (
	"context"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"

	"homing/internal/message"
	"homing/store"
)

// A mailPage is a page that shows one captured message.
type mailPage struct {
	Recipient
	Fields   []mailField // those that tell people about it
	Header   []mailField // all
	Texts    []string
	HTML     bool // there is some, in a frame
	Parts    []partLine
	Captured bool
	Cut      bool // there is more than is shown
}

type mailField struct{ Name, Text string }

// A partLine is a part that can be taken out of a message.
type partLine struct {
	Number     int // from 1
	Name, Type string
	Size       int64 // as it is sent
}

// ShownFields are those of the header that tell people about a message.
var ShownFields = []string{"Date", "From", "Reply-To", "To", "Cc", "Subject", "List-Unsubscribe"}

// read walks the message of a recipient who has no outcome yet. errNotKept.
func (w *Web) read(ctx context.Context, x store.Recipient, walker message.Walker) (message.Mail, error) {
	body, err := w.content(ctx, x)
	if err != nil {
		return message.Mail{}, err
	}
	defer body.Close()
	return walker.Walk(io.NewSectionReader(body, 0, body.Size()))
}

// open finds the message that a path names, and reads it.
func (w *Web) open(r *http.Request, walker message.Walker) (row store.Row, mail message.Mail, err error) {
	if _, err = parameters(r); err != nil {
		return row, mail, bad(err)
	}
	if row, err = w.row(r); err == nil {
		mail, err = w.read(r.Context(), row.Recipient, walker)
	}
	return row, mail, err
}

// showCaptured shows a message: header, text, HTML in a frame, what is attached.
func (w *Web) showCaptured(rw http.ResponseWriter, r *http.Request) {
	row, mail, err := w.open(r, message.Walker{})
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	out := mailPage{Recipient: w.recipient(row), Captured: row.Recipient.State == store.Captured, Cut: mail.Limited}
	for _, name := range ShownFields {
		if text := mail.Fields.Text(name); text != "" {
			out.Fields = append(out.Fields, mailField{name, text})
		}
	}
	for i := range mail.Fields.Len() {
		name, body := mail.Fields.At(i)
		out.Header = append(out.Header, mailField{name, strings.ToValidUTF8(body, "\ufffd")})
	}
	for i := range mail.Parts {
		p := &mail.Parts[i]
		name, attached := fileName(p)
		switch {
		case p.Type == "text/plain" && !attached:
			out.Texts, out.Cut = append(out.Texts, p.Text()), out.Cut || p.Cut()
			continue
		case p.Type == "text/html" && !attached && !out.HTML:
			out.HTML = true
			continue
		}
		out.Parts = append(out.Parts, partLine{i + 1, name, p.Type, p.Size})
	}
	w.page(rw, r, http.StatusOK, "mail", out)
}

// fileName gives the name under which a part is kept, and reports whether it is
// for keeping rather than for reading (RFC 2183 section 2).
func fileName(p *message.Part) (name string, attached bool) {
	how, params, err := mime.ParseMediaType(p.Fields.Get("Content-Disposition"))
	if err == nil {
		name = params["filename"]
	}
	if name == "" {
		name = p.Param("name")
	}
	if decoded, err := new(mime.WordDecoder).DecodeHeader(name); err == nil {
		name = decoded
	}
	name = path.Base(strings.ReplaceAll(strings.ToValidUTF8(name, ""), `\`, "/"))
	name = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, name)
	if name = strings.TrimLeft(name, "."); name == "/" {
		name = ""
	}
	if runes := []rune(name); len(runes) > maxFileName {
		name = string(runes[len(runes)-maxFileName:]) // what it is comes last
	}
	return name, how == "attachment"
}

// maxFileName is how many characters of the name of a part are kept.
const maxFileName = 100

// downloadPart gives one part as a file. Whatever it claims to be, no browser
// shows it.
func (w *Web) downloadPart(rw http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.PathValue("part"))
	var mail message.Mail
	if err != nil || number < 1 {
		err = store.ErrNotFound
	} else {
		_, mail, err = w.open(r, message.Walker{Whole: number})
	}
	if err == nil && number > len(mail.Parts) {
		err = store.ErrNotFound
	}
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	p := &mail.Parts[number-1]
	name, _ := fileName(p)
	if name == "" {
		name = "part-" + strconv.Itoa(number)
	}
	rw.Header().Set("Content-Type", "application/octet-stream")
	rw.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	rw.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	rw.Write(p.Bytes()) // whoever asked may be gone
}

// showSource gives the message as it is, as text.
func (w *Web) showSource(rw http.ResponseWriter, r *http.Request) {
	row, err := w.row(r)
	var body message.Body
	if err == nil {
		body, err = w.content(r.Context(), row.Recipient)
	}
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	defer body.Close()
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'")
	if _, err := body.WriteTo(rw); err != nil {
		panic(http.ErrAbortHandler) // half of it must not look like all
	}
}

// mailPolicy is what the HTML of a message may do, wherever it is opened: be
// shown, with its own pictures. It has no origin, runs nothing, sends nothing
// and fetches nothing (Content Security Policy Level 3 section 6.3.3).
const mailPolicy = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"

// showHTML gives the HTML of a message, for a frame that is a sandbox.
func (w *Web) showHTML(rw http.ResponseWriter, r *http.Request) {
	_, mail, err := w.open(r, message.Walker{Keep: message.MaxKept})
	i := -1
	if err == nil {
		i = slices.IndexFunc(mail.Parts, func(p message.Part) bool {
			_, attached := fileName(&p)
			return p.Type == "text/html" && !attached
		})
		if i < 0 {
			err = store.ErrNotFound
		}
	}
	if err != nil {
		w.sorry(rw, r, err)
		return
	}
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header().Set("Content-Security-Policy", mailPolicy)
	rw.Header().Set("Referrer-Policy", "no-referrer")
	rw.Header().Set("X-DNS-Prefetch-Control", "off")
	rw.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	io.WriteString(rw, tame(mail.Parts[i].Text(), pictures(mail.Parts))) // whoever asked may be gone
}

// shownPictures are the types of pictures that are shown.
var shownPictures = []string{"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"}

// pictures gives the pictures of a message by their Content-ID (RFC 2392), as
// URLs that have all in themselves.
func pictures(parts []message.Part) map[string]string {
	all := map[string]string{}
	for i := range parts {
		p := &parts[i]
		if id := strings.Trim(p.Fields.Get("Content-ID"), "<> "); id != "" && !p.Cut() && slices.Contains(shownPictures, p.Type) {
			all[id] = "data:" + p.Type + ";base64," + base64.StdEncoding.EncodeToString(p.Bytes())
		}
	}
	return all
}

// unwanted are the elements that are taken out of HTML: what a policy cannot
// keep from asking the network (hints to look names up and to connect), and what
// would only be refused.
var unwanted = []string{"script", "link", "meta", "base"}

// nothingThere is put in the place of what is taken out: what stood around it
// must not become a tag together.
const nothingThere = "<!---->"

// maxEmbedded is how many octets of pictures one page has: each place that names
// one has all of it, and a few octets of HTML are a place.
const maxEmbedded = 16 << 20

// tame takes out of HTML what is unwanted, and puts the pictures of the message
// where it names them, within maxEmbedded. It is no wall: that is mailPolicy.
func tame(text string, pictures map[string]string) string {
	var b strings.Builder
	left := maxEmbedded
	z := html.NewTokenizer(strings.NewReader(text))
	for script := false; ; {
		kind := z.Next()
		out := string(z.Raw()) // Token undoes it
		switch kind {
		case html.ErrorToken:
			return b.String()
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			t := z.Token()
			script = t.Data == "script" && kind != html.EndTagToken
			switch {
			case slices.Contains(unwanted, t.Data):
				out = nothingThere
			case t.Data == "noscript" && kind != html.EndTagToken:
				z.NextIsNotRawText() // no script runs, so that browsers show it
			case embed(&t, pictures, &left):
				out = t.String()
			}
		case html.TextToken:
			if script {
				out = ""
			}
		case html.CommentToken: // some browsers read conditions in them
			out = nothingThere
		}
		b.WriteString(out)
	}
}

// embed puts pictures into the attributes that name them, as long as octets are
// left for them, and reports whether there were any.
func embed(t *html.Token, pictures map[string]string, left *int) (changed bool) {
	for i, a := range t.Attr {
		if len(a.Val) < 4 || !strings.EqualFold(a.Val[:4], "cid:") {
			continue
		}
		picture := pictures[a.Val[4:]]
		if decoded, err := url.PathUnescape(a.Val[4:]); picture == "" && err == nil {
			picture = pictures[decoded]
		}
		if picture != "" && len(picture) <= *left {
			t.Attr[i].Val, changed = picture, true
			*left -= len(picture)
		}
	}
	return changed
}
