package integration

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// entries for a ledger of one application that sent to ann, bob and cid.
func acknowledged(to string) toynet.Sent {
	return toynet.Sent{To: to, Sender: "civi+" + to, Digest: sha256.Sum256([]byte(to)), Stage: reply.Dot, Reply: reply.Reply{Code: 250}}
}

func unanswered(to string) toynet.Sent {
	s := acknowledged(to)
	s.Reply = reply.Reply{}
	return s
}

func arrived(to, text string) toynet.Receipt {
	return toynet.Receipt{To: to, Host: "mx", ID: "1", Digest: sha256.Sum256([]byte(text)), Stage: reply.Dot, Reply: reply.Reply{Code: 250}}
}

func unsaid(to string) toynet.Receipt {
	r := arrived(to, to)
	r.Unsaid = true
	return r
}

func told(id, kind, to string, sync bool) toynet.Call {
	return toynet.Call{Event: toynet.Event{ID: id, Type: kind, Recipient: to, Sender: "civi+" + to, Sync: &sync}, Status: 204,
		Body: fmt.Appendf(nil, "%s %s %s", id, kind, to)}
}

func TestTheLedgerFindsEveryFault(t *testing.T) {
	crash, noon := []time.Time{{}}, time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	arrivedAt := func(at time.Time) toynet.Receipt {
		r := arrived("ann", "ann")
		r.Time = at
		return r
	}
	forged := told("5", "delivered", "ann", true)
	forged.Err = toynet.ErrSignature
	tests := []struct {
		name   string
		ledger ledger
		want   string // the numbers of the faults
	}{
		{"nothing happened", ledger{}, ""},
		{"delivered", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "accepted", "ann", true), told("2", "delivered", "ann", true)}}, ""},
		{"bounced at once", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Calls: []toynet.Call{told("1", "bounced", "ann", true)}}, ""},
		{"bounced late", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true), told("2", "bounced", "ann", false)}}, ""},
		{"still queued", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Waiting: []waiting{{Sender: "civi+ann"}}}, ""},
		{"told twice with one id", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Calls: []toynet.Call{told("1", "bounced", "ann", true), told("1", "bounced", "ann", true)}}, ""},
		{"unanswered and accepted all the same", ledger{Sent: []toynet.Sent{unanswered("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, ""},
		{"unanswered and not accepted", ledger{Sent: []toynet.Sent{unanswered("ann")}}, ""},
		{"arrived twice after a crash", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Killed: crash, InFlight: 1,
			Receipts: []toynet.Receipt{arrived("ann", "ann"), arrived("ann", "ann")}, Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, ""},

		{"arrived twice because the MX did not say so", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Receipts: []toynet.Receipt{unsaid("ann"), arrived("ann", "ann")}, Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, ""},
		{"never said to have arrived", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Receipts: []toynet.Receipt{unsaid("ann"), unsaid("ann")}, Calls: []toynet.Call{told("1", "expired", "ann", true)}}, ""},

		{"lost", ledger{Sent: []toynet.Sent{acknowledged("ann"), acknowledged("bob")}, Waiting: []waiting{{Sender: "civi+bob"}}}, "I1"},
		{"said to be delivered, but not there", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, "I1"},
		{"arrived twice without a crash", ledger{Sent: []toynet.Sent{acknowledged("ann")}, InFlight: 10,
			Receipts: []toynet.Receipt{arrived("ann", "ann"), arrived("ann", "ann")}, Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, "I2"},
		{"arrived too often after a crash", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Killed: crash, InFlight: 1,
			Receipts: []toynet.Receipt{arrived("ann", "ann"), arrived("ann", "ann"), arrived("ann", "ann")},
			Calls:    []toynet.Call{told("1", "delivered", "ann", true)}}, "I2"},
		{"arrived twice long before a crash", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Killed: []time.Time{{}, noon}, InFlight: 1,
			Receipts: []toynet.Receipt{arrivedAt(noon.Add(-time.Hour)), arrivedAt(noon.Add(-time.Minute))}, Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, "I2"},
		{"arrived again a minute after a crash that followed", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Killed: []time.Time{noon}, InFlight: 1,
			Receipts: []toynet.Receipt{arrivedAt(noon.Add(-time.Second)), arrivedAt(noon.Add(time.Minute))}, Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, ""},
		{"a report without an effect", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true)}, Notes: []toynet.Note{{About: "ann", Reply: reply.Reply{Code: 250}}}}, "I1"},
		{"a report that was refused", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true)}, Notes: []toynet.Note{{About: "ann", Reply: reply.Reply{Code: 550}}}}, ""},
		{"a report and its effect", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true), told("2", "bounced", "ann", false)},
			Notes: []toynet.Note{{About: "ann", Reply: reply.Reply{Code: 250}}}}, ""},
		{"torn", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "an")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true)}}, "I3 I1"},
		{"for somebody else", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("bob", "ann")},
			Calls: []toynet.Call{told("1", "bounced", "ann", true)}}, "I3"},
		{"two outcomes", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Calls: []toynet.Call{told("1", "expired", "ann", true), told("2", "cancelled", "ann", true)}}, "I4"},
		{"an outcome, and still queued", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Waiting: []waiting{{Sender: "civi+ann"}},
			Calls: []toynet.Call{told("1", "expired", "ann", true)}}, "I4"},
		{"arrived, but said to have bounced", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "bounced", "ann", true)}}, "I4"},
		{"one id for two facts", ledger{Sent: []toynet.Sent{acknowledged("ann")},
			Calls: []toynet.Call{told("1", "bounced", "ann", true), told("1", "expired", "ann", true)}}, "I4"},
		{"out of order", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("2", "delivered", "ann", true), told("1", "bounced", "ann", false)}}, "I4"},
		{"about nobody", ledger{Calls: []toynet.Call{told("1", "bounced", "ann", true)}}, "I4"},
		{"a forged webhook", ledger{Sent: []toynet.Sent{unanswered("ann")}, Calls: []toynet.Call{forged}}, "I4"},
		{"two effects of a report", ledger{Sent: []toynet.Sent{acknowledged("ann")}, Receipts: []toynet.Receipt{arrived("ann", "ann")},
			Calls: []toynet.Call{told("1", "delivered", "ann", true), told("2", "bounced", "ann", false), told("3", "bounced", "ann", false)}}, "I5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			faults := tt.ledger.faults()
			for _, f := range faults {
				number, _, _ := strings.Cut(f, ":")
				got = append(got, number)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("found %q, want %q", faults, tt.want)
			}
		})
	}
}

func TestSettledWaitsForTheOutcomeOfEveryAcknowledgedRecipient(t *testing.T) {
	sent := []toynet.Sent{acknowledged("ann"), unanswered("bob"), acknowledged("cid")}
	refused := told("3", "delivered", "cid", true)
	refused.Status = 500
	calls := []toynet.Call{told("1", "accepted", "ann", true), told("2", "bounced", "ann", true), refused}
	if settled(sent)(calls) {
		t.Error("settled before cid's outcome was taken")
	}
	if !settled(sent)(append(calls, told("3", "delivered", "cid", true))) {
		t.Error("not settled, though ann and cid have outcomes")
	}
}
