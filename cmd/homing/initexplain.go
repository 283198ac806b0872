package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"homing/config"
	"homing/internal/terminal"
)

// explain says what was done and what there is to do. The password comes
// first: whoever ends the rest has seen it.
func (f *founding) explain(ctx context.Context, out io.Writer, cfg *config.Config) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Written: %s, with keys beside it. Read it once: it says what each line is for.\n", f.path)
	f.App.door = doorFor(cfg, &f.App)
	if _, err := io.WriteString(out, terminal.Lines(b.String())); err != nil {
		return err
	}
	if err := f.App.enter(out, cfg); err != nil {
		return err
	}
	b.Reset()
	for _, words := range slices.Concat(f.portWords(), f.wayWords()) {
		fmt.Fprintf(&b, "\n%s\n", words)
	}
	if _, err := io.WriteString(out, terminal.Lines(b.String())); err != nil {
		return err
	}
	if err := f.printDNS(ctx, out, cfg); err != nil {
		return err
	}
	b.Reset()
	b.WriteString("\nNext:\n")
	for i, s := range f.steps() {
		fmt.Fprintf(&b, "%d. %s\n", i+1, s.what)
		for _, command := range s.commands {
			fmt.Fprintf(&b, "     %s\n", command)
		}
	}
	_, err := io.WriteString(out, terminal.Lines(b.String()))
	return err
}

// wayWords says what is the matter with the way to the world, and to whoever
// runs the server.
func (f *founding) wayWords() (all []string) {
	if f.Postmaster == "" {
		all = append(all, "Nobody is told by mail yet when something breaks: write postmaster = \"ADDRESS\" before [listen] in "+f.path+".")
	}
	if f.around.blocked() && f.Smarthost == "" {
		all = append(all, "Port 25 of other servers cannot be reached from here. Many providers open it when asked, in their panel or by a letter. Else send through\n"+
			"a smarthost, where you have an account. Write into "+f.path+":\n"+
			"  [delivery.smarthost]\n  address = \"smtp.provider.example:587\"\n  username = \"NAME\"\n  password_file = \""+smarthostFile+"\"\n"+
			"and the password into that file: type it after this command, then Enter and Ctrl-D:\n"+
			"  sudo install -m 0640 "+f.groupFlag()+"/dev/stdin "+filepath.Join(filepath.Dir(f.path), smarthostFile))
	}
	if f.around.hidden.IsValid() && !f.Hidden || len(f.Addresses) == 0 {
		here := "This machine has no public address of its own."
		if f.around.hidden.IsValid() {
			here = fmt.Sprintf("This machine is %s, which the world does not know it by.", f.around.hidden)
		}
		all = append(all, here+" Write the address that stands in front of it, as the panel of the provider\n"+
			"shows it, into "+f.path+", and have port 25 of it passed on to this machine:\n"+
			"  [delivery]\n  public_addresses = [\"203.0.113.10\"]")
	}
	return all
}

// groupFlag has install give a file to the service, where that has a user.
func (f *founding) groupFlag() string {
	if _, ok := serviceGroup(); ok {
		return "-g " + serviceUser + " "
	}
	return ""
}

// printDNS prints the records to publish, as `homing dns` does. Without the
// network it cannot be known what is there already.
func (f *founding) printDNS(ctx context.Context, out io.Writer, cfg *config.Config) error {
	if f.Offline {
		return nil
	}
	j := dnsJob{cfg: cfg, out: out}
	var err error
	if j.setup, err = setupOf(cfg); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "\nPublish in the DNS:\n\n"); err != nil {
		return err
	}
	if err := j.run(ctx); err != nil {
		_, err = fmt.Fprintf(out, "The records cannot be made out now: %v. Run `homing dns%s` later.\n", err, f.named())
		return err
	}
	return nil
}

// A step is something to do next, with the commands for it.
type step struct {
	what     string
	commands []string
}

// steps is what to do next, in this order.
func (f *founding) steps() []step {
	named := f.named()
	words := "Publish the records above. `homing dns" + named + "` shows them again; this waits until all are there:"
	if f.Offline {
		words = "Publish the records that `homing dns" + named + "` shows; this waits until all are there:"
	}
	if f.path != systemConfig {
		return []step{{words, []string{"homing dns --watch" + named}}, {"Start the server:", []string{"homing serve" + named}},
			{"See what is not as it should be yet, and how to mend it:", []string{"homing check" + named}}}
	}
	publish := step{words, []string{"sudo homing dns --watch"}}
	check := step{"See what is not as it should be yet, and how to mend it:", []string{"sudo homing check"}}
	all := append([]step{publish}, f.permissions()...)
	if maildirs := f.maildirStep(); maildirs.what != "" {
		all = append(all, maildirs)
	}
	return append(all, f.serviceStep(), check)
}

// permissions lets the service read what was written, where it cannot.
func (f *founding) permissions() []step {
	dir := filepath.Dir(f.path)
	gid, ok := serviceGroup()
	if !ok {
		return []step{{"Make the user that the server runs as and its unit, in the directory that Homing was built in, and let the user read its files:", []string{
			"sudo make install", "sudo chgrp -R " + serviceUser + " " + dir + " && sudo chmod -R g+rX,o= " + dir,
		}}}
	}
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err == nil && s.Mode&0o001 == 0 && (int(s.Gid) != gid || s.Mode&0o010 == 0) {
		return []step{{dir + " was there already, and the user that the server runs as may not enter it:", []string{
			"sudo chgrp " + serviceUser + " " + dir + " && sudo chmod g+rx " + dir,
		}}}
	}
	return nil
}

