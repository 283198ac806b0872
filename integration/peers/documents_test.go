package peers

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

// documented gives the only block of docs/APPLICATIONS.md in a language that is
// marked so, without its indent.
func documented(t *testing.T, language, mark string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/APPLICATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile("(?ms)^( *)<!-- test: "+mark+" -->\n *```"+language+"\n(.*?)^ *```").FindAllStringSubmatch(string(text), -1)
	if len(all) != 1 {
		t.Fatalf("there are %d blocks %q in %q, want one", len(all), mark, language)
	}
	return regexp.MustCompile("(?m)^"+all[0][1]).ReplaceAllString(all[0][2], "")
}

// snippet runs PHP of the document as a program, after some lines of its own.
func snippet(t *testing.T, before, code string, settings ...string) said {
	t.Helper()
	name := filepath.Join(t.TempDir(), "snippet.php")
	if err := os.WriteFile(name, []byte("<?php\n"+before+"\n"+code), 0o600); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, s := range settings {
		args = append(args, "-d", s)
	}
	return call(t, nil, "php", append(args, name)...)
}

// newWebsite starts a server with the application of the chapter about PHP.
func newWebsite(t *testing.T) *harness.Stage {
	t.Helper()
	b := newBlock()
	files := certificates(t, b.at(server, 0))
	files["password"] = shopPassword
	return harness.NewStage(t, harness.Settings{World: toynet.World{Block: b.Prefix, Domains: map[string]toynet.Domain{"accepts.test": {}}}, Files: files, Tables: `
[[application]]
name = "website"
domains = ["example.org"]
password_file = "password"

[tls]
cert_file = "cert.pem"
key_file = "key.pem"
`})
}

func TestPHPSendsAsTheDocumentSays(t *testing.T) {
	begin(t)
	for mark, autoload := range map[string]string{"phpmailer": "/usr/share/php/libphp-phpmailer/autoload.php", "symfony": "/usr/share/php/Symfony/Component/Mailer/autoload.php"} {
		t.Run(mark, func(t *testing.T) {
			st := newWebsite(t)
			host, port, _ := strings.Cut(st.Submission, ":")
			code := strings.NewReplacer("mail.example.org", host, "587", port, "website:PASSWORD@", "website:"+url.PathEscape(shopPassword)+"@", "PASSWORD", shopPassword, "example.net", "accepts.test").Replace(documented(t, "php", mark))
			got := snippet(t, "require '"+autoload+"';", code, "error_reporting=24575", "openssl.cafile="+filepath.Join(st.Dir, "ca.pem"))
			if got.code != 0 || got.stdout+got.stderr != "" {
				t.Fatalf("php: %v", got)
			}
			for _, name := range []string{"ann", "bob"} {
				r, e := arrived(t, st, name+"@accepts.test"), heard(t, st, name+"@accepts.test", "delivered")
				head, _, _ := strings.Cut(string(r.Message), "\r\n\r\n")
				if !strings.Contains(head, "with ESMTPSA;") || !strings.Contains(head, "From: Example Office <office@example.org>") || e.Sender != "bounces@example.org" || e.Application != "website" {
					t.Errorf("%s got\n%s\nand the application heard %+v", name, head, e)
				}
			}
			if got := connections(st); got != 1 {
				t.Errorf("%d connections, want one", got)
			}
		})
	}
	t.Run("php-told", func(t *testing.T) {
		const before = `$db = new class { function prepare($sql) { return $this; } function execute($values) { echo $values[0], "\n"; } };
foreach (['bounced hard ann', 'bounced soft bob', 'delivered none cid', 'complained none eve', 'opted_out none zoe'] as $fact) {
  [$type, $class, $recipient] = explode(' ', $fact);
  $body = json_encode(['id' => '1', 'type' => $type, 'class' => $class, 'recipient' => $recipient]);`
		got := snippet(t, before, documented(t, "php", "php-told")+"}")
		if diff := cmp.Diff("ann\neve\nzoe\n", got.stdout); got.code != 0 || diff != "" {
			t.Errorf("%v\n%s", got, diff)
		}
	})
	t.Run("php-mail", func(t *testing.T) {
		g := newGate(t)
		st := harness.NewStage(t, harness.Settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
			Listen: `local = "unix:` + filepath.Join(g.dir, "s") + `"`, Networks: `users = ["root"]`})
		code := strings.ReplaceAll(documented(t, "php", "php-mail"), "example.net", "accepts.test")
		got := snippet(t, "", code+"exit($sent ? 0 : 1);", `sendmail_path="`+g.path+` -t -i"`)
		if got.code != 0 {
			t.Fatalf("php: %v", got)
		}
		arrived(t, st, "ann@accepts.test")
		if e := heard(t, st, "ann@accepts.test", "delivered"); e.Sender != "bounces@example.org" {
			t.Errorf("the application heard %+v", e)
		}
	})
}

// TestMailmanBehindHomingIsAsTheDocumentSays posts to a list at its MX, which
// is Homing, and wants it at the members, and the bounces at Mailman.
func TestMailmanBehindHomingIsAsTheDocumentSays(t *testing.T) {
	begin(t)
	b := newBlock()
	lmtp := b.at(200, 8024)
	tables := strings.NewReplacer("127.0.0.1:8024", lmtp, "127.0.0.1/32", "127.0.0.0/8").Replace(documented(t, "toml", "mailman"))
	st := harness.NewStage(t, harness.Settings{World: toynet.World{Block: b.Prefix, Domains: toynet.Everyday(100 * time.Millisecond).Domains},
		Networks: `password_file = "password"`, Files: map[string]string{"password": shopPassword}, Tables: tables})
	st.Net.Publish(dnstest.Zone{MXs: map[string][]dnsx.MX{"lists.example.org": {{Host: "mail.example.org", Preference: 10}}}})
	m := newMailman(t, "lists.example.org", mtaOf(t, st.Submission, lmtp), lmtp, "bob@accepts.test", "ann@unknown.test", "ann@later.test")
	got := swaks(t, "--server", st.MX, "--from", "bob@accepts.test", "--to", "news@lists.example.org", "--header", "From: Bob <bob@accepts.test>", "--header", "Subject: News")
	if got.code != 0 {
		t.Fatalf("posting to the list: %v", got)
	}
	if r := arrived(t, st, "bob@accepts.test"); !strings.HasPrefix(r.From, "return+") || !strings.HasSuffix(r.From, "@lists.example.org") || !strings.Contains(string(r.Message), "\r\nList-Id: <news.lists.example.org>") {
		t.Errorf("bob got, from <%s>,\n%s", r.From, r.Message)
	}
	m.awaitBounced("ann@later.test ann@unknown.test")
}

// mtaOf gives the section [mta] of the document with other addresses.
func mtaOf(t *testing.T, smtp, lmtp string) string {
	t.Helper()
	out, outPort, _ := strings.Cut(smtp, ":")
	in, inPort, _ := strings.Cut(lmtp, ":")
	return strings.NewReplacer("smtp_host: 127.0.0.1", "smtp_host: "+out, "smtp_port: 587", "smtp_port: "+outPort,
		"lmtp_host: 127.0.0.1", "lmtp_host: "+in, "lmtp_port: 8024", "lmtp_port: "+inPort).Replace(documented(t, "", "mailman"))
}
