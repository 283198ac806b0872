package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/internal/toynet"
)

func newDemo() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole product against a toy internet on loopback",
		Long: `The real server, a toy internet beside it (DNS, mail servers that accept, refuse, defer, bounce later, complain, reply), a mailing of 200
recipients sent as CiviCRM sends it, and a receiver of webhooks. Nothing leaves this machine.`,
		Args: cobra.NoArgs,
	}
	once := c.Flags().Bool("once", false, "end by itself after the table; the exit code says whether the table is right")
	c.RunE = func(c *cobra.Command, _ []string) error {
		// When its terminal is closed it ends, and cleans up, too.
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP)
		defer stop()
		return demo(ctx, c.OutOrStdout(), demoOptions{once: *once})
	}
	return c
}

// How long things take in the demo: short, so that a person can watch a whole
// life of a mailing. What is tried again is tried three times, and the pause
// after that is longer than the lifetime; so nothing depends on how fast the
// machine is, short of a minute.
const (
	demoAfter    = time.Second     // until something comes back
	demoBusy     = 3 * time.Second // until the busy host has time
	demoDeadline = 3 * time.Minute
)

// demoConfig is what the demo's server is configured with: an ordinary file.
var demoConfig = template.Must(template.New("homing.toml").Parse(`# Made by homing demo.
hostname = "mail.example.org"
data_dir = "data"

[listen]
smtp = ["{{.MX}}"]
submission = ["{{.Any}}"]
http = ["{{.Any}}"]

[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
sinks = ["hooks"]

[[application]]
name = "civicrm"
kind = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.0/8"]
verp_prefix = "civi+"

[[sink]]
name = "hooks"
type = "webhook"
url = "{{.Hook}}"
secret_file = "hook-secret"
allow_private = true

[delivery]
source_addresses = ["{{.Address}}"]
port = {{.Port}}
allow_networks = ["127.0.0.0/8"]
lifetime = "60s"
retry = ["2s", "3s", "60s"]
breaker = "off" # so bad a mailing would be paused

[dns]
server = "{{.DNS}}"

[limits]
disk_reserve = "64MiB"
`))

const demoSecret = "whsec_aG9taW5nIGRlbW8gaG9taW5nIGRlbW8gaG9taW5n"

// A scene is everything that the demo runs.
type scene struct {
	net    *toynet.Net
	client *toynet.CiviCRM
	dir    string // removed at the end
}

func (s *scene) config() string { return filepath.Join(s.dir, "homing.toml") }
func (s *scene) log() string    { return filepath.Join(s.dir, "homing.log") }

type demoOptions struct {
	once   bool   // end by itself after the table
	parent string // where its directory is made; "": where the system has such
}

