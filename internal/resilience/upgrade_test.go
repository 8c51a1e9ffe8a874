package resilience

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What an upgrade may cost those who use the gateway meanwhile.
const (
	upgradeAnswer = 2 * time.Second // the latest answer
	upgradeBeat   = 4 * time.Second // between two heartbeats of a client
)

// upgrades hands the gateway over to another process twice, under sessions that ask all the while.
func upgrades(t *testing.T) {
	manager := newManager(t)
	g := startGateway(t, "NOTIFY_SOCKET="+manager.path)
	manager.hear(t) // that it serves
	clients := newFleet(t, g.address, g.keys)
	n := counts.upgraded.get(t)
	all := clients.establish(1, n, 64)
	beats := beating(all, upgradeBeat)
	time.Sleep(upgradeBeat)
	clients.forget()
	for range 2 {
		begin := time.Now()
		out, err := exec.Command(program(t), "upgrade", "-c", filepath.Join(g.dir, "dotsgate.yaml")).CombinedOutput()
		took := time.Since(begin)
		if err != nil {
			t.Fatalf("upgrading: %v: %s; the gateway said: %s", err, out, g.said())
		}
		words := manager.hear(t)
		main := regexp.MustCompile(`MAINPID=(\d+)\nREADY=1`).FindStringSubmatch(words)
		if main == nil {
			t.Fatalf("the service manager was told %q", words)
		}
		pid, _ := strconv.Atoi(main[1]) // digits
		t.Cleanup(func() { endProcess(t, pid) })
		time.Sleep(upgradeBeat)
		times := clients.forget()
		say("handed over to process %d in %.2f s: %s", pid, took.Seconds(), quantiles(times))
		must(t, len(times) > 0 && times[len(times)-1] <= upgradeAnswer, "%d heartbeats answered, all within %v", len(times), upgradeAnswer)
	}
	<-g.ended
	must(t, g.exit == nil, "the first process ended with %v", g.exit)
	asked := beats.end()
	lost := survivors(all)
	f := g.figures()
	must(t, lost == 0 && clients.alerts.Load() == 0, "%d of %d sessions lost, %d alerts; %d heartbeats", lost, n, clients.alerts.Load(), asked)
	handshakes, counted := f.metrics[`dotsgate_handshakes_total{side="downstream"}`]
	sessions := int(f.metrics[`dotsgate_sessions{side="downstream",transport="dtls"}`])
	must(t, counted && handshakes == 0 && sessions == n, "the last process has %d sessions, by %.0f handshakes", sessions, handshakes)
}

// manager is a service manager that gateways tell that they serve.
type manager struct {
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "manager") // a folder of the test may have a name too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = os.RemoveAll(dir) // what is left is in the system's folder for such things
	})
	return &manager{path, conn}
}

// hear is what a gateway says next.
func (m *manager) hear(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 200)
	_ = m.conn.SetReadDeadline(time.Now().Add(30 * time.Second)) // the read tells
	n, err := m.conn.Read(buf)
	if err != nil {
		t.Fatalf("the service manager hears nothing: %v", err)
	}
	return string(buf[:n])
}

// endProcess ends a gateway that is no child of ours, in order.
func endProcess(t *testing.T, pid int) {
	t.Helper()
	_ = syscall.Kill(pid, syscall.SIGTERM) // it may have gone
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") { // it has gone, and perhaps nobody has noticed
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("process %d does not end", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // it is ours, by way of another
			return
		}
	}
}
