package civicrm

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"path"
	"strconv"
	"strings"

	"homing/event"
	"homing/internal/parsedmail"
)

// maxAttached is the largest attachment that is passed on, in octets. PHP drops
// forms that are too big, without a word: 8 MB as it is shipped.
const maxAttached = 7 << 20

// attach gives an activity the attachments of its mail that it does not have
// yet. They are made one after the other, so that their number says how far an
// earlier try came.
func (s *Sink) attach(ctx context.Context, e event.Event, activity uint64) error {
	var wanted []parsedmail.Attachment
	for _, a := range e.Mail.Attachments {
		if a.Size <= maxAttached && a.Size > 0 { // CiviCRM takes no empty file
			wanted = append(wanted, a)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	has, err := s.attached(ctx, activity)
	if err != nil || has >= len(wanted) {
		return err
	}
	raw, err := s.c.OpenBody(ctx, e.Raw)
	if err != nil { // mail that has not been told is kept: this passes, or is tried until it is given up
		return fmt.Errorf("opening the mail for its attachments: %w", err)
	}
	defer raw.Close()
	for _, a := range wanted[has:] {
		content, err := parsedmail.Content(io.NewSectionReader(raw, 0, raw.Size()), a)
		if err == nil {
			err = s.attachOne(ctx, activity, a, content)
		}
		if err != nil {
			return fmt.Errorf("attaching %q: %w", a.Name, err)
		}
	}
	return nil
}

// maxFileName is the most octets of the name of a file that is passed on: CiviCRM
// adds 33 to it, and file systems and its table take 255.
const maxFileName = 200

// maxEnding is the most octets behind the last point of a name that say what is
// in the file.
const maxEnding = 10

// maxType is the longest type of a file (RFC 6838 section 4.2: 127 octets on each
// side of the slash), which is what CiviCRM's table takes.
const maxType = 255

// fileName is a name that CiviCRM can store. The ending stays, because it goes by
// that.
func fileName(name string) string {
	name = narrow(name)
	if len(name) <= maxFileName {
		return name
	}
	ending := path.Ext(name)
	if len(ending) > maxEnding {
		ending = ""
	}
	return strings.ToValidUTF8(name[:maxFileName-len(ending)], "") + ending
}

// attached counts what is attached to an activity.
func (s *Sink) attached(ctx context.Context, activity uint64) (int, error) {
	values, err := s.api.v3(ctx, "Attachment", "get", map[string]any{"entity_table": "civicrm_activity", "entity_id": activity, "sequential": 1, "options": map[string]any{"limit": 0}})
	if err != nil {
		return 0, err
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(values, &rows); err != nil {
		return 0, &callError{failure: event.Failure{Err: errors.New("the answer to Attachment.get has no list of values")}}
	}
	return len(rows), nil
}

// attachOne attaches a file. Its content may be any octets, which JSON has no
// words for, so each parameter is a field of the form.
func (s *Sink) attachOne(ctx context.Context, activity uint64, a parsedmail.Attachment, content []byte) error {
	var body bytes.Buffer
	kind := a.Type
	if len(kind) > maxType {
		kind = "application/octet-stream"
	}
	form := multipart.NewWriter(&body)
	for _, f := range [][2]string{{"entity", "Attachment"}, {"action", "create"}, {"json", "1"}, {"entity_table", "civicrm_activity"},
		{"entity_id", strconv.FormatUint(activity, 10)}, {"name", fileName(a.Name)}, {"mime_type", kind}, {"content", string(content)}} {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return err
		}
	}
	if err := form.Close(); err != nil {
		return err
	}
	_, err := s.api.post(ctx, "Attachment.create", s.api.before+endPoint+s.api.after, form.FormDataContentType(), &body)
	return err
}

// hashLength is how much of the hash of a case is in a subject.
const hashLength = 7

// caseHash is how CiviCRM names a case in the subject of a mail.
func caseHash(siteKey string, id uint64) string {
	sum := sha1.Sum([]byte(siteKey + strconv.FormatUint(id, 10)))
	return hex.EncodeToString(sum[:])[:hashLength]
}
