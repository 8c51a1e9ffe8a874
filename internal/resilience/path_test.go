package resilience

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/lab"
	"github.com/dotsgate/dotsgate/internal/testpki"
)

// badPath is clients, the gateway and the lab's server, each in a namespace of its own.
type badPath struct {
	*spaces
	dir     string
	clients *fellow
}

const (
	pathPort    = "4646"
	pathMetrics = "[::1]:9464"
	envPath     = "DOTSGATE_RESILIENCE_PATH" // set by a row for a child of its own, see TestPath
)

const pathSettings = `node: {id: resilience}
listeners:
  - {address: "[::]:4646", transport: dtls, max_sessions: 1000}
credentials: {cert: server.pem, key: server.key, ca: ca.pem}
uplinks:
  - {name: upstream, address: "[%s]:4646", server_name: localhost, transport: %s}
domains:
  - name: resilience
    prefixes: [10.0.0.0/8]
    clients: [{name: client, credentials: {cert_names: [%s]}}]
    limits: {max_mitigations: 20000, max_cuids: 20000}
store: {path: dotsgate.db}
metrics: {address: "%s"}
admin: {socket: admin.sock}
`

// newBadPath starts the server and the gateway, and so many clients, and waits until all have their sessions: the path is good by then.
func newBadPath(t *testing.T, clients int) *badPath {
	t.Helper()
	p := &badPath{spaces: newSpaces(t), dir: t.TempDir()}
	p.serve()
	p.relay("dtls")
	p.await("the uplink's session", func() bool { return p.figure(`dotsgate_uplink_up{uplink="upstream"}`) == 1 })
	p.clients = p.fellow(atClient, order{Role: "clients", Server: net.JoinHostPort(address(atGateway), pathPort), Dir: p.dir, Clients: clients})
	p.clients.hears("ready", 2*time.Minute)
	return p
}

// serve starts the lab's server, over DTLS and TLS.
func (p *badPath) serve() {
	p.t.Helper()
	p.credentials()
	at := net.JoinHostPort(address(atServer), pathPort)
	p.run(atServer, sibling(p.t, "dotslab"), "server", "--listen", at, "--listen-tls", at, "--cert", "server.pem", "--key", "server.key",
		"--ca", "ca.pem", "--journal", "journal", "--scenario", p.file("scenario.yaml", scenarioOfPath))
	log := filepath.Join(p.dir, atServer+".log")
	p.await("the lab's server", func() bool { return strings.Count(tail(log), "listening on") == 2 })
}

// relay starts the gateway, with this transport to the server.
func (p *badPath) relay(transport string) {
	p.t.Helper()
	p.run(atGateway, program(p.t), "serve", "-c", p.file("dotsgate.yaml", fmt.Sprintf(pathSettings, address(atServer), transport, clientName, pathMetrics)))
}

// scenarioOfPath is mitigated at once, and drops so much that its counters grow all the time.
const scenarioOfPath = `steps:
  - {after: 0s, status: 2, rate: {bytes: 125000000, packets: 100000}}
`

// sibling is another program beside the gateway's.
func sibling(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(program(t)), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built (make build): %v", name, err)
	}
	return path
}

func (p *badPath) file(name, text string) string {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// credentials are of the longest kind: a flight with them takes several datagrams. The server's and the gateway's are the same.
func (p *badPath) credentials() {
	root := testpki.New(p.t, "resilience")
	middle := root.Intermediate("the first of the authorities between")
	last := middle.Intermediate("the second of the authorities between")
	p.file("ca.pem", string(root.PEM()))
	names := func(first string) (all []string) {
		all = append(all, first)
		for i := range 40 {
			all = append(all, fmt.Sprintf("a-name-that-makes-the-certificate-a-long-one-%02d.resilience.example", i))
		}
		return all
	}
	for file, name := range map[string]string{"server": "localhost", "client": clientName} {
		leaf := last.Issue(testpki.Request{CommonName: name, Names: names(name)[:map[string]int{"server": 41, "client": 1}[file]], RSA: file == "server"})
		p.file(file+".pem", string(leaf.CertPEM())+string(middle.PEM()))
		p.file(file+".key", string(leaf.KeyPEM()))
	}
}

// run starts a program in a namespace, in the folder of the test, until the test's end.
func (p *badPath) run(in, program string, args ...string) *exec.Cmd {
	p.t.Helper()
	cmd := p.in(in, program, args...)
	cmd.Dir = p.dir
	log := filepath.Join(p.dir, in+".log")
	out, err := os.Create(log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", program, err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone, which is told below
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			p.t.Errorf("%s ended with %v; it said: %s", filepath.Base(program), err, tail(log))
		}
		if p.t.Failed() {
			p.t.Logf("%s said: %s", filepath.Base(program), tail(log))
		}
	})
	return cmd
}

func tail(log string) string {
	b, _ := os.ReadFile(log) // a missing file says nothing
	return string(b[max(0, len(b)-2000):])
}

// figure is a number of the gateway's; -1 where there is none yet.
func (p *badPath) figure(name string) float64 {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: p.dial(atGateway), DisableKeepAlives: true}}
	resp, err := client.Get("http://" + pathMetrics + "/metrics")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			var v float64
			if _, err := fmt.Sscan(rest, &v); err == nil {
				return v
			}
		}
	}
	return -1
}

