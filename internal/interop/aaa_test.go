//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/aaa"
)

// radiusSecret is what the gateway and the RADIUS server share.
const radiusSecret = "sixteen bytes or more"

// radiusConf is a FreeRADIUS that serves what we ship and nothing else.
const radiusConf = `prefix = /usr
name = freeradius
logdir = %[1]s
run_dir = %[1]s
libdir = /usr/lib/freeradius
max_request_time = 10
cleanup_delay = 0
log {
	destination = stdout
}
security {
	reject_delay = 0
	status_server = no
}
thread pool {
	start_servers = 1
	max_servers = 4
}
modules {
	always reject {
		rcode = reject
	}
}
listen {
	type = auth
	ipaddr = 127.0.0.1
	port = %[2]d
	virtual_server = dotsgate
}
client loopback {
	ipaddr = 127.0.0.1
	secret = "%[3]s"
	require_message_authenticator = yes
}
$INCLUDE %[4]s
`

// radius is a running FreeRADIUS.
type radius struct {
	t       *testing.T
	dir     string
	port    int
	process *process
}

// startRADIUS starts FreeRADIUS with the dictionary and a virtual server.
func startRADIUS(t *testing.T, site string) *radius {
	t.Helper()
	requireProgram(t, "freeradius", "freeradius")
	deploy, err := filepath.Abs("../../deploy/freeradius")
	if err != nil {
		t.Fatal(err)
	}
	if site == "" {
		site = filepath.Join(deploy, "dotsgate")
	}
	r := &radius{t: t, dir: t.TempDir()}
	r.write("dictionary", "$INCLUDE "+filepath.Join(deploy, "dictionary.dotsgate")+"\n")
	for range 5 { // nobody keeps a port free until the server takes it
		r.port = freePort(t)
		r.write("radiusd.conf", fmt.Sprintf(radiusConf, r.dir, r.port, radiusSecret, site))
		if r.start() {
			return r
		}
	}
	t.Fatalf("FreeRADIUS does not start:\n%s", r.process.text())
	return nil
}

func (r *radius) write(name, text string) string {
	r.t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return name
}

// start starts the process on the port it has; false: it ended.
func (r *radius) start() bool {
	r.t.Helper()
	path, err := exec.LookPath("freeradius")
	if err != nil {
		r.t.Fatal(err)
	}
	r.process = spawn(r.t, path, "-f", "-X", "-d", r.dir)
	return r.process.waitFor("Ready to process requests") != ""
}

// aaaMeter counts what was dropped and where decisions came from.
type aaaMeter struct {
	mu      sync.Mutex
	dropped map[aaa.Fault]int
	from    map[aaa.Source]int
}

func newAAAMeter() *aaaMeter {
	return &aaaMeter{dropped: make(map[aaa.Fault]int), from: make(map[aaa.Source]int)}
}

func (m *aaaMeter) Decided(from aaa.Source, _ aaa.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from[from]++
}

func (m *aaaMeter) Asked(time.Duration, bool) {}

func (m *aaaMeter) Dropped(why aaa.Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropped[why]++
}

// drops returns how often an answer was dropped for this.
func (m *aaaMeter) drops(why aaa.Fault) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dropped[why]
}

// client makes a client of the server and runs it until the test ends.
func (r *radius) client(secret string, change func(*aaa.Config)) (*aaa.Authorizer, *aaaMeter) {
	r.t.Helper()
	meter := newAAAMeter()
	cfg := aaa.Config{
		AllowTTL: -1, DenyTTL: -1, Wait: patience, Meter: meter,
		RADIUS: &aaa.RADIUSConfig{NodeID: nodeID, Servers: []aaa.RADIUSServer{
			{Address: fmt.Sprintf("127.0.0.1:%d", r.port), SecretFile: r.write("secret", secret+"\n")},
		}},
	}
	if change != nil {
		change(&cfg)
	}
	a, err := aaa.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx); err != nil {
			r.t.Errorf("the AAA client: %v", err)
		}
	})
	r.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return a, meter
}