// demo runs the server, the toy internet and the mailing, and prints what
// became of each recipient. Nothing is left when it returns.
func demo(ctx context.Context, out io.Writer, o demoOptions) error {
	dir, err := os.MkdirTemp(o.parent, "homing-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := setScene(dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan *house, 1)
	world := start(ctx, stop, part{"the toy internet", s.net.Run})
	server := start(ctx, stop, part{"the server", func(ctx context.Context) error { return s.serve(ctx, ready) }})
	select {
	case h := <-ready:
		err = s.perform(ctx, out, h, o.once)
	case <-ctx.Done():
	}
	interrupted := o.once && ctx.Err() != nil
	if err = errors.Join(err, server.end(), world.end()); err == nil && interrupted {
		return errors.New("it was ended before the table was complete")
	}
	if err != nil {
		return fmt.Errorf("%w\nThe server's log ends with:\n%s", err, tail(s.log(), 4096))
	}
	return nil
}

// setScene opens the toy internet and writes the configuration that fits it.
func setScene(dir string) (*scene, error) {
	world := toynet.Everyday(demoAfter)
	busy := world.Domains["busy.test"]
	busy.Host.Faults[0].For = demoBusy
	world.Domains["busy.test"] = busy
	world.HookSecret = demoSecret
	world.Server = toynet.Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org", "bounce.example.org"}}
	net, err := world.Open()
	if err != nil {
		return nil, err
	}
	s := &scene{net: net, dir: dir}
	s.client = &toynet.CiviCRM{From: `"Example News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
	var text bytes.Buffer
	mx := net.ServerAddr()
	err = demoConfig.Execute(&text, map[string]any{"MX": mx, "Any": fmt.Sprintf("%s:0", mx.Addr()), "Hook": net.Hook.URL(),
		"Address": mx.Addr(), "Port": net.Port(), "DNS": net.DNSAddr()})
	err = errors.Join(err, os.WriteFile(s.config(), text.Bytes(), 0o600),
		os.WriteFile(filepath.Join(dir, "hook-secret"), []byte(demoSecret), 0o600))
	if err != nil {
		ended, end := context.WithCancel(context.Background())
		end()
		return nil, errors.Join(err, net.Run(ended)) // which closes it
	}
	return s, nil
}

// serve runs the real server.
func (s *scene) serve(ctx context.Context, ready chan<- *house) error {
	cfg, err := config.Load(s.config())
	if err != nil {
		return err
	}
	log, err := os.Create(s.log())
	if err != nil {
		return err
	}
	defer log.Close()
	return serve(ctx, job{path: s.config(), cfg: cfg, log: slog.New(slog.NewTextHandler(log, nil)), ready: func(h *house) { ready <- h }})
}

// tail gives the last octets of a file, from the beginning of a line.
func tail(path string, octets int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(text) > octets {
		text = text[len(text)-octets:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return string(text)
}

// perform sends the mailing, watches, and prints the table.
func (s *scene) perform(ctx context.Context, out io.Writer, h *house, once bool) error {
	recipients := demoRecipients()
	fmt.Fprintf(out, "Homing is running on loopback beside a toy internet of %d domains. A mailing of %d recipients goes out now.\n\n", len(demoKinds), len(recipients))
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, demoDeadline)
	defer cancel()
	s.client.Address = h.at("submission")
	sent, err := s.client.Send(limited, toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "Grüße from the demo", Text: "Dear friends,\n\nthis is the news.\n", To: recipients})
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sending the mailing: %w", err)
	}
	fmt.Fprintf(out, "%s  the application has handed over all %d\n", since(began), len(sent))
	watch(limited, out, s.net.Hook, began)
	if ctx.Err() != nil {
		return nil
	}
	right := report(out, s.net.Hook.Calls.All(), recipients, began)
	if !once {
		s.explain(out, h)
		<-ctx.Done()
		return nil
	}
	if !right {
		return errors.New("the table is not what it should be")
	}
	return nil
}

// explain says where everything is.
func (s *scene) explain(out io.Writer, h *house) {
	fmt.Fprintf(out, `
The server goes on until you press Ctrl-C. Look around from another terminal:
  %[1]s --config %[2]s status
  %[1]s --config %[2]s hold list
  %[1]s --config %[2]s trace u1@unknown.test
  %[1]s --config %[2]s events --follow
  curl http://%[3]s/metrics
Applications submit mail at %[4]s; the MX is %[5]s; the log is %[6]s.
`, os.Args[0], s.config(), h.at("http"), h.at("submission"), h.at("smtp"), s.log())
}

// watch prints progress until everything has been told, or ctx ends.
func watch(ctx context.Context, out io.Writer, hook *toynet.Hook, began time.Time) {
	done := make(chan error, 1)
	go func() { done <- hook.Calls.Wait(ctx, allTold) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last, told := "", false; !told; {
		select {
		case <-done:
			told = true
		case <-tick.C:
		}
		if now := progress(hook.Calls.All()); now != last {
			fmt.Fprintf(out, "%s  %s\n", since(began), now)
			last = now
		}
	}
	fmt.Fprintln(out)
}

func since(t time.Time) string { return fmt.Sprintf("%5.1f s", time.Since(t).Seconds()) }