// await waits for a condition for a minute at most.
func (p *badPath) await(what string, good func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); !good(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: not within a minute; the gateway said: %s", what, tail(filepath.Join(p.dir, atGateway+".log")))
		}
	}
}

// arrived is when the server was first asked for each prefix.
func (p *badPath) arrived() map[netip.Prefix]time.Time {
	p.t.Helper()
	f, err := os.Open(filepath.Join(p.dir, "journal"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	first := make(map[netip.Prefix]time.Time)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e lab.Entry
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Op != "put mitigation" || e.Body == nil { // the last line may not be whole yet
			continue
		}
		for _, text := range e.Body.Prefixes {
			if prefix := netip.MustParsePrefix(text); first[prefix].IsZero() {
				first[prefix] = e.Time
			}
		}
	}
	return first
}

// order is what a child is to do.
type order struct {
	Role    string // clients or flood
	Server  string
	Dir     string
	Clients int
	Rate    int // of a flood, in bytes a second of IP packets
	Size    int // of its IP packets, in bytes
}

// fellow is a child of this program in a namespace. It is told one word a line, and says one word a line, or a word and JSON.
type fellow struct {
	p    *badPath
	cmd  *exec.Cmd
	to   io.WriteCloser
	said chan string
}

// fellow starts a child; it ends with the test.
func (p *badPath) fellow(in string, o order) *fellow {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	what, err := json.Marshal(o)
	if err != nil {
		p.t.Fatal(err)
	}
	f := &fellow{p: p, cmd: p.in(in, self, "-test.run", "^TestPath$", "-test.timeout", "30m"), said: make(chan string, 16)}
	f.cmd.Env = append(os.Environ(), envPath+"="+string(what))
	log, err := os.Create(filepath.Join(p.dir, o.Role+".log"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	f.cmd.Stderr = log
	if f.to, err = f.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		p.t.Fatalf("starting a child: %v", err)
	}
	read := make(chan struct{})
	var besides []string // what the testing package says, once read is closed
	go func() {
		defer close(read)
		defer close(f.said)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 64<<20) // a tale of ten minutes is a long line
		for lines.Scan() {
			word, ok := strings.CutPrefix(lines.Text(), "@")
			if ok {
				f.said <- word
			} else if len(besides) < 20 {
				besides = append(besides, lines.Text())
			}
		}
	}()
	p.t.Cleanup(func() {
		_ = f.to.Close() // which ends it
		kill := time.AfterFunc(20*time.Second, func() { _ = f.cmd.Process.Kill() })
		defer kill.Stop()
		for range f.said { // so that its output is read
		}
		<-read
		if err := f.cmd.Wait(); err != nil {
			p.t.Errorf("the child for %s: %v: %s %s", o.Role, err, strings.Join(besides, "; "), tail(log.Name()))
		}
	})
	return f
}

// tell says a word to the child.
func (f *fellow) tell(word string) {
	f.p.t.Helper()
	if _, err := fmt.Fprintln(f.to, word); err != nil {
		f.p.t.Fatalf("telling a child %q: %v", word, err)
	}
}

// hears waits for a word of the child's, and returns what follows it.
func (f *fellow) hears(word string, within time.Duration) string {
	f.p.t.Helper()
	select {
	case said, ok := <-f.said:
		rest, is := strings.CutPrefix(said, word)
		if !ok || !is {
			f.p.t.Fatalf("a child said %q, %v, and not %q", said, ok, word)
		}
		return rest
	case <-time.After(within):
		f.p.t.Fatalf("a child did not say %q within %v; the gateway said: %s", word, within, tail(filepath.Join(f.p.dir, atGateway+".log")))
	}
	return ""
}

// TestPath is a part of a row in a namespace, in a process of its own.
func TestPath(t *testing.T) {
	var o order
	if err := json.Unmarshal([]byte(os.Getenv(envPath)), &o); err != nil {
		t.Skip("it is a part of TestResilience")
	}
	ctx, cancel := context.WithCancel(t.Context())
	words := make(chan string, 16)
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			words <- lines.Text()
		}
	}()
	switch o.Role {
	case "clients":
		playClients(ctx, t, o, words)
	case "flood":
		playFlood(ctx, t, o)
	default:
		t.Fatalf("unknown role %q", o.Role)
	}
}

// playFlood sends UDP datagrams until ctx ends, at random times, as a flood of many sources comes: what comes as a clock ticks leaves a
// clock's gaps in a queue. The rate is the mean.
func playFlood(ctx context.Context, t *testing.T, o order) {
	c, err := net.Dial("udp", o.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	payload := make([]byte, o.Size-40-8)
	mean := float64(o.Size) / float64(o.Rate) * float64(time.Second)
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	chance := rand.New(rand.NewPCG(1, uint64(o.Rate)))
	for next := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for now := time.Now(); next.Before(now); next = next.Add(time.Duration(chance.ExpFloat64() * mean)) {
			_, _ = c.Write(payload) // what the system does not take is lost, as all of a flood may be
		}
	}
}

// share is the q-th part of sorted times, 0 where there are none.
func share(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// sorted returns them in order.
func sorted(all []float64) []float64 {
	slices.Sort(all)
	return all
}
