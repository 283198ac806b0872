package civicrm_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/civicrm"
	"homing/internal/civicrmtest"
	"homing/internal/message"
	"homing/internal/parsedmail"
)

const route = "file@bounce.example.org"

// filedText is a mail that was filed, with a picture of any octets.
func filedText(more ...string) string {
	return strings.Join(append([]string{"From: Olga Staff <olga@example.org>", "To: Ann Lee <ann@example.net>, file@bounce.example.org", "Cc: \"Doe, Bob\" <bob@example.com>",
		"Subject: Your question \U0001F600", "Message-ID: <m1@example.org>", "Date: Mon, 23 Nov 2026 11:00:00 +0100"}, more...), "\r\n") +
		"\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nGood morning <Ann> \xf0\x9f\x98\x80\r\n--b\r\nContent-Type: application/pdf\r\n" +
		"Content-Disposition: attachment; filename=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString([]byte(anyOctets)) + "\r\n" +
		"--b\r\nContent-Type: text/plain; name=notes.txt\r\n\r\nnotes\r\n--b--\r\n"
}

const anyOctets = "%PDF\x00\xff\xfe&=\r\n--\x01"

// filing changes how a sink files.
func filing(f civicrm.Filing, text *string) func(*civicrm.Config) {
	return func(c *civicrm.Config) {
		c.Filing, c.Timeout = f, time.Minute
		c.OpenBody = func(context.Context, message.Ref) (message.Body, error) {
			return stored{bytes.NewReader([]byte(*text))}, nil
		}
	}
}

// standard is what a configuration that says nothing means.
var standard = civicrm.Filing{Targets: []civicrm.Party{civicrm.To, civicrm.CC}, Assignees: []civicrm.Party{civicrm.From}, Create: true}

// files opens a site and a sink that files.
func files(t *testing.T, f civicrm.Filing, text string) *bench {
	b := newBench(t)
	b.more = filing(f, &text)
	b.restart()
	return b
}

// fails tells a fact that must not be taken, and gives why.
func (b *bench) fails(e event.Event) error {
	b.Helper()
	err := b.sink.Tell(b.Context(), e)
	if err == nil {
		b.Fatal("it was told")
	}
	return err
}

// filed is the fact of a mail.
func (b *bench) filed(text string) event.Event {
	b.Helper()
	m, err := parsedmail.Read(strings.NewReader(text))
	if err != nil {
		b.Fatal(err)
	}
	e := b.fact("", ofType(event.Filed))
	e.Delivery, e.Recipient, e.From, e.Application, e.Mail, e.Raw = 0, route, m.From[0].Address, "", &event.Mail{Mail: m}, message.Ref{Body: 1, Size: 1}
	e.Time = time.Date(2026, 11, 23, 10, 0, 9, 0, time.UTC)
	return e
}

