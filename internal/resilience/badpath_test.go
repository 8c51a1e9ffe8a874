package resilience

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// droppedAtRandom: half of all datagrams are lost, each way, on both hops, and mitigations are asked for on sessions that stand. Both hops
// together get 99.3 of 100 to the server within 30 s: three late ones of the 20 would be one run in a thousand.
func droppedAtRandom(t *testing.T) {
	p := newBadPath(t, 20)
	p.drop(50)
	p.clients.tell("ask")
	time.Sleep(35 * time.Second)
	p.mend()
	arrived, in30s, worst := p.arrived(), 0, time.Duration(0)
	tales := p.tales()
	for _, c := range tales {
		at, ok := arrived[c.Prefix]
		took := at.Sub(c.Asked)
		if !ok {
			took = time.Since(c.Asked)
		}
		if worst = max(worst, took); took <= 30*time.Second {
			in30s++
		}
	}
	must(t, in30s >= len(tales)-2, "%d of %d requests were with the server within 30 s, the slowest after %.1f s", in30s, len(tales), worst.Seconds())
	p.judge(tales)
}

// udpBlocked: nothing that is UDP gets to the uplink, which is so when the gateway starts. It has a session over TLS soon.
func udpBlocked(t *testing.T) {
	p := &badPath{spaces: newSpaces(t), dir: t.TempDir()}
	p.serve()
	p.drop(100)
	p.relay("auto")
	p.await("a session over TLS", func() bool { return p.figure(`dotsgate_sessions{side="uplink",transport="tls"}`) == 1 })
	took := p.logged("uplink session up").Sub(p.logged("gateway started"))
	must(t, took < time.Second, "a session over TLS %.0f ms after the gateway's start", took.Seconds()*1000)
}

// logged is when the gateway first wrote a line with these words.
func (p *badPath) logged(words string) time.Time {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, atGateway+".log"))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, words) {
			continue
		}
		stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "time="), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		return at
	}
	p.t.Fatalf("the gateway did not write %q", words)
	return time.Time{}
}

// saturatedPath: a line of 1 Mbit/s towards the clients, with a flood beside that is so many times as much.
func saturatedPath(times int) func(t *testing.T) {
	return func(t *testing.T) {
		p, seconds := newBadPath(t, counts.behind.get(t)), counts.saturated.get(t)
		p.clients.tell("watch")
		p.clients.hears("watching", 2*time.Minute)
		p.clients.tell("measure")
		time.Sleep(calmTime)
		before := p.tales()
		sentBefore, toldBefore := p.packets(router, "sizes", "towards"), p.figure(notifications)
		p.saturate()
		flood := p.fellow(atFlood, order{Role: "flood", Server: net.JoinHostPort(address(atClient), "9"), Rate: times * lineRate, Size: floodPacket})
		p.clients.tell("measure")
		time.Sleep(time.Duration(seconds) * time.Second)
		line := p.do(router, "", "tc", "-s", "qdisc", "show", "dev", atClient)
		tales := p.tales()
		_ = flood.to.Close()

		_, calmStatuses := statuses(before)
		ages, seen := statuses(tales)
		limit := map[int]float64{5: 75, 20: 300}[times]
		say("%d clients for %d s behind 1 Mbit/s; towards them a flood of %d Mbit/s, IP packets of %d bytes", len(tales), seconds, times, floodPacket)
		say("the line: %s", strings.Join(strings.Fields(between(line, "Sent", "backlog")), " "))
		sent, got := p.packets(router, "sizes", "towards"), p.packets(atClient, "sink", "arrived")
		say("of %d packets of the gateway %d arrived (%.1f of 100); it sent %.0f notifications", sent-sentBefore, got, 100*float64(got)/float64(max(sent-sentBefore, 1)),
			p.figure(notifications)-toldBefore)
		must(t, share(ages, 0.99) <= limit, "age of the newest status: p50 %.1f, p99 %.1f, max %.1f s (statuses of a client in a minute: %.1f; %.1f before); wanted: p99 at most %.0f s",
			share(ages, 0.5), share(ages, 0.99), share(ages, 1), seen, calmStatuses, limit)
		p.judge(tales)
	}
}

// saturate makes a line of 1 Mbit/s of the path towards the clients. Its queue is counted in packets, as that of most routers: one that is
// counted in bytes, and full of packets of one length, would have room for nothing that is longer.
func (p *badPath) saturate() {
	p.t.Helper()
	p.do(router, "", "tc", "qdisc", "add", "dev", atClient, "root", "handle", "1:", "tbf", "rate", "1mbit", "burst", "10kb", "limit", "1mb")
	p.do(atClient, fmt.Sprintf(`table inet sink {
	counter arrived {}
	chain input {
		type filter hook input priority 0
		ip6 saddr %s meta l4proto udp counter name arrived
		udp dport 9 drop
	}
}
`, address(atGateway)), "nft", "-f", "-")
	p.do(router, "", "tc", "qdisc", "add", "dev", atClient, "parent", "1:1", "handle", "10:", "pfifo", "limit", "40")
}

const notifications = `dotsgate_notifications_total{code="2.05"}`

// statuses are the ages in order, and how many came to a client in a minute on average.
func statuses(tales []clientTale) (ages []float64, each float64) {
	n, samples := 0, 0
	for _, c := range tales {
		ages = append(ages, c.Ages...)
		n += c.Statuses
		samples += len(c.Ages)
	}
	return sorted(ages), float64(n) / float64(max(samples, 1)) * 60
}

const (
	calmTime    = 15 * time.Second // of which it is known how many statuses come when nothing is wrong
	lineRate    = 125_000          // bytes a second
	floodPacket = 200              // bytes: about as long as a status, so that the queue treats both alike
)

// between is what stands between two words.
func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	rest, _, _ = strings.Cut(rest, to)
	return rest
}

// tales asks the clients what became of them.
func (p *badPath) tales() (all []clientTale) {
	p.t.Helper()
	p.clients.tell("end")
	if err := json.Unmarshal([]byte(p.clients.hears("tale", time.Minute)), &all); err != nil {
		p.t.Fatal(err)
	}
	return all
}

// judge is what holds on every path: no session is lost, none is made anew, and nothing is longer than the path MTU.
func (p *badPath) judge(tales []clientTale) {
	p.t.Helper()
	ended := map[string]int{}
	silent := 0.0
	for _, c := range tales {
		if c.Ended != "" {
			ended[c.Ended]++
		}
		silent = max(silent, c.Heard)
	}
	must(p.t, len(ended) == 0, "clients' sessions that ended: %d of %d %s", sum(ended), len(tales), reasons(ended))
	down, up := p.figure(`dotsgate_sessions{side="downstream",transport="dtls"}`), p.figure(`dotsgate_uplink_up{uplink="upstream"}`)
	must(p.t, int(down) == len(tales) && up >= 1, "the gateway's sessions: %.0f with clients, %.0f with the server; the longest silence of a client: %.0f s", down, up, silent)
	of := func(leaf string) int { return p.oversized(leaf) }
	must(p.t, of(atGateway)+of(atClient)+of(atServer) == 0, "IP packets over the path MTU of %d bytes, and fragments: %d of the gateway, %d of the clients, %d of the lab's server",
		pathMTU, of(atGateway), of(atClient), of(atServer))
	if p.t.Failed() {
		say("the gateway said: %s", tail(filepath.Join(p.dir, atGateway+".log")))
	}
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func reasons(counts map[string]int) string {
	if len(counts) == 0 {
		return ""
	}
	return fmt.Sprint(counts)
}
