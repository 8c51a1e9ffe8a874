package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// reply makes a reply of records in the form of a zone file.
func reply(t *testing.T, lines ...string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		m.Answer = append(m.Answer, rr)
	}
	return m
}

// TestChainReadsOneReply: along the aliases to the addresses, and nothing beside the way.
func TestChainReadsOneReply(t *testing.T) {
	tests := []struct {
		name  string
		qtype uint16
		lines []string
		want  string        // addresses
		at    string        // where the chain stands then
		ttl   time.Duration // least on the way; a minute at the start
	}{
		{"nothing", dns.TypeA, nil, "", "a.", time.Minute},
		{"addresses", dns.TypeA, []string{"a. 50 A 192.0.2.1", "a. 40 A 192.0.2.2"}, "192.0.2.1 192.0.2.2", "a.", 40 * time.Second},
		{"in other letters", dns.TypeA, []string{"A. 50 A 192.0.2.1"}, "192.0.2.1", "a.", 50 * time.Second},
		{"other names", dns.TypeA, []string{"b. 1 A 192.0.2.66", "a.a. 1 A 192.0.2.66"}, "", "a.", time.Minute},
		{"other class", dns.TypeA, []string{"a. 1 CH A 192.0.2.66"}, "", "a.", time.Minute},
		{"other type", dns.TypeA, []string{"a. 1 AAAA 2001:db8::1", "a. 1 TXT x"}, "", "a.", time.Minute},
		{"the other family", dns.TypeAAAA, []string{"a. 50 A 192.0.2.1", "a. 45 AAAA 2001:db8::1"}, "2001:db8::1", "a.", 45 * time.Second},
		{"alias alone", dns.TypeA, []string{"a. 30 CNAME b."}, "", "b.", 30 * time.Second},
		{"alias and its end", dns.TypeA, []string{"a. 30 CNAME b.", "b. 20 A 192.0.2.1"}, "192.0.2.1", "b.", 20 * time.Second},
		{"in the wrong order", dns.TypeA, []string{"b. 20 A 192.0.2.1", "a. 30 CNAME b."}, "192.0.2.1", "b.", 20 * time.Second},
		{"a long one counts as the shortest", dns.TypeA, []string{"a. 5 CNAME b.", "b. 900 A 192.0.2.1"}, "192.0.2.1", "b.", 5 * time.Second},
		{"an end of another chain", dns.TypeA, []string{"a. 30 CNAME b.", "c. 1 A 192.0.2.66"}, "", "b.", 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := chain{name: "a.", qtype: tt.qtype, ttl: time.Minute}
			got, err := c.read(reply(t, tt.lines...))
			if err != nil || strings.Trim(fmt.Sprint(got), "[]") != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
			if c.name != tt.at || c.ttl != tt.ttl {
				t.Errorf("stands at %s with %v; want %s with %v", c.name, c.ttl, tt.at, tt.ttl)
			}
		})
	}
}

// TestChainIsBounded: eight aliases are followed, in one reply or over several; a ninth is a loop.
func TestChainIsBounded(t *testing.T) {
	links := func(n int) []string {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf("n%d. 60 CNAME n%d.", i, i+1))
		}
		return append(lines, fmt.Sprintf("n%d. 60 A 192.0.2.1", n))
	}
	c := chain{name: "n0.", qtype: dns.TypeA, ttl: time.Minute}
	if got, err := c.read(reply(t, links(maxChain)...)); err != nil || len(got) != 1 {
		t.Errorf("%d aliases: %v, %v", maxChain, got, err)
	}
	c = chain{name: "n0.", qtype: dns.TypeA, ttl: time.Minute}
	if got, err := c.read(reply(t, links(maxChain+1)...)); !errors.Is(err, ErrFailed) || got != nil {
		t.Errorf("%d aliases: %v, %v; want ErrFailed", maxChain+1, got, err)
	}
	c = chain{name: "x.", qtype: dns.TypeA, ttl: time.Minute}
	if _, err := c.read(reply(t, "x. 60 CNAME x.")); !errors.Is(err, ErrFailed) {
		t.Errorf("an alias of itself: %v, want ErrFailed", err)
	}
	c = chain{name: "n0.", qtype: dns.TypeA, ttl: time.Minute}
	for i := range maxChain + 1 {
		_, err := c.read(reply(t, fmt.Sprintf("n%d. 60 CNAME n%d.", i, i+1)))
		if (err != nil) != (i == maxChain) {
			t.Errorf("alias %d in a reply of its own: %v", i+1, err)
		}
	}
}