// ask asks until the client's socket is open.
func ask(a *aaa.Authorizer, q aaa.Request) aaa.Decision {
	for {
		d := a.Authorize(context.Background(), q)
		if !d.Failed || !strings.Contains(d.Reason, "socket is not open") {
			return d
		}
	}
}

// mitigation is a request of a client.
func mitigation(client string, targets ...string) aaa.Request {
	return aaa.Request{Client: client, CUID: cuid, Domain: "lab", Targets: targets, Ports: []string{"443"}, Protocols: []string{"6"}, Lifetime: 3600, MID: 1}
}

// The virtual server and the dictionary that we ship, with Debian's FreeRADIUS: what is accepted, and what is refused and why.
func TestInteropRADIUS(t *testing.T) {
	r := startRADIUS(t, "")
	a, meter := r.client(radiusSecret, nil)
	many := make([]string, 0, 200)
	for i := range 199 {
		many = append(many, fmt.Sprintf("2001:db8:6401:%x::/64", i))
	}
	const bad = "198.51.100.66/32"
	for name, tt := range map[string]struct {
		q    aaa.Request
		want aaa.Decision
	}{
		"accepted":                  {mitigation("client1", "192.0.2.0/24", "www.example.com"), aaa.Decision{Allow: true}},
		"accepted in parts":         {mitigation("client1", many...), aaa.Decision{Allow: true}},
		"a refused client":          {mitigation("suspended", "192.0.2.0/24"), aaa.Decision{Reason: "service is suspended"}},
		"a refused target":          {mitigation("client1", bad), aaa.Decision{Reason: "this target is not mitigated"}},
		"a refused target of many":  {mitigation("client1", "192.0.2.0/24", bad), aaa.Decision{Reason: "this target is not mitigated"}},
		"a refused target in parts": {mitigation("client1", append(many, bad)...), aaa.Decision{Reason: "this target is not mitigated"}},
	} {
		if got := ask(a, tt.q); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
	// The server reads what we write by the names of the dictionary.
	r.process.waitFor(`DOTS-Target = "www.example.com"`)
	for _, want := range []string{
		`User-Name = "client1"`, `NAS-Identifier = "` + nodeID + `"`, `Called-Station-Id = "lab"`, `Calling-Station-Id = "` + cuid + `"`,
		"Service-Type = Call-Check", `DOTS-Protocol = "6"`, `DOTS-Port = "443"`, "DOTS-Lifetime = 3600", "DOTS-MID = 1", "DOTS-Parts = 1",
	} {
		r.process.waitFor(want)
	}
	if meter.drops(aaa.FaultAuthenticator)+meter.drops(aaa.FaultUnauthenticated)+meter.drops(aaa.FaultGarbage) > 0 {
		t.Errorf("answers were dropped: %v", meter.dropped)
	}
}

// A server that does not sign its answers, as FreeRADIUS before 3.2.5 does not by itself, is not believed.
func TestInteropRADIUSUnsigned(t *testing.T) {
	r := startRADIUS(t, writeSite(t, "server dotsgate {\n\tauthorize {\n\t\tupdate control {\n\t\t\tAuth-Type := Accept\n\t\t}\n\t}\n}\n"))
	if v := r.process.waitFor("FreeRADIUS Version"); !unsigned.MatchString(v) {
		t.Skipf("%s signs every answer", v)
	}
	a, meter := r.client(radiusSecret, func(c *aaa.Config) { c.RADIUS.Interval, c.RADIUS.Tries = 300*time.Millisecond, 2 })
	d := ask(a, mitigation("client1", "192.0.2.0/24"))
	if !d.Failed || d.Allow || meter.drops(aaa.FaultUnauthenticated) == 0 {
		t.Errorf("got %+v, dropped %v", d, meter.dropped)
	}
}

// unsigned is how the versions name themselves that sign only what they are told to sign.
var unsigned = regexp.MustCompile(`Version 3\.(0|2\.[0-4]\b)`)

func writeSite(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "site")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// With another secret the server says nothing, and we would not believe it.
func TestInteropRADIUSWrongSecret(t *testing.T) {
	r := startRADIUS(t, "")
	a, _ := r.client("another secret of ours", func(c *aaa.Config) { c.RADIUS.Interval, c.RADIUS.Tries = 300*time.Millisecond, 2 })
	if d := ask(a, mitigation("client1", "192.0.2.0/24")); !d.Failed || d.Allow {
		t.Errorf("got %+v", d)
	}
	r.process.waitFor("Message-Authenticator")
}

// The server is killed: closed fails, last-known keeps to what was said; when it is back it is asked again.
func TestInteropRADIUSSilence(t *testing.T) {
	r := startRADIUS(t, "")
	quick := func(c *aaa.Config) { c.RADIUS.Interval, c.RADIUS.Tries = 100*time.Millisecond, 2 }
	closed, _ := r.client(radiusSecret, quick)
	known, _ := r.client(radiusSecret, func(c *aaa.Config) {
		quick(c)
		c.Fail = aaa.FailLastKnown
	})
	allowed, refused := mitigation("client1", "192.0.2.0/24"), mitigation("suspended", "192.0.2.0/24")
	for _, a := range []*aaa.Authorizer{closed, known} {
		if d := ask(a, allowed); !d.Allow {
			t.Fatalf("at first: %+v", d)
		}
		if d := ask(a, refused); d.Allow || d.Failed {
			t.Fatalf("at first: %+v", d)
		}
	}
	r.process.kill()
	if d := ask(closed, allowed); !d.Failed || d.Allow {
		t.Errorf("closed: %+v", d)
	}
	if d := ask(known, allowed); !d.Allow || d.Failed {
		t.Errorf("last known: %+v", d)
	}
	if d := ask(known, refused); d.Allow || d.Failed {
		t.Errorf("last known refusal: %+v", d)
	}
	if d := ask(known, mitigation("client1", "192.0.2.1/32")); !d.Failed {
		t.Errorf("never asked before: %+v", d)
	}
	if !r.start() {
		t.Fatal("the port was taken meanwhile")
	}
	if d := ask(closed, allowed); !d.Allow {
		t.Errorf("back: %+v", d)
	}
}

// consulting is a gateway whose domain consults this server.
func (r *radius) consulting() setup {
	return setup{domain: "    consult: true\n", more: fmt.Sprintf(
		"aaa: {radius: {servers: [\"127.0.0.1:%d\"], secret_file: %q, timeout: 200ms, tries: 2}}\n",
		r.port, r.write("secret", radiusSecret+"\n"),
	)}
}

// unasked checks that a prefix is not asked for upstream.
func (c *client) unasked(prefix string) {
	c.r.t.Helper()
	list, _ := c.r.journal.mitigations()
	if slices.ContainsFunc(list, isPut(prefix)) {
		c.r.t.Errorf("upstream was asked for %s: %+v", prefix, list)
	}
}

// A gateway whose domain consults FreeRADIUS: what that accepts goes upstream, what it refuses is 4.01 and goes nowhere.
func TestInteropRADIUSGateway(t *testing.T) {
	eachClient(t, startRADIUS(t, "").consulting(), func(t *testing.T, c *client) {
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT that is accepted", "2.01")
		c.r.upstream("the mitigation", isPut("192.0.2.1/32"))
		c.put(2, asking(t, "198.51.100.66/32")).expect(t, "PUT that is refused", "4.01")
		c.unasked("198.51.100.66/32")
		if c.r.gateway.waitFor("this target is not mitigated") == "" {
			t.Error("the gateway does not say why")
		}
	})
}

// While FreeRADIUS is silent, what is new is 5.03 and goes nowhere.
func TestInteropRADIUSGatewaySilence(t *testing.T) {
	server := startRADIUS(t, "")
	server.process.kill()
	eachClient(t, server.consulting(), func(t *testing.T, c *client) {
		c.put(1, asking(t, "192.0.2.1/32")).expect(t, "PUT while the server is silent", "5.03")
		c.unasked("192.0.2.1/32")
	})
}