func TestAMailBecomesAnActivityWithItsPeopleAndFiles(t *testing.T) {
	text := filedText()
	b := files(t, standard, text)
	olga := b.site.Introduce("Individual", "Olga@Example.org")
	b.tell(b.filed(text))
	all := b.site.Activities()
	if len(all) != 1 {
		t.Fatalf("%d activities", len(all))
	}
	ann, bob := b.site.Who("ann@example.net"), b.site.Who("bob@example.com")
	if len(ann) != 1 || ann[0].First != "Ann" || ann[0].Last != "Lee" || len(bob) != 1 || bob[0].First != "Bob" || bob[0].Last != "Doe" || len(b.site.Who(route)) != 0 || len(b.site.Who("olga@example.org")) != 1 {
		t.Errorf("contacts are %+v, %+v, %+v", ann, bob, b.site.Who(route))
	}
	got := all[0]
	if !strings.HasPrefix(got.Details, "<p>Good morning &lt;Ann&gt; &#128512;</p>") || !strings.Contains(got.Details, "Message-ID: &lt;m1@example.org&gt;, Homing ") {
		t.Errorf("details %s", got.Details)
	}
	got.Details = ""
	want := civicrmtest.Activity{ID: 1, Source: olga, Type: "Inbound Email", Status: "Completed", Subject: "Your question ?",
		Time: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Local().Format(time.DateTime), Targets: []uint64{ann[0].ID, bob[0].ID}, Assignees: []uint64{olga},
		Attachments: []civicrmtest.Attachment{{Name: "a.pdf", Type: "application/pdf", Content: anyOctets}, {Name: "notes.txt", Type: "text/plain", Content: "notes"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the activity (-want +got):\n%s", diff)
	}
}

func TestWhoIsWho(t *testing.T) {
	for name, tt := range map[string]struct {
		filing civicrm.Filing
		before func(b *bench) uint64 // the contact that ann is
		made   int                   // contacts that are made
	}{
		"somebody nobody knows is introduced": {standard, nil, 3},
		"of two the older one": {standard, func(b *bench) uint64 {
			id := b.site.Introduce("Individual", "ann@example.net")
			b.site.Introduce("Individual", "ANN@example.net")
			return id
		}, 2},
		"nobody in the trash": {standard, func(b *bench) uint64 {
			b.site.Delete(b.site.Introduce("Individual", "ann@example.net"))
			return b.site.Introduce("Individual", "ann@example.net")
		}, 2},
		"a person rather than an organisation": {standard, func(b *bench) uint64 {
			b.site.Introduce("Organization", "ann@example.net")
			return b.site.Introduce("Individual", "ann@example.net")
		}, 2},
		"a new person rather than an organisation":   {standard, func(b *bench) uint64 { b.site.Introduce("Organization", "ann@example.net"); return 0 }, 3},
		"the organisation, where nobody may be made": {civicrm.Filing{Targets: standard.Targets}, func(b *bench) uint64 { return b.site.Introduce("Organization", "ann@example.net") }, 0},
		"nobody, where nobody may be made":           {civicrm.Filing{Targets: standard.Targets}, nil, 0},
		"only those who are wanted for something":    {civicrm.Filing{Targets: []civicrm.Party{civicrm.To}, Create: true}, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			text := filedText()
			b := files(t, tt.filing, text)
			var ann uint64
			if tt.before != nil {
				ann = tt.before(b)
			}
			was := len(b.site.Emails())
			b.tell(b.filed(text))
			all := b.site.Activities()
			if len(all) != 1 || len(b.site.Emails())-was != tt.made {
				t.Fatalf("%d activities, %d people introduced, want %d", len(all), len(b.site.Emails())-was, tt.made)
			}
			if ann != 0 && !slices.Contains(all[0].Targets, ann) {
				t.Errorf("targets are %d, want %d among them", all[0].Targets, ann)
			}
		})
	}
}

func TestOneMailIsOneActivityHoweverOftenItComes(t *testing.T) {
	text := filedText()
	b := files(t, standard, text)
	b.tell(b.filed(text), b.filed(text))
	b.restart()
	b.tell(b.filed(text))
	var all sync.WaitGroup
	for range 8 {
		e := b.filed(text)
		all.Go(func() {
			if err := b.sink.Tell(b.Context(), e); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 2 || len(b.site.Who("ann@example.net")) != 1 {
		t.Errorf("activities are %+v", got)
	}
	other := strings.Replace(text, "<m1@", "<m2@", 1)
	b.tell(b.filed(other))
	if got := len(b.site.Activities()); got != 2 {
		t.Errorf("with another mail there are %d", got)
	}
}

func TestMailWithoutAnIdentifierIsKnownByItsFact(t *testing.T) {
	text := strings.Replace(filedText(), "Message-ID: <m1@example.org>\r\n", "", 1)
	b := files(t, standard, text)
	e := b.filed(text)
	b.tell(e)
	b.notes.kept = map[string][]byte{}
	b.restart()
	b.tell(e, b.filed(text))
	if got := len(b.site.Activities()); got != 2 {
		t.Errorf("%d activities, want one for each fact", got)
	}
}

func TestALostAnswerLosesAndRepeatsNothing(t *testing.T) {
	for name, f := range map[string]civicrmtest.Fault{
		"the site does it and says nothing": civicrmtest.Mute, "the site does it and breaks off": civicrmtest.Cut, "the site hears nothing": civicrmtest.Deaf,
		"PHP fails": civicrmtest.Broken, "maintenance": civicrmtest.Maintenance, "the database fails": civicrmtest.DatabaseError, "APIv4 fails": civicrmtest.BrokenAPIv4,
	} {
		t.Run(name, func(t *testing.T) {
			text := filedText()
			b := newBench(t)
			e := b.filed(text)
			for range 6 { // three contacts, an activity and two files, each made without an answer
				b.more = func(c *civicrm.Config) {
					filing(standard, &text)(c)
					c.Timeout = 300 * time.Millisecond // what is not done by then, the last telling does
				}
				b.restart()
				b.site.Break(f)
				b.fails(e)
				b.site.Break(civicrmtest.Healthy)
			}
			b.more = filing(standard, &text)
			b.restart()
			b.tell(e)
			if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 2 || got[0].Attachments[1].Content != "notes" || len(b.site.Who("ann@example.net")) != 1 || len(b.site.Who("olga@example.org")) != 1 {
				t.Errorf("activities are %+v", got)
			}
		})
	}
}

func TestAFileThatWasNotAttachedIsAttachedLater(t *testing.T) {
	text := filedText()
	b := files(t, standard, text)
	b.more = func(c *civicrm.Config) {
		filing(standard, &text)(c)
		c.OpenBody = func(context.Context, message.Ref) (message.Body, error) {
			b.site.Break(civicrmtest.DatabaseError)
			return stored{bytes.NewReader([]byte(text))}, nil
		}
	}
	b.restart()
	e := b.filed(text)
	b.fails(e)
	b.site.Break(civicrmtest.Healthy)
	b.more = filing(standard, &text)
	b.restart()
	b.tell(e)
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 2 {
		t.Errorf("activities are %+v", got)
	}
}

func TestAMailGoesIntoTheCaseThatItsSubjectNames(t *testing.T) {
	number := func(id uint64, _ string) string { return fmt.Sprintf("[case #%d]", id) }
	hash := func(_ uint64, token string) string { return token }
	for name, tt := range map[string]struct {
		token func(id uint64, hash string) string
		want  bool
	}{
		"by its number":            {number, true},
		"by the hash of it":        {hash, true},
		"a number of no case":      {func(uint64, string) string { return "[case #99]" }, false},
		"a hash of no case":        {func(uint64, string) string { return "[case #0000000]" }, false},
		"a hash that is no number": {func(uint64, string) string { return "[case #abcdefa]" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.site.OpenCase()
			id, token := b.site.OpenCase()
			text := strings.Replace(filedText(), "Subject: ", "Subject: Re: "+tt.token(id, token)+" ", 1)
			b.more = filing(standard, &text)
			b.restart()
			b.tell(b.filed(text))
			if got := b.site.Activities(); len(got) != 1 || (got[0].Case == id) != tt.want || !tt.want && got[0].Case != 0 {
				t.Errorf("activities are %+v", got)
			}
		})
	}
}

func TestWithoutPermissionForCasesTheMailIsFiledAllTheSame(t *testing.T) {
	b := newBench(t)
	id, token := b.site.OpenCase()
	b.site.Grant("access CiviCRM", "view all contacts", "add contacts", "view all activities")
	text := strings.Replace(filedText(), "Subject: ", "Subject: "+token+" ", 1)
	b.more = filing(standard, &text)
	b.restart()
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || got[0].Case == id || !strings.Contains(b.log.String(), "access all cases") {
		t.Errorf("activities are %+v; the log says %s", got, b.log.String())
	}
}

func TestWhatTheContactMayNotDoSaysWhatToGrant(t *testing.T) {
	for _, granted := range [][]string{{"access CiviCRM", "view all contacts", "add contacts"}, {"access CiviCRM", "view all contacts", "view all activities"}} {
		text := filedText()
		b := files(t, standard, text)
		b.site.Grant(granted...)
		err := b.fails(b.filed(text))
		if !strings.Contains(err.Error(), `"view all activities" under Administer`) {
			t.Errorf("with %q: %v", granted, err)
		}
		var f *event.Failure
		if errors.As(err, &f) && f.Fault != event.Unclear {
			t.Errorf("with %q: the whole site fails", granted)
		}
	}
}

func TestAnAttachmentThatIsTooBigIsNamed(t *testing.T) {
	text := "From: Olga <olga@example.org>\r\nSubject: Big\r\nMessage-ID: <big@example.org>\r\nContent-Type: application/zip; name=\"b<i>g.zip\"\r\n\r\n" + strings.Repeat("0123456789abcdef", 7<<16) + "x"
	b := files(t, standard, text)
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 0 || !strings.Contains(got[0].Details, "b&lt;i&gt;g.zip has 7340033 octets") {
		t.Errorf("activities are %+v", got)
	}
	text = text[:len(text)-1]
	b = files(t, standard, text)
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 1 || len(got[0].Attachments[0].Content) != 7<<20 {
		t.Errorf("%d activities", len(got))
	}
}

func TestAFileNameIsAsLongAsCiviCRMCanKeepIt(t *testing.T) {
	for name, want := range map[string]string{
		strings.Repeat("ü", 140) + ".pdf": strings.Repeat("ü", 98) + ".pdf",
		strings.Repeat("a", 240) + ".pdf": strings.Repeat("a", 196) + ".pdf",
		"a." + strings.Repeat("b", 240):   "a." + strings.Repeat("b", 198),
		strings.Repeat("a", 196) + ".pdf": strings.Repeat("a", 196) + ".pdf",
		"\U0001F600.txt":                  "?.txt",
	} {
		text := "From: Olga <olga@example.org>\r\nSubject: Long\r\nMessage-ID: <long@example.org>\r\nContent-Type: application/pdf; name=\"" + name + "\"\r\n\r\nx"
		b := files(t, standard, text)
		b.tell(b.filed(text))
		if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 1 || got[0].Attachments[0].Name != want {
			t.Errorf("%s became %+v, want %s", name, got, want)
		}
	}
}

func TestATypeThatIsNoneIsThatOfAnyOctets(t *testing.T) {
	text := "From: Olga <olga@example.org>\r\nMessage-ID: <type@example.org>\r\nContent-Type: application/" + strings.Repeat("x", 280) + "; name=a\r\n\r\nx"
	b := files(t, standard, text)
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 1 || got[0].Attachments[0].Type != "application/octet-stream" {
		t.Errorf("activities are %+v", got)
	}
}

func TestAnAddressThatCiviCRMCannotKeepKeepsTheMailFromNobody(t *testing.T) {
	long := strings.Repeat("a", 250) + "@example.org"
	text := filedText("To: " + long + ", \U0001F600@example.org, carl@example.com")
	b := files(t, standard, text)
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || len(b.site.Who("carl@example.com")) != 1 || len(b.site.Who(long)) != 0 || len(b.site.Who("\U0001F600@example.org")) != 0 {
		t.Errorf("activities are %+v", got)
	}
}

func TestAttachmentsWaitUntilTheMailCanBeRead(t *testing.T) {
	text := filedText()
	b := newBench(t)
	var broken error = errors.New("too many open files")
	b.more = func(c *civicrm.Config) {
		filing(standard, &text)(c)
		open := c.OpenBody
		c.OpenBody = func(ctx context.Context, ref message.Ref) (message.Body, error) {
			if broken != nil {
				return nil, broken
			}
			return open(ctx, ref)
		}
	}
	b.restart()
	e := b.filed(text)
	b.fails(e)
	broken = nil
	b.tell(e)
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Attachments) != 2 {
		t.Errorf("activities are %+v, want one with two attachments", got)
	}
}

func TestWhoWroteIsSomebodyWhateverTheRoute(t *testing.T) {
	text := filedText()
	f := standard
	f.Ours = func(string) bool { return true }
	b := files(t, f, text)
	b.tell(b.filed(text))
	olga := b.site.Who("olga@example.org")
	if got := b.site.Activities(); len(got) != 1 || len(olga) != 1 || got[0].Source != olga[0].ID || len(got[0].Targets) > 0 {
		t.Errorf("activities are %+v", got)
	}
}

func TestMailOfTheRouteItselfIsNobodys(t *testing.T) {
	text := strings.Replace(filedText(), "bob@example.com", "file+12@bounce.example.org", 1)
	f := standard
	f.Ours = func(address string) bool { return strings.HasPrefix(address, "file") }
	b := files(t, f, text)
	b.tell(b.filed(text))
	if got := b.site.Activities(); len(got) != 1 || len(got[0].Targets) != 1 || len(b.site.Who("file+12@bounce.example.org")) != 0 {
		t.Errorf("activities are %+v", got)
	}
}