// TestAddressOfBrokenRecords: a record whose data has another length than its type is no address.
func TestAddressOfBrokenRecords(t *testing.T) {
	head := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: "a.", Rrtype: rrtype, Class: dns.ClassINET}
	}
	for _, tt := range []struct {
		name  string
		rr    dns.RR
		qtype uint16
		want  string // "" for none
	}{
		{"A", &dns.A{Hdr: head(dns.TypeA), A: net.IPv4(192, 0, 2, 1)}, dns.TypeA, "192.0.2.1"},
		{"AAAA", &dns.AAAA{Hdr: head(dns.TypeAAAA), AAAA: net.ParseIP("2001:db8::1")}, dns.TypeAAAA, "2001:db8::1"},
		{"mapped", &dns.AAAA{Hdr: head(dns.TypeAAAA), AAAA: net.ParseIP("::ffff:192.0.2.1")}, dns.TypeAAAA, "192.0.2.1"},
		{"A asked as AAAA", &dns.A{Hdr: head(dns.TypeA), A: net.IPv4(192, 0, 2, 1)}, dns.TypeAAAA, ""},
		{"A without data", &dns.A{Hdr: head(dns.TypeA)}, dns.TypeA, ""},
		{"A of three bytes", &dns.A{Hdr: head(dns.TypeA), A: net.IP{192, 0, 2}}, dns.TypeA, ""},
		{"alias", &dns.CNAME{Hdr: head(dns.TypeCNAME), Target: "b."}, dns.TypeA, ""},
	} {
		got, ok := address(tt.rr, tt.qtype)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s: got %v, %v; want %q", tt.name, got, ok, tt.want)
		}
	}
}

// RFC 2308, Section 5: an absence holds for the lesser of the SOA's minimum and the SOA's own time to live.
func TestNegativeTTL(t *testing.T) {
	for _, tt := range []struct {
		authority []string
		want      time.Duration
	}{
		{nil, 0},
		{[]string{"example. 300 NS ns.example."}, 0},
		{[]string{"example. 300 SOA ns. host. 1 2 3 4 60"}, time.Minute},
		{[]string{"example. 60 SOA ns. host. 1 2 3 4 300"}, time.Minute},
		{[]string{"example. 300 NS ns.example.", "example. 60 SOA ns. host. 1 2 3 4 300"}, time.Minute},
		{[]string{"example. 0 SOA ns. host. 1 2 3 4 300"}, 0},
	} {
		m := &dns.Msg{Ns: reply(t, tt.authority...).Answer}
		if got := negativeTTL(m); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.authority, got, tt.want)
		}
	}
}

// TestAnswersOnlyItsQuestion changes one thing of a good reply at a time: a forged reply must match in all.
func TestAnswersOnlyItsQuestion(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*dns.Msg)
		want   bool
	}{
		{"good", func(*dns.Msg) {}, true},
		{"in other letters", func(m *dns.Msg) { m.Question[0].Name = "WWW.Example." }, true},
		{"another id", func(m *dns.Msg) { m.Id++ }, false},
		{"a query", func(m *dns.Msg) { m.Response = false }, false},
		{"no question", func(m *dns.Msg) { m.Question = nil }, false},
		{"two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false},
		{"another name", func(m *dns.Msg) { m.Question[0].Name = "ww.example." }, false},
		{"another type", func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeAAAA }, false},
		{"another class", func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false},
	} {
		query := question("www.example.", dns.TypeA)
		m := new(dns.Msg)
		m.SetReply(query)
		tt.change(m)
		if got := answers(m, query); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// RFC 6840, Section 5.7: a query asks for the AD bit by setting it, without asking for the signatures.
func TestQuestion(t *testing.T) {
	m := question("www.example.", dns.TypeAAAA)
	if !m.AuthenticatedData || !m.RecursionDesired || m.CheckingDisabled {
		t.Errorf("flags: AD %v, RD %v, CD %v", m.AuthenticatedData, m.RecursionDesired, m.CheckingDisabled)
	}
	if opt := m.IsEdns0(); opt == nil || opt.Do() || opt.UDPSize() != udpSize {
		t.Errorf("EDNS: %v", opt)
	}
	want := []dns.Question{{Name: "www.example.", Qtype: dns.TypeAAAA, Qclass: dns.ClassINET}}
	if diff := cmp.Diff(want, m.Question); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if again := question("www.example.", dns.TypeAAAA); again.Id == m.Id {
		if third := question("www.example.", dns.TypeAAAA); third.Id == m.Id {
			t.Errorf("three queries have the id %d: it can be guessed", m.Id)
		}
	}
}

// TestWhichErrorIsTold: time-outs are told apart, the cause stays in the chain, and a bad answer says more than none.
func TestWhichErrorIsTold(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		name string
		err  error
		want error
		not  error
	}{
		{"deadline", context.DeadlineExceeded, ErrTimeout, ErrFailed},
		{"deadline within", fmt.Errorf("dialling: %w", context.DeadlineExceeded), ErrTimeout, ErrFailed},
		{"socket's deadline", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, ErrTimeout, ErrFailed},
		{"refused", &net.OpError{Op: "dial", Err: refused}, ErrFailed, ErrTimeout},
		{"anything else", refused, ErrFailed, ErrTimeout},
	} {
		got := describe(tt.err)
		if !errors.Is(got, tt.want) || errors.Is(got, tt.not) || !errors.Is(got, tt.err) {
			t.Errorf("%s: got %v, want %v with its cause", tt.name, got, tt.want)
		}
	}
	late, bad, worseBad := fmt.Errorf("a: %w", ErrTimeout), fmt.Errorf("b: %w", ErrFailed), fmt.Errorf("c: %w", ErrFailed)
	for _, tt := range []struct{ a, b, want error }{
		{nil, late, late}, {nil, bad, bad}, {late, bad, bad}, {bad, late, bad}, {late, late, late}, {bad, worseBad, bad},
	} {
		if got := worse(tt.a, tt.b); got != tt.want { //nolint:errorlint // one of the two, not one around it
			t.Errorf("worse(%v, %v) is %v", tt.a, tt.b, got)
		}
	}
	if got := contextError(context.Canceled); got != context.Canceled { //nolint:errorlint // as it is, not wrapped
		t.Errorf("a cancelled lookup is %v", got)
	}
	if got := contextError(context.DeadlineExceeded); !errors.Is(got, ErrTimeout) || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("a late lookup is %v", got)
	}
}

