package main

import (
	"net/netip"
	"strings"
	"text/template"

	_ "embed"
)

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// lmtpLine is what [listen] has where another program has port 25.
const lmtpLine = `lmtp = ["unix:/run/homing/lmtp.sock"]`

//go:embed neighbours.tmpl
var neighbourText string

// neighbourLines are what other programs on the machine are told, so that they
// and Homing share its ports.
var neighbourLines = template.Must(template.New("neighbours").Parse(neighbourText))

// eximLines has Exim, as Debian configures it, hand the mail of a domain over.
func eximLines(domain string) string { return neighbour("exim", webNames{Return: domain}) }

// postfixLines has Postfix do so.
func postfixLines(domain string) string { return neighbour("postfix", webNames{Return: domain}) }

// webNames are what lines for a web server are about.
type webNames struct {
	Host, Return string
	HTTP         string // where listen.http is
	Webroot      string
}

// lines are those for a web server: "webroot", so that it serves a directory,
// or "public", so that it passes on what is for the world. For those that we do
// not know it is said in words.
func (n webNames) lines(program, what string) string {
	switch program {
	case "apache2", "httpd":
		return neighbour("apache "+what, n)
	case "nginx":
		return neighbour("nginx "+what, n)
	}
	return neighbour("any "+what, n)
}

func neighbour(name string, n webNames) string {
	var b strings.Builder
	if err := neighbourLines.ExecuteTemplate(&b, name, n); err != nil {
		return err.Error() // a test has all of them
	}
	return strings.TrimSpace(b.String()) + "\n"
}
