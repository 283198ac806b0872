package web

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/queue"
	"homing/server/reports"
)

// reference is docs/API.md.
func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheReferenceHasEveryRoute(t *testing.T) {
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^### `([A-Z]+ /[^`]*)`\n\n(.*)").FindAllStringSubmatch(reference(t), -1) {
		words := m[1]
		switch {
		case strings.HasPrefix(m[2], "*Open.*"):
			words += " for anybody"
		case strings.HasPrefix(m[2], "*Public.*"):
			words += " for everybody"
		case strings.HasPrefix(m[2], "*Open to this machine*, elsewhere to operators and applications"):
			words += " for the household"
		case strings.HasPrefix(m[2], "*Open to this machine*"):
			words += " for neighbours"
		case strings.HasPrefix(m[2], "*Applications too.*"):
			words += " for applications"
		case strings.HasPrefix(m[2], "*A page, applications too.*"):
			words += " for visitors"
		case strings.HasPrefix(m[2], "*A page.*"):
			words += " for managers"
		}
		got = append(got, words)
	}
	for _, r := range (&Web{}).routes() {
		want = append(want, r.method+" "+r.path+map[access]string{everybody: " for everybody", anybody: " for anybody", neighbours: " for neighbours", household: " for the household", applications: " for applications",
			visitors: " for visitors", managers: " for managers"}[r.access])
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/API.md (-routes +sections):\n%s", diff)
	}
}

func TestTheReferenceHasEveryField(t *testing.T) {
	text := reference(t)
	fields := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[Status](), reflect.TypeFor[Recipients](), reflect.TypeFor[Holds](), reflect.TypeFor[AddHold](), reflect.TypeFor[Problem](),
		reflect.TypeFor[Order](), reflect.TypeFor[Tally](), reflect.TypeFor[Pauses](), reflect.TypeFor[Explanation](), reflect.TypeFor[queue.Plan](), reflect.TypeFor[Campaigns](),
		reflect.TypeFor[SelfCheck](), reflect.TypeFor[queue.Replay](), reflect.TypeFor[bounce.UnknownList](), reflect.TypeFor[reports.Answer](),
		reflect.TypeFor[Injected](), reflect.TypeFor[rejection](), reflect.TypeFor[TokenList](), reflect.TypeFor[AddToken](), reflect.TypeFor[RotateToken](), reflect.TypeFor[Spooled](), reflect.TypeFor[Erasure](),
		reflect.TypeFor[Waiting](), reflect.TypeFor[Deciding](), reflect.TypeFor[Decision]()} {
		fieldsOf(typ, fields)
	}
	if len(fields) < 40 {
		t.Fatalf("only %d fields were found", len(fields))
	}
	for name := range fields {
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, `"`+name+`":`) {
			t.Errorf("docs/API.md does not speak of the field %s", name)
		}
	}
}

// fieldsOf collects the names that a type has in JSON, with those of its
// parts.
func fieldsOf(t reflect.Type, into map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("json") == "-" {
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			into[name] = true
		}
		if f.Type != reflect.SliceOf(t) { // parts of its own kind say nothing new
			fieldsOf(f.Type, into)
		}
	}
}
