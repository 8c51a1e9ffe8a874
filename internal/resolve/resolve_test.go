package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func records() []string {
	return []string{
		"www.example.net. 300 IN A 192.0.2.2",
		"www.example.net. 300 IN A 192.0.2.1",
		"www.example.net. 60 IN AAAA 2001:db8::1",
		"v4.example.net. 30 IN A 192.0.2.3",
		"mapped.example.net. 30 IN AAAA ::ffff:192.0.2.9",
		"alias.example.net. 20 IN CNAME Middle.example.net.",
		"middle.example.net. 90 IN CNAME www.example.net.",
		"loop.example.net. 20 IN CNAME pool.example.net.",
		"pool.example.net. 20 IN CNAME loop.example.net.",
		"dead.example.net. 20 IN CNAME nowhere.example.net.",
		"text.example.net. 20 IN TXT hello",
		"now.example.net. 0 IN A 192.0.2.4",
		"ages.example.net. 2000000 IN A 192.0.2.5",
		"soa. 77 IN SOA ns. hostmaster. 1 2 3 4 99",
	}
}

func newResolver(t testing.TB, cfg Config) *Resolver {
	t.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second // nothing is lost on this host; a slow one must not fail the test
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatalf("making the resolver: %v", err)
	}
	return r
}

func addresses(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func sameAnswer(a, b Answer) bool {
	return a.TTL == b.TTL && cmp.Equal(a.Addresses, b.Addresses, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }))
}

func TestLookup(t *testing.T) {
	now := time.Unix(1000, 0)
	r := newResolver(t, Config{Server: serveBoth(t, newZone(t, records()...)), Now: func() time.Time { return now }})
	for name, test := range map[string]struct {
		want Answer
		err  error
	}{
		"www.example.net":     {want: Answer{addresses("192.0.2.1", "192.0.2.2", "2001:db8::1"), time.Minute}},
		"WWW.example.NET.":    {want: Answer{addresses("192.0.2.1", "192.0.2.2", "2001:db8::1"), time.Minute}},
		"v4.example.net":      {want: Answer{addresses("192.0.2.3"), 30 * time.Second}},
		"mapped.example.net":  {want: Answer{addresses("192.0.2.9"), 30 * time.Second}},
		"alias.example.net":   {want: Answer{addresses("192.0.2.1", "192.0.2.2", "2001:db8::1"), 20 * time.Second}},
		"now.example.net":     {want: Answer{addresses("192.0.2.4"), 5 * time.Second}},
		"loop.example.net":    {err: ErrFailed},
		"dead.example.net":    {err: ErrNotFound},
		"nowhere.example.net": {err: ErrNotFound},
		"text.example.net":    {err: ErrNotFound},
		"not a name":          {err: ErrName},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := r.Lookup(context.Background(), name)
			if !errors.Is(err, test.err) || !sameAnswer(got, test.want) {
				t.Errorf("got %v, %v; want %v, %v", got, err, test.want, test.err)
			}
		})
	}
}

