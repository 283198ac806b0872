package parsedmail

import (
	"regexp"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// policy is what stays of HTML: text, its structure, and links that somebody
// has to follow by hand. Nothing that is fetched when the mail is opened: no
// picture but those that came with it, no style that names an address, no form.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "div", "span", "br", "hr", "b", "strong", "i", "em", "u", "s", "strike", "small", "big", "sub", "sup", "blockquote", "pre", "code",
		"tt", "h1", "h2", "h3", "h4", "h5", "h6", "center", "address", "cite", "q", "abbr", "dl", "dt", "dd")
	p.AllowLists()
	p.AllowTables()
	p.AllowURLSchemes("https", "http", "mailto", "tel", "cid")
	p.RequireParseableURLs(true)
	p.AllowAttrs("href").Matching(regexp.MustCompile(`(?i)^\s*(https?|mailto|tel):`)).OnElements("a")
	p.AllowAttrs("src").Matching(regexp.MustCompile(`(?i)^cid:`)).OnElements("img")
	p.AllowAttrs("alt").OnElements("img")
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	p.AllowAttrs("dir").Matching(regexp.MustCompile(`(?i)^(ltr|rtl|auto)$`)).Globally()
	return p
}

// Clean gives HTML that can be shown within a page of others: it runs nothing,
// fetches nothing from elsewhere, and every element in it ends. complete is
// false where it was longer than MaxText, or what it says cannot be understood.
func Clean(markup string) (clean string, complete bool) {
	if strings.TrimSpace(markup) == "" {
		return "", true
	}
	for limit := MaxText; limit > 0; limit /= 2 {
		clean, ok := balanced(policy.Sanitize(head(markup, limit)))
		if !ok {
			return "", false
		}
		if len(clean) <= MaxText {
			return strings.TrimSpace(clean), len(markup) <= limit
		}
	}
	return "", false
}

// balanced ends what was left open. It fails where elements are deeper in each
// other than any reader would show.
func balanced(clean string) (string, bool) {
	nodes, err := html.ParseFragment(strings.NewReader(clean), &html.Node{Type: html.ElementNode, Data: "div", DataAtom: atom.Div})
	if err != nil {
		return "", false
	}
	var b strings.Builder
	for _, n := range nodes {
		if html.Render(&b, n) != nil {
			return "", false
		}
	}
	return b.String(), true
}
