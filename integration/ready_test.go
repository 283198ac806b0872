package integration

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

// get asks the server's HTTP listener and gives status and body.
func (st *stage) get(path string) (int, string) {
	st.t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + st.HTTP + path)
	if err != nil {
		st.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// Metrics gives all samples of /metrics, by name with labels.
func (st *stage) Metrics() map[string]float64 {
	st.t.Helper()
	status, text := st.get("/metrics")
	if status != http.StatusOK {
		st.t.Fatalf("/metrics: status %d", status)
	}
	samples := make(map[string]float64)
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		n, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			st.t.Fatalf("%v in %q", err, line)
		}
		samples[line[:i]] = n
	}
	return samples
}

// submitMany submits one message to many recipients in as few transactions as
// are allowed.
func (st *stage) submitMany(domain string, count int) {
	st.t.Helper()
	const each = 1000
	w := dialSMTP(st.t, st.Submission)
	for first := 0; first < count; first += each {
		var b strings.Builder
		b.WriteString("MAIL FROM:<news@example.org>\r\n")
		for i := first; i < first+each; i++ {
			fmt.Fprintf(&b, "RCPT TO:<u%d@%s>\r\n", i, domain)
		}
		go io.WriteString(w.conn, b.String()+"DATA\r\n") // its answers fill the pipe meanwhile
		for range 1 + each {
			w.expect("250")
		}
		w.expect("354")
		w.put("From: news@example.org\r\nSubject: News\r\n\r\nHello\r\n")
		w.must(".", "250")
	}
}

func TestTheServerIsSoonReadyWithALongQueue(t *testing.T) {
	t.Parallel()
	const queued, soon = 20_000, 5 * time.Second
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}},
		Records: dnstest.Zone{Silent: map[string]bool{"silent.test": true}}}, Delivery: `retry = ["1h"]`})

	st.submitMany("silent.test", queued)
	waiting := func() int { return int(st.Metrics()["homing_queue_waiting_recipients"]) }
	until(t, 10*time.Second, "all to wait", func() bool { return waiting() == queued })

	for _, tt := range []struct {
		name string
		end  func()
	}{{"a kill", st.Kill}, {"a shutdown", st.Stop}} {
		t.Run("after "+tt.name, func(t *testing.T) {
			began := time.Now()
			tt.end()
			if took := time.Since(began); took > soon {
				t.Errorf("the end took %s, want at most %s, since nothing was under way", took, soon)
			}
			took := st.Restart()
			t.Logf("ready with %d recipients after %s", queued, took)
			if took > soon {
				t.Errorf("ready after %s, want at most %s", took, soon)
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				if status, body := st.get(path); status != http.StatusOK {
					t.Errorf("%s: %d %q, want 200", path, status, body)
				}
			}
			until(t, 10*time.Second, "all to wait again", func() bool { return waiting() == queued })
			began = time.Now()
			to := "ann-" + strings.ReplaceAll(tt.name, " ", "-") + "@accepts.test"
			st.Mail(len(to), to)
			st.Arrived(to)
			if took := time.Since(began); took > soon {
				t.Errorf("new mail was delivered after %s, want at most %s", took, soon)
			}
		})
	}
}

func TestLoadLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const (
		loads, each = 3, 25
		spare       = 30       // idle connections to the sink, and what the test itself makes
		spareMemory = 64 << 20 // a small heap grows by 32 MiB between collections, and the race detector adds to it
	)
	st := newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond), Delivery: `retry = ["200ms"]`})
	const goroutines, descriptors, memory = "go_goroutines", "process_open_fds", "process_resident_memory_bytes"
	job := 0
	load := func() {
		job++
		st.Outcomes(st.Mail(job, recipients(fmt.Sprintf("l%d-", job), each, "accepts.test", "later.test", "greylist.test", "complains.test")...))
		if err := st.Net.Settled(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	before := st.Metrics()
	load()
	once := st.Metrics() // what is made once was made now
	for range loads {
		load()
	}
	var after map[string]float64
	until(t, 20*time.Second, "what load needs to be given back", func() bool {
		after = st.Metrics()
		return after["homing_delivery_connections"] == 0 && after[goroutines] <= before[goroutines]+spare && after[descriptors] <= before[descriptors]+spare
	})
	for _, name := range []string{goroutines, descriptors, memory} {
		t.Logf("%s: %g before, %g after the first load, %g after all", name, before[name], once[name], after[name])
	}
	if after[memory] > once[memory]+spareMemory {
		t.Errorf("resident memory grew from %g to %g", once[memory], after[memory])
	}
	st.Balanced()
}
