package server_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"homing/event"
	"homing/internal/reply"
	"homing/server"
	"homing/store"
)

// folder is what a folder at another server is taken for.
func folder(as server.RouteUse) server.Fetched {
	return server.Fetched{Route: server.Route{Local: "civi", Domain: "example.org", As: as, To: []string{"crm"}, ByHand: as == server.RouteActivity}, Space: "source", Name: "1.7"}
}

// fetch hands in a mail that lies there, under a UID of its own.
func (w *world) fetch(as server.RouteUse, uid, text string) error {
	f := folder(as)
	f.Name = "1." + uid
	return w.Inbound.Fetch(w.ctx, f, strings.NewReader(strings.TrimSuffix(text, "\r\n.")+"\r\n"))
}

func TestMailOfAFolderIsTakenForWhatTheFolderIs(t *testing.T) {
	person := letter("Return-Path: <ann@example.net>", "From: Ann <ann@example.net>", "Subject: hi")
	for _, tt := range []struct {
		name, text string
		as         server.RouteUse
		want       event.Type
		from       string
	}{
		{"a reply", person, server.RouteReply, event.Replied, "ann@example.net"},
		{"mail that somebody filed", person, server.RouteActivity, event.Filed, "ann@example.net"},
		{"a complaint", person, server.RouteComplaint, event.Complained, "ann@example.net"},
		{"a bounce about nobody we know", "Return-Path: <>\r\nTo: civi@example.org\r\n" + reportOf("nothing", ""), server.RouteBounce, event.Bounced, ""},
		{"mail of a person among bounces", person, server.RouteBounce, event.Replied, "ann@example.net"},
		{"mail without a return path", letter("From: Ann <ann@example.net>", "Subject: hi"), server.RouteReply, event.Replied, "ann@example.net"},
		{"mail with bare line ends", strings.ReplaceAll(person, "\r\n", "\n"), server.RouteReply, event.Replied, "ann@example.net"},
		{"mail with a bare CR", strings.Replace(person, "Hello.", "Hel\rlo.", 1), server.RouteReply, event.Replied, "ann@example.net"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			if err := w.fetch(tt.as, "7", tt.text); err != nil {
				t.Fatal(err)
			}
			all := w.events()
			if len(all) != 1 || all[0].Type != tt.want || all[0].From != tt.from || all[0].Recipient != "civi@example.org" || all[0].Raw.IsZero() || !w.Wants("crm", all[0]) || w.Wants("hooks", all[0]) {
				t.Errorf("told %+v, want %s from %q for crm, with the mail", all, tt.want, tt.from)
			}
		})
	}
}