// RFC 2308, Section 5: "not found" holds for the lesser of the SOA's minimum and its time to live, here 77 s; here it is
// also the bound for an answer with addresses of one family.
func TestTimesToLive(t *testing.T) {
	now := time.Unix(1000, 0)
	z := newZone(t, records()...)
	r := newResolver(t, Config{
		Server: serveBoth(t, z), Now: func() time.Time { return now }, MinTTL: 10 * time.Second, MaxTTL: 100 * time.Second,
	})
	for _, step := range []struct {
		name    string
		at      int           // seconds since the start
		queries int64         // how many this lookup needs
		ttl     time.Duration // of the answer; 0: not found
	}{
		{"now.example.net", 0, 2, 10 * time.Second}, // 0 is raised to MinTTL
		{"now.example.net", 4, 0, 6 * time.Second},
		{"now.example.net", 10, 2, 10 * time.Second},
		{"ages.example.net", 10, 2, 77 * time.Second}, // no AAAA, and that holds for 77 s
		{"www.example.net", 10, 2, 60 * time.Second},
		{"nowhere.example.net", 10, 2, 0},
		{"nowhere.example.net", 86, 0, 0},
		{"nowhere.example.net", 87, 2, 0},
		{"NOWHERE.example.net.", 88, 0, 0},
	} {
		now = time.Unix(1000+int64(step.at), 0)
		before := z.queries.Load()
		got, err := r.Lookup(context.Background(), step.name)
		if got.TTL != step.ttl || (step.ttl == 0) != errors.Is(err, ErrNotFound) {
			t.Errorf("%s at %d s: got %v, %v; want %v", step.name, step.at, got.TTL, err, step.ttl)
		}
		if asked := z.queries.Load() - before; asked != step.queries {
			t.Errorf("%s at %d s: %d queries, want %d", step.name, step.at, asked, step.queries)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprintf("h%d.example.net. 300 IN A 192.0.2.%d", i, i))
	}
	z := newZone(t, lines...)
	r := newResolver(t, Config{Server: serveBoth(t, z), CacheSize: 4})
	for i := range 20 {
		if _, err := r.Lookup(context.Background(), fmt.Sprintf("h%d.example.net", i)); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.cache.Len(); got != 4 {
		t.Errorf("%d names are kept, want 4", got)
	}
	before := z.queries.Load()
	for _, i := range []int{19, 18, 17, 16} {
		if _, err := r.Lookup(context.Background(), fmt.Sprintf("h%d.example.net", i)); err != nil {
			t.Fatal(err)
		}
	}
	if asked := z.queries.Load() - before; asked != 0 {
		t.Errorf("%d queries for the newest names, want 0", asked)
	}
}

func TestCallerOwnsTheAddresses(t *testing.T) {
	static := addresses("192.0.2.7")
	r := newResolver(t, Config{
		Server: serveBoth(t, newZone(t, records()...)), Static: map[string][]netip.Addr{"lab": static},
	})
	static[0] = netip.IPv4Unspecified()
	for _, name := range []string{"v4.example.net", "lab"} {
		first, err := r.Lookup(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		first.Addresses[0] = netip.IPv6Loopback()
		second, err := r.Lookup(context.Background(), name)
		if err != nil || !second.Addresses[0].Is4() || second.Addresses[0].IsUnspecified() {
			t.Errorf("%s: got %v, %v after the first answer was changed", name, second, err)
		}
	}
}

func TestStaticNamesGoFirst(t *testing.T) {
	z := newZone(t, records()...)
	r := newResolver(t, Config{Server: serveBoth(t, z), RequireAD: true, Static: map[string][]netip.Addr{
		"WWW.example.net.": addresses("198.51.100.2", "2001:db8::5", "198.51.100.1", "198.51.100.2"),
	}})
	want := Answer{addresses("198.51.100.1", "198.51.100.2", "2001:db8::5"), time.Hour}
	if got, err := r.Lookup(context.Background(), "www.EXAMPLE.net"); err != nil || !sameAnswer(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if z.queries.Load() != 0 {
		t.Error("the server was asked")
	}
}

func TestTruncatedGoesOverTCP(t *testing.T) {
	var lines []string
	for i := range 200 {
		lines = append(lines, fmt.Sprintf("big.example.net. 300 IN A 192.0.2.%d", i))
	}
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("huge.example.net. 300 IN A 10.0.%d.%d", i/200, i%200))
	}
	r := newResolver(t, Config{Server: serveBoth(t, newZone(t, lines...))})
	got, err := r.Lookup(context.Background(), "big.example.net")
	if err != nil || len(got.Addresses) != 200 {
		t.Errorf("got %d addresses, %v; want 200", len(got.Addresses), err)
	}
	if _, err = r.Lookup(context.Background(), "huge.example.net"); !errors.Is(err, ErrFailed) {
		t.Errorf("300 addresses: got %v, want ErrFailed", err)
	}
}

// RFC 6840, Section 5.8: only the AD bit makes an answer count as validated.
func TestRequireAD(t *testing.T) {
	z := newZone(t, records()...)
	r := newResolver(t, Config{Server: serveBoth(t, z), RequireAD: true})
	for _, name := range []string{"www.example.net", "nowhere.example.net"} {
		if _, err := r.Lookup(context.Background(), name); !errors.Is(err, ErrInsecure) {
			t.Errorf("%s without AD: got %v, want ErrInsecure", name, err)
		}
	}
	validating := newZone(t, records()...)
	validating.ad = true
	r = newResolver(t, Config{Server: serveBoth(t, validating), RequireAD: true})
	if _, err := r.Lookup(context.Background(), "alias.example.net"); err != nil {
		t.Errorf("with AD: %v", err)
	}
	if _, err := r.Lookup(context.Background(), "nowhere.example.net"); !errors.Is(err, ErrNotFound) {
		t.Errorf("validated absence: got %v, want ErrNotFound", err)
	}
}

func TestTransports(t *testing.T) {
	certificate, ca := selfSigned(t)
	_, otherCA := selfSigned(t)
	z := newZone(t, records()...)
	tlsServer := serveTLS(t, z, certificate)
	for name, test := range map[string]struct {
		cfg Config
		err error
	}{
		"udp":                {cfg: Config{Server: serve(t, "udp", z)}},
		"tcp":                {cfg: Config{Server: serve(t, "tcp", z), Transport: TCP}},
		"dot by address":     {cfg: Config{Server: tlsServer, Transport: DoT, CAFile: ca}},
		"dot by name":        {cfg: Config{Server: tlsServer, Transport: DoT, CAFile: ca, TLSName: "dns.example"}},
		"dot, other name":    {Config{Server: tlsServer, Transport: DoT, CAFile: ca, TLSName: "evil.example"}, ErrFailed},
		"dot, other CA":      {Config{Server: tlsServer, Transport: DoT, CAFile: otherCA}, ErrFailed},
		"dot, system's CAs":  {Config{Server: tlsServer, Transport: DoT}, ErrFailed},
		"plain to a DoT one": {Config{Server: tlsServer, Transport: TCP}, ErrFailed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newResolver(t, test.cfg).Lookup(context.Background(), "www.example.net")
			if !errors.Is(err, test.err) || (err == nil) != (len(got.Addresses) == 3) {
				t.Errorf("got %v, %v; want error %v", got, err, test.err)
			}
		})
	}
}

