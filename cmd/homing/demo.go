package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
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
	c.RunE = func(c *cobra.Command, _ []string) error { return demo(c.Context(), c.OutOrStdout(), *once) }
	return c
}

// How long things take in the demo. They are short so that a person can watch
// a whole life of a mailing.
const (
	demoAfter    = 2 * time.Second // until something comes back
	demoDeadline = 90 * time.Second
)

// demoConfig is what the demo's server is configured with: an ordinary file.
var demoConfig = template.Must(template.New("homing.toml").Parse(`# Made by homing demo.
hostname = "mail.example.org"
data_dir = "data"

[listen]
smtp = ["{{.MX}}"]
submission = ["{{.Submission}}"]
http = ["{{.HTTP}}"]

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
lifetime = "12s"
retry = ["3s"]

[dns]
server = "{{.DNS}}"

[limits]
disk_reserve = "64MiB"
`))

const demoSecret = "whsec_aG9taW5nIGRlbW8gaG9taW5nIGRlbW8gaG9taW5n"

// A stage is everything that the demo runs.
type stage struct {
	net    *toynet.Net
	client *toynet.CiviCRM
	config string // path of homing.toml
	http   string
}

// demo runs the server, the toy internet and the mailing, and prints what
// became of each recipient.
func demo(ctx context.Context, out io.Writer, once bool) error {
	dir, err := os.MkdirTemp("", "homing-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	st, err := setStage(dir)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var play tasks
	play.start(func() error { defer stop(); return st.net.Run(ctx) })
	logFile, err := os.Create(filepath.Join(dir, "homing.log"))
	if err != nil {
		return errors.Join(err, stopped(stop, &play))
	}
	defer logFile.Close()
	log := slog.New(slog.NewTextHandler(logFile, nil))
	ready := make(chan struct{})
	play.start(func() error {
		defer stop()
		return serve(ctx, st.config, log, func() { close(ready) })
	})
	select {
	case <-ready:
		err = perform(ctx, out, st, once)
	case <-ctx.Done():
	}
	if err = errors.Join(err, stopped(stop, &play)); err != nil && ctx.Err() != nil && once {
		return fmt.Errorf("%w (the server's log was %s)", err, logFile.Name())
	}
	return err
}

// stopped ends what runs and waits for it.
func stopped(stop func(), play *tasks) error {
	stop()
	return play.wait()
}

// setStage opens the toy internet and writes the configuration that fits it.
func setStage(dir string) (*stage, error) {
	world := toynet.Everyday(demoAfter)
	world.HookSecret = demoSecret
	world.Server = toynet.Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org", "bounce.example.org"}}
	net, err := world.Open()
	if err != nil {
		return nil, err
	}
	mx := net.ServerAddr()
	at := func(port int) string { return fmt.Sprintf("%s:%d", mx.Addr(), port) }
	st := &stage{net: net, config: filepath.Join(dir, "homing.toml"), http: at(8025)}
	st.client = &toynet.CiviCRM{Address: at(5870), From: `"Example News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
	f, err := os.Create(st.config)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	err = demoConfig.Execute(f, map[string]any{"MX": mx, "Submission": st.client.Address, "HTTP": st.http, "Hook": net.Hook.URL(),
		"Address": mx.Addr(), "Port": net.Port(), "DNS": net.DNSAddr()})
	return st, errors.Join(err, os.WriteFile(filepath.Join(dir, "hook-secret"), []byte(demoSecret), 0o600), checkDemo(st.config))
}

// checkDemo finds a mistake in the demo's own configuration early.
func checkDemo(path string) error {
	_, err := config.Load(path)
	return err
}

// perform sends the mailing, watches, and prints the table.
func perform(ctx context.Context, out io.Writer, st *stage, once bool) error {
	recipients := demoRecipients()
	fmt.Fprintf(out, "Homing is running on loopback beside a toy internet of %d domains. A mailing of %d recipients goes out now.\n\n", len(demoKinds), len(recipients))
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, demoDeadline)
	defer cancel()
	sent, err := st.client.Send(limited, toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "Grüße from the demo", Text: "Dear friends,\n\nthis is the news.\n", To: recipients})
	if err != nil {
		return fmt.Errorf("sending the mailing: %w", err)
	}
	fmt.Fprintf(out, "%s  the application has handed over all %d\n", since(began), len(sent))
	watch(limited, out, st, began)
	if ctx.Err() != nil {
		return nil
	}
	right := report(out, st, recipients, began)
	if !once {
		fmt.Fprintf(out, "\nThe server goes on until you press Ctrl-C. Look around from another terminal:\n"+
			"  %s --config %s status\n  %[1]s --config %[2]s hold list\n  %[1]s --config %[2]s trace u1@unknown.test\n"+
			"  %[1]s --config %[2]s events --follow\n  curl http://%[3]s/metrics\nIts submission listener is %[4]s, its MX %[5]s.\n",
			os.Args[0], st.config, st.http, st.client.Address, st.net.ServerAddr())
		<-ctx.Done()
		return nil
	}
	if !right {
		return errors.New("the table is not what it should be")
	}
	return nil
}

// watch prints progress until everything has been told, or ctx ends.
func watch(ctx context.Context, out io.Writer, st *stage, began time.Time) {
	done := make(chan error, 1)
	go func() { done <- st.net.Hook.Calls.Wait(ctx, allTold) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last, told := "", false; !told; {
		select {
		case <-done:
			told = true
		case <-tick.C:
		}
		if now := progress(st.net.Hook.Calls.All()); now != last || told {
			fmt.Fprintf(out, "%s  %s\n", since(began), now)
			last = now
		}
	}
	fmt.Fprintln(out)
}

func since(t time.Time) string { return fmt.Sprintf("%5.1f s", time.Since(t).Seconds()) }