func TestMailThatAnybodyCanSendToAFolderWaitsForReview(t *testing.T) {
	w := open(t, nil)
	f := folder(server.RouteActivity)
	f.Route.ByHand = false
	if err := w.Inbound.Fetch(w.ctx, f, strings.NewReader("Return-Path: <ann@example.net>\r\nFrom: Ann <ann@example.net>\r\nMessage-ID: <1@example.net>\r\n\r\nHello.\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, waiting := w.told(), w.waits.List(); got != "" || len(waiting) != 1 || waiting[0].From != "ann@example.net" {
		t.Errorf("told %q, and waiting are %+v", got, waiting)
	}
}

func TestMailThatSomebodyFiledByHandSaysSo(t *testing.T) {
	w := open(t, nil)
	if err := w.fetch(server.RouteActivity, "1", letter("Return-Path: <ann@example.net>", "From: Ann <ann@example.net>", "Subject: hi")); err != nil {
		t.Fatal(err)
	}
	if all := w.filed(); len(all) != 1 || all[0].Mail.Authentication.By != event.ByHand {
		t.Errorf("filed are %+v, want one by hand", all)
	}
}

func TestABounceOfAFolderCountsProvisionallyAgainstItsTag(t *testing.T) {
	for name, head := range map[string]string{
		"the tag in Delivered-To":            "Delivered-To: TAG\r\nTo: somebody@example.org\r\n",
		"the tag in X-Original-To":           "Delivered-To: civi@example.org\r\nX-Original-To: TAG\r\n",
		"the tag in To":                      "To: <TAG>\r\n",
		"the tag in what the bounce returns": "To: civi@example.org\r\n",
	} {
		for _, as := range []server.RouteUse{server.RouteBounce, server.RouteActivity} {
			t.Run(name+", "+string(as), func(t *testing.T) {
				w := open(t, nil)
				w.send("civi+b.7.8.0123456789abcdef@bounce.example.org", "ann@example.net", news)
				r := w.delivered()
				text := strings.ReplaceAll("Return-Path: <>\r\n"+head, "TAG", r.ReturnPath) + reportOf("its header", "Return-Path: <"+r.ReturnPath+">\r\n")
				for uid := range 2 { // the same bounce twice in the folder
					if err := w.fetch(as, string(rune('1'+uid)), text); err != nil {
						t.Fatal(err)
					}
				}
				all := w.events()
				e := all[len(all)-1]
				if got, want := w.told(), "accepted ann@example.net, delivered ann@example.net, bounced ann@example.net"; got != want {
					t.Fatalf("told %q, want %q", got, want)
				}
				if e.Hold == nil || e.Hold.State != "provisional" || e.Sender != "civi+b.7.8.0123456789abcdef@bounce.example.org" || w.held("ann@example.net") {
					t.Errorf("told %+v, want a provisional hold: nobody knows who put the bounce there", e)
				}
			})
		}
	}
}

func TestAForgedTagInAFolderIsMailLikeAnyOther(t *testing.T) {
	w := open(t, nil)
	forged := "return+" + strings.Repeat("a", 31) + "@bounce.example.org"
	if err := w.fetch(server.RouteBounce, "7", "Return-Path: <>\r\nDelivered-To: "+forged+"\r\n"+reportOf("its header", "")); err != nil {
		t.Fatal(err)
	}
	if got := w.told(); got != "bounced civi@example.org" {
		t.Errorf("told %q", got)
	}
	if w.held("ann@example.net") {
		t.Error("somebody is held for it")
	}
}

func TestMailToAnApplicationsOwnAddressIsAWishInAFolderToo(t *testing.T) {
	text := letter("Return-Path: <ann@example.net>", "From: ann@example.net", "To: civi+u.7.8.0123456789abcdef@bounce.example.org", "Subject: stop")
	w := open(t, nil)
	if err := w.fetch(server.RouteReply, "7", text); err != nil {
		t.Fatal(err)
	}
	if got := w.told(); got != "unsubscribed ann@example.net" {
		t.Errorf("told %q", got)
	}
	// What somebody files is filed, whoever it was to.
	w = open(t, nil)
	if err := w.fetch(server.RouteActivity, "7", text); err != nil {
		t.Fatal(err)
	}
	if got := w.told(); got != "filed civi@example.org" {
		t.Errorf("told %q", got)
	}
}

func TestMailOfAFolderMeansOnceWhatItMeans(t *testing.T) {
	w := open(t, nil)
	text := letter("From: Ann <ann@example.net>", "Subject: hi")
	for range 3 { // as after crashes before it was moved
		if err := w.fetch(server.RouteReply, "7", text); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(w.events()); got != 1 {
		t.Errorf("told %d times", got)
	}
	if err := w.fetch(server.RouteReply, "8", text); err != nil { // somebody put it there again
		t.Fatal(err)
	}
	if got := len(w.events()); got != 2 {
		t.Errorf("a second mail: told %d times, want twice in all", got)
	}
	w.store.refuse(store.ErrFull)
	if err := w.fetch(server.RouteReply, "9", text); err == nil || reply.Of(err).Permanent() {
		t.Errorf("on a full disk: %v, want what goes away", err)
	}
	w.store.refuse(nil)
	if err := w.fetch(server.RouteReply, "9", text); err != nil || len(w.events()) != 3 {
		t.Errorf("with room again: %v, told %d times", err, len(w.events()))
	}
}

func TestWhatWillNeverBeTakenIsSaid(t *testing.T) {
	w := open(t, func(p *server.Policy) { p.MaxIn = 1 << 10 })
	for name, text := range map[string]string{
		"mail that is too big": letter("From: ann@example.net", "Subject: hi", "X: "+strings.Repeat("x", 2<<10)),
		"mail in a loop":       letter(strings.Repeat("Received: from x\r\n", 52) + "From: ann@example.net"),
	} {
		if err := w.fetch(server.RouteReply, "7", text); err == nil || !reply.Of(err).Permanent() {
			t.Errorf("%s: %v, want a refusal for good", name, err)
		}
	}
	if got := w.told(); got != "" {
		t.Errorf("told %q", got)
	}
}

// A connection that breaks in the middle of a mail is no mail.
func TestHalfAMailIsNone(t *testing.T) {
	w := open(t, nil)
	lost := errors.New("connection lost")
	err := w.Inbound.Fetch(context.Background(), folder(server.RouteReply), &breaking{strings.NewReader("From: ann@example.net\r\n\r\nHel"), lost})
	if !errors.Is(err, lost) || len(w.events()) > 0 {
		t.Errorf("%v, told %q", err, w.told())
	}
}

type breaking struct {
	*strings.Reader
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	if n, err := b.Reader.Read(p); err == nil {
		return n, nil
	}
	return 0, b.err
}
