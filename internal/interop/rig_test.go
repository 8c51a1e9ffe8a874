//go:build interop

package interop

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/lab"
)

// program is the gateway under test, as `make build` leaves it.
const program = "../../build/dotsgate"

// nodeID is the gateway's name in a 5.08.
const nodeID = "gw.interop.example"

// setup says how a rig differs from the usual one.
type setup struct {
	scenario lab.Scenario
	psk      bool   // a pre-shared key for client1
	plainPSK bool   // allow the suites without Diffie-Hellman too
	domain   string // further lines of the domain
	more     string // further lines of the gateway's configuration
	// upstream starts another upstream server than the simulated one, and returns its address
	upstream func(*rig) string
	tls      bool // TLS to the upstream server
}

// rig is a running gateway between a simulated server and whoever is tested.
type rig struct {
	t       *testing.T
	dir     string
	pki     string
	gateway *process
	server  *lab.Server
	journal journal
	port    int    // of the gateway, for DTLS and for TLS
	uplink  string // address of the upstream server
}

// newRig starts the simulated server and the gateway and waits until the gateway has a session upstream.
func newRig(t *testing.T, s setup) *rig {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("the gateway is not built (make build): %v", err)
	}
	r := &rig{t: t, dir: t.TempDir()}
	r.pki = filepath.Join(r.dir, "pki")
	if err := lab.WritePKI(lab.PKIConfig{Dir: r.pki}); err != nil {
		t.Fatal(err)
	}
	if s.upstream == nil {
		s.upstream = func(r *rig) string { return r.startServer(s.scenario) }
	}
	r.uplink = s.upstream(r)
	r.startGateway(s)
	if r.gateway.waitFor("uplink session up") == "" {
		t.Fatal("the gateway ended")
	}
	return r
}

