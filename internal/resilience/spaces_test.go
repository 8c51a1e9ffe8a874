package resilience

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spaces are network namespaces around a router, so that what is done to a path is done to nobody else: "client", "gateway",
// "server" and "flood" have one interface each, eth0, whose other end is the router's. All is gone at the test's end.
type spaces struct {
	t      *testing.T
	prefix string
}

// The namespaces. The router forwards between the others, and is where paths are made worse.
const (
	atClient  = "client"
	atGateway = "gateway"
	atServer  = "server"
	atFlood   = "flood"
	router    = "router"
)

// pathMTU is what the router lets pass: the least that IPv6 has, and what a DOTS agent assumes (RFC 9132, Section 7.3).
const pathMTU = 1280

// leaves are the namespaces around the router, in the order of their numbers.
func leaves() []string { return []string{atClient, atGateway, atServer, atFlood} }

// address is the one of a namespace's interface.
func address(leaf string) string { return fmt.Sprintf("fd00:d075:%x::2", number(leaf)) }

func number(leaf string) int {
	for i, l := range leaves() {
		if l == leaf {
			return i + 1
		}
	}
	panic("no such namespace: " + leaf)
}

// newSpaces makes the namespaces. Where that cannot be, it says why, aloud, and skips the test.
func newSpaces(t *testing.T) *spaces {
	t.Helper()
	if why := cannotSeparate(); why != "" {
		say("LEFT OUT: %s", why)
		t.Skip(why)
	}
	sweep()
	var random [3]byte
	_, _ = rand.Read(random[:]) // it never fails
	s := &spaces{t: t, prefix: fmt.Sprintf("%s%d-%s-", spacePrefix, os.Getpid(), hex.EncodeToString(random[:]))}
	t.Cleanup(s.remove)
	for _, name := range append(leaves(), router) {
		s.ip("netns", "add", s.prefix+name)
		s.ip("-n", s.prefix+name, "link", "set", "lo", "up")
		s.write(name, "net/ipv6/conf/all/forwarding", map[bool]string{true: "1", false: "0"}[name == router])
		s.write(name, "net/ipv6/conf/default/accept_dad", "0")
	}
	for _, leaf := range leaves() {
		s.join(leaf)
	}
	s.meter()
	s.metered()
	return s
}

// spacePrefix begins the names of all our namespaces; the process follows.
const spacePrefix = "dotsgate-"

// cannotSeparate says why there can be no namespaces here, "" where there can.
func cannotSeparate() string {
	if os.Geteuid() != 0 {
		return "only root may make network namespaces"
	}
	for program, pkg := range map[string]string{"ip": "iproute2", "tc": "iproute2", "nft": "nftables"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Sprintf("%s is missing: on Debian, 'apt-get install %s' brings it", program, pkg)
		}
	}
	name := spacePrefix + strconv.Itoa(os.Getpid()) + "-probe"
	defer func() { _ = exec.Command("ip", "netns", "del", name).Run() }() // what is left, sweep takes
	for _, p := range probes(name) {
		cmd := exec.Command("ip", p.args...)
		cmd.Stdin = strings.NewReader(p.input)
		if out, err := cmd.CombinedOutput(); err != nil {
			return p.cannot + ": " + strings.TrimSpace(string(out))
		}
	}
	return ""
}

// probe is a command of ip that fails where what the namespaces need is not allowed, or not in the kernel.
type probe struct {
	cannot string
	args   []string
	input  string
}

// probes try it in a namespace of their own.
func probes(name string) []probe {
	inside := func(args ...string) []string { return append([]string{"netns", "exec", name}, args...) }
	return []probe{
		{"no network namespace can be made here", []string{"netns", "add", name}, ""},
		{"no pair of interfaces can be made here", []string{"-n", name, "link", "add", "near", "type", "veth", "peer", "name", "far"}, ""},
		{"what a namespace forwards cannot be set here", inside("tee", "/proc/sys/net/ipv6/conf/all/forwarding"), "1"},
		{"no rate can be limited here", inside(strings.Fields("tc qdisc add dev near root tbf rate 1mbit burst 10kb limit 100kb")...), ""},
		{"no packets can be dropped here", inside("nft", "-f", "-"), badTable("numgen random mod 100 < 50")},
	}
}

// sweep removes the namespaces of processes of ours that were killed.
func sweep() {
	entries, _ := os.ReadDir("/run/netns") // none is none
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), spacePrefix)
		pid, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.Atoi(pid); !ours || err != nil || syscall.Kill(n, 0) == nil {
			continue
		}
		_ = exec.Command("ip", "netns", "del", e.Name()).Run()
	}
}

// remove deletes the namespaces; the kernel takes the interfaces with them, once nothing runs in them.
func (s *spaces) remove() {
	for _, name := range append(leaves(), router) {
		_ = exec.Command("ip", "netns", "del", s.prefix+name).Run() // it may never have been made
	}
}

