package event_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"homing/event"
)

// TestTheDocumentShowsAFiledMailAsItIs reads the example in docs/EVENTS.md, and
// looks for each field of a mail in its table.
func TestTheDocumentShowsAFiledMailAsItIs(t *testing.T) {
	text, err := os.ReadFile("../docs/EVENTS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "## Mail that was filed\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	_, block, _ := strings.Cut(chapter, "```json\n")
	block, _, _ = strings.Cut(block, "```")
	d := json.NewDecoder(strings.NewReader(block))
	d.DisallowUnknownFields()
	var e event.Event
	if err := d.Decode(&e); err != nil || e.Mail == nil || e.Mail.Text != "Good morning" || e.Mail.Authentication.DMARC != "pass" || len(e.Mail.Attachments) != 1 {
		t.Errorf("%v: %+v", err, e)
	}
	again, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if json.Unmarshal(again, &got) != nil || json.Unmarshal([]byte(block), &want) != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it would be told as %s", again)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[event.Mail](), reflect.TypeFor[event.Mail]().Field(0).Type} {
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(chapter, name) {
				t.Errorf("the chapter does not speak of %s", name)
			}
		}
	}
}