func TestSystemServers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "search example.net\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for transport, want := range map[Transport]string{
		UDP: "192.0.2.53:53 [2001:db8::53]:53", DoT: "192.0.2.53:853 [2001:db8::53]:853",
	} {
		r := newResolver(t, Config{SystemFile: file, Transport: transport})
		if got := strings.Join(r.ask.servers, " "); got != want {
			t.Errorf("%s: got %s, want %s", transport, got, want)
		}
	}
}

func TestNewRefusesNonsense(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"transport":         {Server: "127.0.0.1:53", Transport: "quic"},
		"no port":           {Server: "127.0.0.1"},
		"CA without DoT":    {Server: "127.0.0.1:53", CAFile: empty},
		"name without DoT":  {Server: "127.0.0.1:53", TLSName: "a"},
		"no CA in file":     {Server: "127.0.0.1:853", Transport: DoT, CAFile: empty},
		"no CA file":        {Server: "127.0.0.1:853", Transport: DoT, CAFile: empty + "2"},
		"negative timeout":  {Server: "127.0.0.1:53", Timeout: -1},
		"negative cache":    {Server: "127.0.0.1:53", CacheSize: -1},
		"TTLs crossed":      {Server: "127.0.0.1:53", MinTTL: 2 * time.Hour},
		"static name":       {Server: "127.0.0.1:53", Static: map[string][]netip.Addr{"a_b": addresses("192.0.2.1")}},
		"static, empty":     {Server: "127.0.0.1:53", Static: map[string][]netip.Addr{"ab": nil}},
		"no system file":    {SystemFile: empty + "2"},
		"no system servers": {SystemFile: empty},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// handler is a dns.Handler that answers with what the function makes of a reply.
func handler(change func(*dns.Msg)) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reply := new(dns.Msg)
		reply.SetReply(query)
		a, _ := dns.NewRR(query.Question[0].Name + " 60 IN A 192.0.2.1")
		if query.Question[0].Qtype == dns.TypeA {
			reply.Answer = []dns.RR{a}
		}
		change(reply)
		_ = w.WriteMsg(reply)
	})
}