// join ties a namespace to the router. What is given to the system in one piece, to be cut on its way out, is cut before it gets to the
// router, as any line would have it: an interface of this kind would hand it over whole. Neighbours are known for good: that their discovery is lost in a flood is not what is measured.
func (s *spaces) join(leaf string) {
	n := number(leaf)
	near, far := fmt.Sprintf("02:00:00:00:%02x:02", n), fmt.Sprintf("02:00:00:00:%02x:01", n)
	gateway := fmt.Sprintf("fd00:d075:%x::1", n)
	in, at := s.prefix+leaf, s.prefix+router
	s.ip("-n", in, "link", "add", "eth0", "address", near, "type", "veth", "peer", "name", leaf, "address", far, "netns", at)
	s.ip("-n", in, "addr", "add", address(leaf)+"/64", "dev", "eth0", "nodad")
	s.ip("-n", in, "link", "set", "eth0", "gso_max_segs", "1")
	s.ip("-n", at, "addr", "add", gateway+"/64", "dev", leaf, "nodad")
	s.ip("-n", in, "link", "set", "eth0", "up")
	s.ip("-n", at, "link", "set", leaf, "up")
	s.ip("-n", in, "neigh", "add", gateway, "lladdr", far, "dev", "eth0", "nud", "permanent")
	s.ip("-n", at, "neigh", "add", address(leaf), "lladdr", near, "dev", leaf, "nud", "permanent")
	s.ip("-n", in, "route", "add", "default", "via", gateway)
}

func (s *spaces) ip(args ...string) {
	s.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		s.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// in is a command that runs in a namespace.
func (s *spaces) in(name, program string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", s.prefix + name, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// do runs a command in a namespace to its end, and returns what it said.
func (s *spaces) do(name, input, program string, args ...string) string {
	s.t.Helper()
	cmd := s.in(name, program, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("in %s: %s %s: %v: %s", name, program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// write sets a switch of the kernel in a namespace.
func (s *spaces) write(name, path, value string) {
	s.t.Helper()
	s.do(name, value, "tee", filepath.Join("/proc/sys", path))
}

// drop loses a share of the UDP datagrams that the router forwards, in percent, drawn for each.
func (s *spaces) drop(percent int) {
	s.t.Helper()
	chance := ""
	if percent < 100 {
		chance = fmt.Sprintf("numgen random mod 100 < %d", percent)
	}
	s.do(router, badTable(chance), "nft", "-f", "-")
}

// badTable drops the UDP datagrams that are forwarded and this matches, too.
func badTable(match string) string {
	return fmt.Sprintf(`table inet bad {
	chain forward {
		type filter hook forward priority 0
		meta l4proto udp %s counter drop
	}
}
`, match)
}

// mend ends what drop began.
func (s *spaces) mend() {
	s.t.Helper()
	s.do(router, "", "nft", "delete", "table", "inet", "bad")
}

// dial connects from inside a namespace, for an HTTP client.
func (s *spaces) dial(name string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(_ context.Context, network, addr string) (c net.Conn, err error) {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			return nil, err
		}
		defer home.Close()
		defer func() {
			// The thread is to go on: children that it has started are killed when it ends. See Pdeathsig.
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				panic(fmt.Sprintf("leaving %s: %v", name, back))
			}
			runtime.UnlockOSThread()
		}()
		there, err := os.Open("/run/netns/" + s.prefix + name)
		if err != nil {
			return nil, err
		}
		defer there.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			return nil, fmt.Errorf("entering %s: %w", name, err)
		}
		return net.DialTimeout(network, addr, 5*time.Second)
	}
}

// meter makes the router count, and lose, UDP packets over the path MTU and fragments, by where they come from: as one does that may
// not cut, and says nothing.
func (s *spaces) meter() {
	s.t.Helper()
	var counters, rules strings.Builder
	for _, leaf := range leaves() {
		fmt.Fprintf(&counters, "\tcounter %s {}\n", leaf)
		fmt.Fprintf(&rules, "\t\tiifname %q meta l4proto udp meta length > %d counter name %s drop\n", leaf, pathMTU, leaf)
		fmt.Fprintf(&rules, "\t\tiifname %q exthdr frag exists counter name %s drop\n", leaf, leaf)
	}
	s.do(router, fmt.Sprintf(`table inet sizes {
%s	counter towards {}
	chain passing {
		type filter hook prerouting priority -200
%s	}
	chain forwarded {
		type filter hook forward priority 10
		iifname %q oifname %q meta l4proto udp counter name towards
	}
}
`, &counters, &rules, atGateway, atClient), "nft", "-f", "-")
}

// oversized is how many came from a namespace.
func (s *spaces) oversized(leaf string) int { return s.packets(router, "sizes", leaf) }

// packets reads a counter of a table.
func (s *spaces) packets(in, table, counter string) (n int) {
	s.t.Helper()
	_, rest, _ := strings.Cut(s.do(in, "", "nft", "list", "counter", "inet", table, counter), "packets ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		s.t.Fatalf("the counter %s in %s: %v in %q", counter, in, err, rest)
	}
	return n
}

// metered shows that the meter counts what is a byte too long, and what was cut, and nothing else.
func (s *spaces) metered() {
	s.t.Helper()
	c, err := s.dial(atFlood)(context.Background(), "udp", net.JoinHostPort(address(atServer), "9"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	const longest = pathMTU - 40 - 8 // behind the headers
	write := func(sizes ...int) {
		for _, size := range sizes {
			_, err := c.Write(make([]byte, size))
			if errors.Is(err, syscall.ECONNREFUSED) { // by the one before: nobody listens there
				_, err = c.Write(make([]byte, size))
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
	}
	counted := func(enough func(n int) bool) bool {
		for range 10 {
			if enough(s.oversized(atFlood)) {
				return true
			}
			time.Sleep(20 * time.Millisecond)
		}
		return false
	}
	before := 0
	for range 50 { // the path may take its time to come up
		write(longest + 1)
		if counted(func(n int) bool { return n > 0 }) {
			before = s.oversized(atFlood)
			break
		}
	}
	write(100, longest, longest+1, 2000) // the last one leaves in two pieces
	if before == 0 || !counted(func(n int) bool { return n == before+3 }) {
		s.t.Fatalf("three packets over the path MTU were counted as %d", s.oversized(atFlood)-before)
	}
}
