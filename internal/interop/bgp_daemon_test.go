//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The two speakers and their addresses: ours is told what to announce, and the other must hear of it.
const (
	speakerAddress, speakerAS   = "127.0.0.2", 64500
	listenerAddress, listenerAS = "127.0.0.3", 64501
)

// bgpPatience is how long a route or a session is waited for: gobgpd 3 alone takes up to 20 s to call a neighbour again.
const bgpPatience = 3 * patience

// gobgp is a generation of gobgpd with its command line client.
type gobgp struct {
	daemon, client string
	api            string // as bgp.Config.API
}

// generations finds the daemons; a test that misses one is skipped by need.
func generations() []gobgp {
	list := []gobgp{{daemon: "gobgpd", client: "gobgp", api: "v3"}}
	found, _ := filepath.Glob("../../.bin/gobgpd-v4*") // the pattern is good
	four := gobgp{daemon: "../../.bin/gobgpd-v4", client: "../../.bin/gobgp-v4", api: "v4"}
	for _, daemon := range found {
		four.daemon, four.client = daemon, filepath.Join(filepath.Dir(daemon), strings.Replace(filepath.Base(daemon), "gobgpd", "gobgp", 1))
	}
	return append(list, four)
}

func (g gobgp) need(t *testing.T) {
	t.Helper()
	for _, program := range []string{g.daemon, g.client} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (make interop brings it)", program)
		}
	}
	said, err := exec.Command(g.daemon, "--version").CombinedOutput()
	if err != nil || g.api == "v3" && !strings.Contains(string(said), "version 3.") {
		t.Skipf("%s is not of generation %s: %s", g.daemon, g.api, said)
	}
}

// pair are two gobgpd, each the other's neighbour, on addresses of this host.
type pair struct {
	t                 *testing.T
	gobgp             gobgp
	dir               string
	port              int
	speaker, listener *process
}

// newPair starts both and waits until they have a session. Nobody keeps a port free: when another was faster, the next is tried.
func newPair(t *testing.T, g gobgp) *pair {
	t.Helper()
	g.need(t)
	// not t.TempDir: the path of a socket is short
	dir, err := os.MkdirTemp("", "bgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &pair{t: t, gobgp: g, dir: dir}
	for range 5 {
		p.port = freePort(t)
		p.configure("listener", listenerAddress, listenerAS, speakerAddress, speakerAS)
		p.configure("speaker", speakerAddress, speakerAS, listenerAddress, listenerAS)
		p.listener = p.start("listener")
		p.speaker = p.start("speaker")
		if p.established() {
			return p
		}
		p.listener.kill()
		p.speaker.kill()
	}
	t.Fatalf("no session between two gobgpd:\n%s\n%s", p.speaker.text(), p.listener.text())
	return nil
}

// configure writes a daemon's configuration. The speaker calls, so that it does so at once after a restart.
func (p *pair) configure(name, self string, as int, other string, otherAS int) {
	p.t.Helper()
	text := fmt.Sprintf(`[global.config]
  as = %d
  router-id = "%s"
  port = %d
  local-address-list = ["%[2]s"]
[[neighbors]]
  [neighbors.config]
    neighbor-address = "%[4]s"
    peer-as = %[5]d
  [neighbors.transport.config]
    local-address = "%[2]s"
    remote-port = %[3]d
    passive-mode = %[6]v
  [neighbors.timers.config]
    connect-retry = 1
    hold-time = 9
    keepalive-interval = 3
    idle-hold-time-after-reset = 1
`, as, self, p.port, other, otherAS, name == "listener")
	for _, f := range []string{"ipv4-unicast", "ipv6-unicast", "ipv4-flowspec", "ipv6-flowspec"} {
		text += fmt.Sprintf("  [[neighbors.afi-safis]]\n    [neighbors.afi-safis.config]\n      afi-safi-name = %q\n", f)
	}
	if err := os.WriteFile(filepath.Join(p.dir, name+".toml"), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) start(name string) *process {
	p.t.Helper()
	_ = os.Remove(filepath.Join(p.dir, name)) // a daemon that was killed leaves its socket
	return spawn(p.t, p.gobgp.daemon, "-f", filepath.Join(p.dir, name+".toml"), "--api-hosts", p.socket(name), "--pprof-disable", "--log-plain")
}

func (p *pair) socket(name string) string { return "unix://" + filepath.Join(p.dir, name) }

// established waits for the session; false when a daemon ended.
func (p *pair) established() bool {
	p.t.Helper()
	return p.poll(func() bool { return strings.Contains(p.ask("speaker", "neighbor"), "Establ") })
}

// restart kills the speaker and starts it anew: it comes back with an empty table.
func (p *pair) restart() {
	p.t.Helper()
	p.speaker.kill()
	p.speaker = p.start("speaker")
	if !p.established() {
		p.t.Fatalf("the speaker does not come back:\n%s", p.speaker.text())
	}
}

// ask runs the command line client; what it says is empty when it fails.
func (p *pair) ask(name string, args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	said, err := exec.CommandContext(ctx, p.gobgp.client, append([]string{"--target", p.socket(name)}, args...)...).Output()
	if err != nil {
		return ""
	}
	return string(said)
}

// poll asks again and again until the answer is yes; false when a daemon has ended, or after a long time. The client has no
// way to wait for a route.
func (p *pair) poll(yes func() bool) bool {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	enough := time.After(bgpPatience)
	for !yes() {
		select {
		case <-again.C:
		case <-p.speaker.over:
			return false
		case <-p.listener.over:
			return false
		case <-enough:
			return false
		}
	}
	return true
}

// table is a daemon's table of a family, a line a route.
func (p *pair) table(name, family string) []string {
	var list []string
	for line := range strings.Lines(p.ask(name, "global", "rib", "-a", family)) {
		if strings.HasPrefix(line, "*") {
			list = append(list, line)
		}
	}
	return list
}

// hears waits until the listener's table of a family has exactly these routes, each with all its words.
func (p *pair) hears(family string, routes ...[]string) {
	p.t.Helper()
	var got []string
	ok := p.poll(func() bool {
		got = p.table("listener", family)
		if len(got) != len(routes) {
			return false
		}
		for _, words := range routes {
			if !anyLine(got, words) {
				return false
			}
		}
		return true
	})
	if !ok {
		p.t.Fatalf("the peer's table of %s is %q, want %q; the speaker has %q", family, got, routes, p.table("speaker", family))
	}
}

func anyLine(lines, words []string) bool {
	for _, line := range lines {
		if containsAll(line, words) {
			return true
		}
	}
	return false
}
