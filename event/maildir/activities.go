package maildir

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"homing/event"
)

// readersFolders are where CiviCRM's Email Processor puts what it has read.
var readersFolders = []string{"CiviMail.processed", "CiviMail.ignored"}

// tellActivity writes the mail that was filed, as it came. A reader that makes
// an activity of each file makes two of a mail that is there twice; so the same
// Message-ID gets the same name, and is not written again while a file of that
// name is anywhere that CiviCRM has it.
func (s *Sink) tellActivity(ctx context.Context, e event.Event) error {
	name := s.activityName(e)
	if err := s.makeDirs(); err != nil {
		return down(err)
	}
	there, err := s.has(name)
	if err != nil {
		return down(err)
	}
	for _, folder := range readersFolders {
		if _, err := os.Lstat(filepath.Join(s.dir(folder), name)); err == nil {
			return nil
		}
	}
	if !there {
		if err := s.reserve(); err != nil {
			return down(err)
		}
		raw, err := s.c.OpenBody(ctx, e.Raw)
		if err != nil {
			return fmt.Errorf("opening the mail to file: %w", err)
		}
		defer raw.Close()
		if err := s.write(name, func(w io.Writer) error { return filed(w, e, io.NewSectionReader(raw, 0, raw.Size())) }); err != nil {
			return down(err)
		}
	}
	if err := syncDir(s.dir("new")); err != nil {
		return down(err)
	}
	return nil
}

// filed writes a mail under the address that it came to: that of a Bcc stands
// nowhere else.
func filed(w io.Writer, e event.Event, mail io.Reader) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "Delivered-To: %s\r\n", strings.Map(visible, e.Recipient)) // errors show when it is flushed
	if _, err := io.Copy(out, mail); err != nil {
		return err
	}
	return out.Flush()
}

// visible leaves out what would end a field.
func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// activityName is the same for the same mail.
func (s *Sink) activityName(e event.Event) string {
	if e.Mail == nil || e.Mail.MessageID == "" {
		return s.fileName(e)
	}
	sum := sha256.Sum256([]byte(e.Mail.MessageID))
	return fmt.Sprintf("1.M%x.%s", sum[:16], s.host())
}
