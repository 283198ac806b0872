package web

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"

	"homing/server/smtpd"
)

// BenchmarkHandOver compares the roads by which an application hands over a
// receipt of 4 KB over loopback, ten at once, each durable before the answer.
func BenchmarkHandOver(b *testing.B) {
	text := strings.Repeat("All work and no play makes Jack a dull boy.\n", 90)
	parts := fmt.Sprintf(`{"from":"Shop <shop@example.com>","to":"ann@example.net","subject":"Your order","text":%q}`, text)
	whole := "From: Shop <shop@example.com>\r\nTo: ann@example.net\r\nSubject: Your order\r\n\r\n" + strings.ReplaceAll(text, "\n", "\r\n")
	b.Run("SMTP", func(b *testing.B) { benchSMTP(b, whole) })
	b.Run("HTTP/parts", func(b *testing.B) { benchHTTP(b, "application/json", parts, "") })
	b.Run("HTTP/parts with a key", func(b *testing.B) { benchHTTP(b, "application/json", parts, "k") })
	b.Run("HTTP/whole", func(b *testing.B) { benchHTTP(b, "message/rfc822", whole, "") })
}

// clientsAtOnce is how many clients there are for each processor.
const clientsAtOnce = 5

func benchHTTP(b *testing.B, kind, body, key string) {
	w := open(b, nil)
	url, head := serve(b, w.Network()), w.token("shop")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
	b.Cleanup(client.CloseIdleConnections)
	b.ReportAllocs()
	b.SetParallelism(clientsAtOnce)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			req, err := http.NewRequest("POST", url+messages, bytes.NewReader([]byte(body)))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header = head.Clone()
			req.Header.Set("Content-Type", kind)
			if key != "" {
				req.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%p-%d", key, pb, n))
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			if resp.Body.Close(); resp.StatusCode != http.StatusAccepted {
				b.Errorf("%s", resp.Status)
				return
			}
		}
	})
}

func benchSMTP(b *testing.B, body string) {
	w := open(b, nil)
	w.policy.Applications[1].Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	server := smtpd.New(smtpd.Options{Hostname: "mail.example.org", Kind: smtpd.Submission, Log: slog.New(slog.DiscardHandler)}, w.server.Outbound)
	go func() { ended <- server.Serve(ctx, l) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	b.ReportAllocs()
	b.SetParallelism(clientsAtOnce)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		c, err := textproto.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		say := func(want int, line string) {
			if line != "" {
				err = c.PrintfLine("%s", line)
			}
			if err == nil {
				_, _, err = c.ReadResponse(want)
			}
			if err != nil {
				b.Error(err)
			}
		}
		say(220, "")
		say(250, "EHLO shop")
		for err == nil && pb.Next() {
			say(250, "MAIL FROM:<shop@example.com>")
			say(250, "RCPT TO:<ann@example.net>")
			say(354, "DATA")
			say(250, body+".")
		}
	})
}