func TestBadServers(t *testing.T) {
	other, err := dns.NewRR("other.example.net. 60 IN A 192.0.2.66")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*dns.Msg)
		want   error
	}{
		"good":             {func(*dns.Msg) {}, nil},
		"failure":          {func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, ErrFailed},
		"refusal":          {func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }, ErrFailed},
		"no reply bit":     {func(m *dns.Msg) { m.Response = false }, ErrFailed},
		"other question":   {func(m *dns.Msg) { m.Question[0].Name = "other.example.net." }, ErrFailed},
		"other type":       {func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }, ErrFailed},
		"no question":      {func(m *dns.Msg) { m.Question = nil }, ErrFailed},
		"records of other": {func(m *dns.Msg) { m.Answer = []dns.RR{other} }, ErrNotFound},
		"one family fails": {func(m *dns.Msg) {
			if m.Question[0].Qtype == dns.TypeAAAA {
				m.Rcode = dns.RcodeServerFailure
			}
		}, ErrFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResolver(t, Config{Server: serve(t, "udp", handler(test.change))})
			got, err := r.Lookup(context.Background(), "www.example.net")
			if !errors.Is(err, test.want) || (err == nil) != (len(got.Addresses) == 1) {
				t.Errorf("got %v, %v; want error %v", got, err, test.want)
			}
		})
	}
}

// TestSecondServerHelps: a server that fails is followed by the next, and failures are not kept.
func TestSecondServerHelps(t *testing.T) {
	bad := serve(t, "udp", handler(func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }))
	good := serve(t, "udp", newZone(t, records()...))
	r := newResolver(t, Config{Server: bad})
	if _, err := r.Lookup(context.Background(), "v4.example.net"); !errors.Is(err, ErrFailed) {
		t.Fatalf("got %v, want ErrFailed", err)
	}
	r.ask.servers = []string{bad, good}
	if _, err := r.Lookup(context.Background(), "v4.example.net"); err != nil {
		t.Errorf("with a good second server: %v", err)
	}
}

// silent is an address at which nobody answers.
func silent(t testing.TB) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

func TestTimeout(t *testing.T) {
	r := newResolver(t, Config{Server: silent(t), Timeout: 20 * time.Millisecond})
	if _, err := r.Lookup(context.Background(), "www.example.net"); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	r = newResolver(t, Config{Server: silent(t), Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Lookup(ctx, "www.example.net"); !errors.Is(err, ErrTimeout) {
		t.Errorf("with a deadline: got %v, want ErrTimeout", err)
	}
}

func TestCancelledLookupEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	asked := dns.HandlerFunc(func(dns.ResponseWriter, *dns.Msg) { cancel() })
	r := newResolver(t, Config{Server: serve(t, "udp", asked), Timeout: time.Hour})
	if _, err := r.Lookup(ctx, "www.example.net"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want context.Canceled alone", err)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	reached, release := make(chan struct{}, 100), make(chan struct{})
	z := newZone(t, records()...)
	slow := dns.HandlerFunc(func(w dns.ResponseWriter, query *dns.Msg) {
		reached <- struct{}{}
		<-release
		z.ServeDNS(w, query)
	})
	r := newResolver(t, Config{Server: serve(t, "udp", slow), Timeout: time.Minute, MaxConcurrent: 1})
	done := make(chan error, 2)
	lookup := func() {
		_, err := r.Lookup(context.Background(), "www.example.net")
		done <- err
	}
	go lookup()
	<-reached
	<-reached // both types of the first lookup
	// The only place is taken: a second lookup waits until its context ends.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.Lookup(ctx, "v4.example.net"); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	go lookup() // this one will find in the cache what the first has found
	close(release)
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("lookup: %v", err)
		}
	}
	if got := z.queries.Load(); got != 2 {
		t.Errorf("%d queries reached the server, want 2", got)
	}
}