// startServer starts the simulated server in this process and returns its address.
func (r *rig) startServer(scenario lab.Scenario) string {
	r.t.Helper()
	cred, err := coap.LoadCredentials(coap.CredentialsConfig{
		CertFile: r.file("upstream.pem"), KeyFile: r.file("upstream.key"), CAFile: r.file("ca.pem"),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.server, err = lab.NewServer(lab.ServerConfig{
		Listeners: []lab.Listener{{Network: coap.NetworkUDP, Address: "127.0.0.1:0"}}, Credentials: cred,
		Scenario: scenario, Record: r.journal.add, NotifyInterval: -1,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.server.Run(ctx); err != nil {
			r.t.Errorf("the simulated server: %v", err)
		}
	})
	r.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return r.server.Addr().String()
}

// startGateway starts the gateway on a free port. Nobody keeps a port free until the gateway takes it: when another
// was faster, the next is tried.
func (r *rig) startGateway(s setup) {
	r.t.Helper()
	for range 5 {
		r.port = freePort(r.t)
		config := filepath.Join(r.dir, "dotsgate.yaml")
		if err := os.WriteFile(config, []byte(r.config(s)), 0o600); err != nil {
			r.t.Fatal(err)
		}
		r.gateway = spawn(r.t, program, "serve", "-c", config)
		if r.gateway.waitFor("gateway started") != "" {
			return
		}
		if !strings.Contains(r.gateway.text(), "address already in use") {
			break
		}
	}
	r.t.Fatalf("the gateway does not start:\n%s", r.gateway.text())
}

// config is the gateway's configuration.
func (r *rig) config(s setup) string {
	transport, secret, client := "dtls", "", "cert_names: [client1.lab.example]"
	if s.tls {
		transport = "tls"
	}
	if s.psk {
		secret = fmt.Sprintf(", psk_file: psk, allow_plain_psk: %v", s.plainPSK)
		client += fmt.Sprintf(", psk_identities: [%s]", pskIdentity)
		if err := os.WriteFile(filepath.Join(r.dir, "psk"), fmt.Appendf(nil, "%s:%x\n", pskIdentity, pskKey), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	return fmt.Sprintf(`node: {id: %s}
listeners:
  - {address: "127.0.0.1:%d", transport: dtls, profiles: [rfc9132, draft04]}
  - {address: "127.0.0.1:%[2]d", transport: tls}
credentials: {cert: pki/gateway.pem, key: pki/gateway.key, ca: pki/ca.pem%s}
uplinks:
  - {name: upstream, address: "%s", server_name: upstream.lab.example, transport: %s}
domains:
  - name: lab
    prefixes: [192.0.2.0/24, 198.51.100.0/24, "2001:db8:6401::/48"]
%s    clients:
      - {name: client1, credentials: {%s}}
store: {path: dotsgate.db}
metrics: {address: ""}
admin: {socket: admin.sock}
log: {level: info}
%s`, nodeID, r.port, secret, r.uplink, transport, s.domain, client, mitigationConfig(s.more)+s.more)
}

// mitigationConfig makes the time short in which a withdrawn mitigation is shown, unless the test says otherwise. It is
// longer than the gap between two notifications, which is 3 s, so that an observer sees the status 5.
func mitigationConfig(more string) string {
	if strings.Contains(more, "mitigation:") {
		return ""
	}
	return "mitigation: {terminating: 5s}\n"
}

// file is a file of the PKI.
func (r *rig) file(name string) string { return filepath.Join(r.pki, name) }

// freePort finds a port that is free for UDP and for TCP.
func freePort(t *testing.T) int {
	t.Helper()
	address, err := lab.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return int(netip.MustParseAddrPort(address).Port())
}

// journal holds what the simulated server was asked, heartbeats left out.
type journal struct {
	mu      sync.Mutex
	entries []lab.Entry
	grown   chan struct{}
}

func (j *journal) add(e lab.Entry) {
	if e.Op == "heartbeat" {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// mitigations returns the PUTs and DELETEs of mitigations so far, and a channel that is closed when there is more.
func (j *journal) mitigations() (list []lab.Entry, grown <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.entries {
		if e.Method != "GET" {
			list = append(list, e)
		}
	}
	if j.grown == nil {
		j.grown = make(chan struct{})
	}
	return list, j.grown
}

// upstream waits for an entry of the journal that want accepts.
func (r *rig) upstream(what string, want func(lab.Entry) bool) lab.Entry {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		list, grown := r.journal.mitigations()
		for _, e := range list {
			if want(e) {
				return e
			}
		}
		select {
		case <-grown:
		case <-deadline:
			r.t.Fatalf("upstream never saw %s; it saw %+v", what, list)
		}
	}
}

// isPut accepts a PUT of a mitigation over the one prefix, whatever its cuid and mid.
func isPut(prefix string) func(lab.Entry) bool {
	return func(e lab.Entry) bool {
		return e.Op == "put mitigation" && e.Body != nil && len(e.Body.Prefixes) == 1 && e.Body.Prefixes[0] == prefix
	}
}

// checkHidden checks that nothing of the client's names has gone upstream: the gateway has a cuid and mids of its own.
func (r *rig) checkHidden(cuid string) {
	r.t.Helper()
	list, _ := r.journal.mitigations()
	for _, e := range list {
		if strings.Contains(e.Path, cuid) || e.CUID == cuid || e.CUID == "" || e.CDID != "" || e.Identity != "gateway.lab.example" {
			r.t.Errorf("upstream saw %s of %s; want the gateway's own cuid, and not %s", e.Path, e.Identity, cuid)
		}
	}
}

// steps is a scenario: being set up, and mitigated a moment later.
func steps() lab.Scenario {
	return lab.Scenario{Steps: []lab.Step{
		{Status: dots.StatusInProgress},
		{After: 5 * time.Second, Status: dots.StatusMitigated, Rate: lab.Rate{Bytes: 1_000_000, Packets: 1000}},
	}}
}
