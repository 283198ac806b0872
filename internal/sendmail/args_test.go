package sendmail

import (
	"errors"
	"strings"
	"testing"
)

func TestArguments(t *testing.T) {
	tests := []struct {
		name, args string
		want       string // what means something, in words; or the mistake
	}{
		{"recipients alone", "ann@example.net bob@example.net", "send dots to ann@example.net bob@example.net"},
		{"PHP's default", "-t -i", "send -t"},
		{"together in one argument", "-ti", "send -t"},
		{"CiviCRM's way", "-i -f news@example.org -t", "send -t from news@example.org"},
		{"the sender in the same argument", "-fnews@example.org -oi ann@example.net", "send from news@example.org to ann@example.net"},
		{"cron's way", "-FCronDaemon -i -B8BITMIME -oem root", "send name CronDaemon 8bit to root"},
		{"letters with a value at the end", "-tif news@example.org", "send -t from news@example.org"},
		{"the null sender", "-f <> ann@example.net", "send dots from <> to ann@example.net"},
		{"the old name of -f", "-r news@example.org ann@example.net", "send dots from news@example.org to ann@example.net"},
		{"every -o that nobody minds", "-oi -om -odb -odi -odq -oee -oem -oep -oeq -oew -oo -os -ov -oQ/x -oA/x -oT5d ann@example.net", "send to ann@example.net"},
		{"-o with its value apart", "-o i -o db ann@example.net", "send to ann@example.net"},
		{"a long option", "-O IgnoreDots=True -O DeliveryMode=b ann@example.net", "send to ann@example.net"},
		{"how an MTA works inside", "-Ac -C /etc/mail/submit.cf -h 5 -L tag -X /tmp/log -G -U -n -m -s -x -E -p ESMTP:relay -M id -d0-99.1 ann@example.net", "send dots to ann@example.net"},
		{"Exim's values apart", "-oMr cron -oMa 127.0.0.1 -oX 25 ann@example.net", "send dots to ann@example.net"},
		{"reports", "-N failure,delay -R hdrs -V QQ314 ann@example.net", "send dots notify FAILURE,DELAY ret HDRS envid QQ314 to ann@example.net"},
		{"reports, in the same argument", "-Nnever -Rfull -VQQ314 ann@example.net", "send dots notify NEVER ret FULL envid QQ314 to ann@example.net"},
		{"-- ends options", "-i -- ann@example.net", "send to ann@example.net"},
		{"-bm is the default", "-bm ann@example.net", "send dots to ann@example.net"},
		{"-bs", "-bs", "talk dots"},
		{"-bp", "-bp", "list dots"},
		{"-bv", "-bv ann@example.net", "verify dots to ann@example.net"},
		{"-bi", "-bi", "nothing dots"},
		{"-I", "-I", "nothing dots"},
		{"-q", "-q", "flush dots"},
		{"-q with a time", "-q15m", "flush dots"},
		{"-q with a site", "-qRexample.net", "flush dots"},
		{"-v", "-v ann@example.net", "send dots verbose to ann@example.net"},

		{"a daemon", "-bd -q15m", "-bd: the server is started with `homing serve`"},
		{"an unknown mode", "-bt", "-bt is not known here"},
		{"an unknown letter", "-iz ann@example.net", "there is no option -z"},
		{"a value that is missing", "-i -f", "-f needs a value"},
		{"an option behind recipients", "ann@example.net -f news@example.org", `"-f" stands behind a recipient`},
		{"an option that would be a recipient", "-- -oQ/tmp", `"-oQ/tmp" stands behind a recipient`},
		{"an encoding that is none", "-B9BIT ann@example.net", `-B "9BIT"`},
		{"a part that is none", "-R some ann@example.net", `-R "SOME"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := parse("sendmail", strings.Fields(tt.args))
			got := o.words()
			if err != nil {
				got = err.Error()
				if !errors.Is(err, errUsage) {
					t.Errorf("%v is no mistake of usage", err)
				}
			}
			if err == nil && got != tt.want || err != nil && !strings.Contains(strings.ToLower(got), strings.ToLower(tt.want)) {
				t.Errorf("%q means %q, want %q", tt.args, got, tt.want)
			}
		})
	}
}

// words says what options mean.
func (o options) words() string {
	w := []string{map[task]string{send: "send", talk: "talk", list: "list", flush: "flush", verify: "verify", nothing: "nothing"}[o.task]}
	add := func(is bool, words ...string) {
		if is {
			w = append(w, words...)
		}
	}
	add(o.dots, "dots")
	add(o.extract, "-t")
	add(o.verbose, "verbose")
	if o.from != nil {
		add(true, "from", *o.from)
	}
	add(o.name != "", "name", o.name)
	add(o.eight, "8bit")
	add(o.notify != "", "notify", o.notify)
	add(o.ret != "", "ret", o.ret)
	add(o.envid != "", "envid", o.envid)
	add(len(o.to) > 0, "to")
	return strings.Join(append(w, o.to...), " ")
}

func TestTheNameSaysWhatToDo(t *testing.T) {
	for name, want := range map[string]string{"/usr/bin/mailq": "list dots", "newaliases": "nothing dots", "/usr/sbin/sendmail": "send dots"} {
		if o, err := parse(name, nil); err != nil || o.words() != want {
			t.Errorf("%s means %q, %v, want %q", name, o.words(), err, want)
		}
	}
}

// FuzzParse states what the reading of arguments promises of any: it ends, and
// no recipient looks like an option.
func FuzzParse(f *testing.F) {
	f.Add("-ti -f a b")
	f.Add("-oMr -q --")
	f.Fuzz(func(t *testing.T, line string) {
		o, err := parse("sendmail", strings.Split(line, " "))
		if err != nil {
			if !errors.Is(err, errUsage) {
				t.Errorf("%q: %v", line, err)
			}
			return
		}
		for _, to := range o.to {
			if strings.HasPrefix(to, "-") {
				t.Errorf("%q gives the recipient %q", line, to)
			}
		}
	})
}