// maildirStep makes the directory that CiviCRM reads.
func (f *founding) maildirStep() step {
	if f.App.Kind != string(config.CiviCRM) {
		return step{}
	}
	m := foundingMaildir
	s := step{"Make the directory where CiviCRM finds what bounced (a server that runs already needs `sudo systemctl restart homing` then):", []string{
		fmt.Sprintf("sudo install -d -m 2770 -o %s -g www-data %s %s/new %s/cur %s/tmp", serviceUser, m, m, m, m)}}
	if f.Far {
		s.what = "Make the directory where CiviCRM finds what bounced, and let the other machine have it (by NFS, say). Until it has, CiviCRM hears of no bounce;\n" +
			"   Homing still mails nobody whose address is dead:"
	}
	return s
}

// serviceStep starts the server, which may write where it has to.
func (f *founding) serviceStep() step {
	s := step{what: "Start the server:"}
	if f.Webroot != "" {
		s.commands = append(s.commands, "sudo install -d -o "+serviceUser+" -m 0755 "+f.Webroot+" "+f.Webroot+"/.well-known "+f.Webroot+"/.well-known/acme-challenge")
	}
	if f.DataDir != config.DefaultDataDir {
		const extra = "/etc/systemd/system/homing.service.d"
		s.commands = append(s.commands, "sudo install -d -m 0700 -o "+serviceUser+" "+shellWord(f.DataDir),
			"sudo install -d "+extra, "printf '[Service]\\nReadWritePaths=%s\\n' "+shellWord(f.DataDir)+" | sudo tee "+extra+"/data.conf", "sudo systemctl daemon-reload")
	}
	if !there("/run/systemd/system") {
		return step{s.what, append(s.commands, "sudo homing serve")}
	}
	return step{s.what, append(s.commands, "sudo systemctl enable --now homing")}
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// portWords says who has a port that matters, and the ways out.
func (f *founding) portWords() (all []string) {
	for _, p := range f.around.ports {
		switch {
		case p.port == 80 || p.port == 443:
		case p.homing():
			return []string{fmt.Sprintf("Port %d is taken by a Homing that runs here already. Stop it before you start one with this configuration: %s.", p.port, p.stop())}
		case p.port == smtpPort:
			all = append(all, f.mailPortWords(p))
		case p.port == submissionPort && p.has(loopback4) && !f.Far:
			all = append(all, fmt.Sprintf("Port 587 is taken by %s, so applications hand their mail over at %s.", p.who(), f.Submission[0]))
		case p.port == submissionPort && f.Far:
			all = append(all, fmt.Sprintf("Port 587 is taken by %s. Either stop that for good (%s), or write another port for submission into\n[listen] of %s.", p.who(), p.stop(), f.path))
		case p.port == apiPort && p.has(loopback4):
			all = append(all, fmt.Sprintf("Port %d is taken by %s, so status and metrics are at %s.", apiPort, p.who(), f.HTTP[0]))
		}
	}
	return append(all, f.webWords()...)
}

// mailPortWords is about port 25, at which bounces come back.
func (f *founding) mailPortWords(p busyPort) string {
	if !slices.Contains(f.SMTP, ":25") {
		return fmt.Sprintf("Port 25 of this machine itself is taken by %s, which may stay: Homing listens at %s.", p.who(), strings.Join(f.SMTP, " and "))
	}
	words := fmt.Sprintf("Port 25 is taken by %s, so that Homing cannot listen there. Either stop that for good (%s),\n"+
		"or let it keep the port and hand the mail of %s to Homing. In [listen] of %s write\n  %s\nin place of the line `smtp = …`, and",
		p.who(), p.stop(), f.Return, f.path, lmtpLine)
	switch {
	case strings.HasPrefix(p.program, "exim"):
		return words + " tell Exim:\n" + indented(eximLines(f.Return))
	case p.program == "postfix":
		return words + " tell Postfix:\n" + indented(postfixLines(f.Return))
	}
	return words + " have it pass that mail on by LMTP: docs/OPERATING.md, \"Where another program has port 25\"."
}

// webWords is about a web server, beside which Homing may stay unseen.
func (f *founding) webWords() []string {
	var ports []string
	var web *busyPort
	for _, port := range []int{80, 443} {
		if p := f.busy(port); p != nil {
			ports, web = append(ports, strconv.Itoa(port)), p
		}
	}
	if web == nil {
		return nil
	}
	taken := fmt.Sprintf("Port %s is taken by %s", ports[0], web.who())
	if len(ports) > 1 {
		taken = fmt.Sprintf("Ports %s are taken by %s", strings.Join(ports, " and "), web.who())
	}
	fine := taken + ", which is fine: Homing needs none of the web."
	names := webNames{Host: f.Hostname, Return: f.Return, HTTP: f.HTTP[0], Webroot: f.Webroot}
	if f.Webroot != "" {
		fine = fmt.Sprintf("%s. So that Let's Encrypt finds the answers of Homing, let it serve %s:\n%s\n"+
			"Where certbot has a certificate for %s already, take that one: docs/OPERATING.md, \"Certbot, or another program, has it\".",
			taken, f.Webroot, indented(names.lines(web.program, "webroot")), f.Hostname)
	}
	return []string{fine, fmt.Sprintf("To give mailings a button that unsubscribes, which large mailbox providers want, and to have other mail servers know that mail to %s\ncomes encrypted (MTA-STS), later: get a certificate for %[2]s and\n"+
		"mta-sts.%[1]s (certbot), let the web server pass on what Homing has for the world,\n%[3]s\nand write public_url = \"https://%[2]s\" before [listen] in %[4]s.",
		f.Return, f.Hostname, indented(names.lines(web.program, "public")), f.path)}
}

func indented(lines string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(lines, "\n"), "\n", "\n  ")
}