func TestSorted(t *testing.T) {
	got := sorted(addresses("2001:db8::2", "192.0.2.10", "192.0.2.9", "2001:db8::1", "192.0.2.10"))
	want := addresses("192.0.2.9", "192.0.2.10", "2001:db8::1", "2001:db8::2")
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := sorted(nil); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
}

// TestDefaults: the zero of each field means what its comment says, and what is set stays.
func TestDefaults(t *testing.T) {
	got := Config{}.withDefaults()
	now := got.Now
	got.Now = nil
	want := Config{
		SystemFile: "/etc/resolv.conf", Transport: UDP, Timeout: 2 * time.Second, CacheSize: 4096,
		MinTTL: 5 * time.Second, MaxTTL: time.Hour, MaxConcurrent: 64,
	}
	if diff := cmp.Diff(want, got); diff != "" || now == nil {
		t.Errorf("now set: %v (-want +got)\n%s", now != nil, diff)
	}
	set := Config{
		Server: "192.0.2.53:53", SystemFile: "x", Transport: DoT, TLSName: "n", CAFile: "c", RequireAD: true,
		Timeout: 1, CacheSize: 2, MinTTL: 3, MaxTTL: 4, MaxConcurrent: 5,
	}
	got = set.withDefaults()
	got.Now = nil
	if diff := cmp.Diff(set, got); diff != "" {
		t.Errorf("what is set (-want +got)\n%s", diff)
	}
}

// TestAddressesAreBounded: 256 pass, and one more is refused whole, never cut.
func TestAddressesAreBounded(t *testing.T) {
	var lines []string
	for i := range maxAddresses {
		lines = append(lines, fmt.Sprintf("full.example. 300 IN A 10.0.%d.%d", i/200, i%200))
		lines = append(lines, fmt.Sprintf("over.example. 300 IN A 10.0.%d.%d", i/200, i%200))
	}
	lines = append(lines, "over.example. 300 IN AAAA 2001:db8::1")
	z := newZone(t, lines...)
	r := newResolver(t, Config{Server: serveBoth(t, z), Transport: TCP})
	if got, err := r.Lookup(context.Background(), "full.example"); err != nil || len(got.Addresses) != maxAddresses {
		t.Errorf("%d addresses, %v; want %d", len(got.Addresses), err, maxAddresses)
	}
	for range 2 { // a failure is not kept: the second lookup asks again
		before := z.queries.Load()
		got, err := r.Lookup(context.Background(), "over.example")
		if !errors.Is(err, ErrFailed) || got.Addresses != nil {
			t.Errorf("%d addresses, %v; want none and ErrFailed", len(got.Addresses), err)
		}
		if asked := z.queries.Load() - before; asked != 2 {
			t.Errorf("%d queries, want 2", asked)
		}
	}
}
