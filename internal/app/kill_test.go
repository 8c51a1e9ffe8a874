package app

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// Environment of the kill test.
const (
	killChildEnv  = "DOTSGATE_KILL_CHILD"  // set in the gateway's process: its configuration
	killRoundsEnv = "DOTSGATE_KILL_ROUNDS" // how often the gateway is killed
	killRounds    = 5                      // unless the environment says otherwise
)

// TestKill kills the gateway's process under load, again and again, and checks after each start what it had promised:
//
//   - a mitigation whose request was answered is there, unless it was withdrawn;
//   - a mitigation whose withdrawal was answered is not there;
//   - upstream no mid stands for two different requests, and none comes back after its withdrawal;
//   - in the end the server upstream holds what the clients want, and nothing else.
//
// RFC 9132, Section 4.4.1: a mid is never used again for another request.
func TestKill(t *testing.T) {
	rounds := killRounds
	if text := os.Getenv(killRoundsEnv); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("%s=%q is no number of rounds", killRoundsEnv, text)
		}
	}
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	l := newLedger(pki, t)
	for round := range rounds {
		if round%4 == 3 { // a start must survive its own death, too
			g := startChild(t, file)
			<-time.After(time.Duration(rand.IntN(30)) * time.Millisecond)
			g.kill()
		}
		g := startChild(t, file)
		l.connect(t, g.addrs)
		l.check(t, round)
		l.loadFor(t, time.Duration(20+rand.IntN(130))*time.Millisecond, g.kill)
		up.hangUp() // the dead process does not say goodbye
		audit(t, up)
		if t.Failed() {
			t.Fatalf("failed in round %d; the gateway said:\n%s", round, g.log.String())
		}
	}
	g := startChild(t, file)
	defer g.kill()
	l.connect(t, g.addrs)
	defer l.disconnect()
	l.check(t, rounds)
	want := l.prefixes()
	up.await(t, "what the clients want", func() bool { return slices.Equal(want, up.prefixes()) })
	audit(t, up)
	t.Logf("%d rounds: %s", rounds, l)
}

// audit fails where the upstream server saw what must not be.
func audit(t *testing.T, up *upstreamServer) {
	t.Helper()
	for _, f := range faults(up.seen()) {
		t.Error(f)
	}
}

// faults looks for mids that stood for two requests, or came back after their withdrawal.
func faults(log []seen) (all []string) {
	type name struct {
		cuid string
		mid  uint32
	}
	first, gone := map[name]seen{}, map[name]bool{}
	for _, s := range log {
		n := name{s.cuid, s.mid}
		switch {
		case s.removes():
			gone[n] = true
		case !s.asks():
		case gone[n]:
			all = append(all, fmt.Sprintf("upstream mid %d came back after its withdrawal", s.mid))
		default:
			f, ok := first[n]
			if !ok {
				first[n] = s
			} else if !f.target.Equal(s.target) {
				all = append(all, fmt.Sprintf("upstream mid %d stood for %v and for %v", s.mid, f.target.Prefixes, s.target.Prefixes))
			}
		}
	}
	return all
}

// TestFaults holds that the audit sees what it looks for.
func TestFaults(t *testing.T) {
	ask := func(cuid string, mid uint32, prefix string) seen {
		return seen{op: wire.PutMitigation, cuid: cuid, mid: mid, target: put(mid, 1, prefix).Mitigation.Target}
	}
	end := func(cuid string, mid uint32) seen { return seen{op: wire.DeleteMitigation, cuid: cuid, mid: mid} }
	const a, b = "192.0.2.1/32", "192.0.2.2/32"
	for name, tt := range map[string]struct {
		log  []seen
		want int
	}{
		"a refresh":           {[]seen{ask("x", 1, a), ask("x", 1, a)}, 0},
		"two cuids":           {[]seen{ask("x", 1, a), ask("y", 1, b), end("y", 1), ask("x", 1, a)}, 0},
		"an end twice":        {[]seen{ask("x", 1, a), end("x", 1), end("x", 1)}, 0},
		"a GET after the end": {[]seen{end("x", 1), {op: wire.GetMitigations, cuid: "x", mid: 1}}, 0},
		"two requests":        {[]seen{ask("x", 1, a), ask("x", 2, b), ask("x", 1, b)}, 1},
		"a return":            {[]seen{ask("x", 1, a), end("x", 1), ask("x", 1, a)}, 1},
	} {
		if got := faults(tt.log); len(got) != tt.want {
			t.Errorf("%s: faults %v, want %d", name, got, tt.want)
		}
	}
}

// child is a gateway in a process of its own.
type child struct {
	addrs []net.Addr
	log   *logBuffer
	kill  func() // kill -9, and waits until the process is gone
}

// startChild starts this test's own program as a gateway and waits until it listens.
func startChild(t *testing.T, file string) *child {
	t.Helper()
	g := &child{log: &logBuffer{}}
	cmd := exec.Command(os.Args[0], "-test.run=^$") // our own program
	cmd.Env = append(os.Environ(), killChildEnv+"="+file)
	cmd.Stderr = g.log
	// The child ends when its standard input does, so it does not outlive a parent that was killed itself.
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it is gone already where this fails
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // "signal: killed"
		_ = in.Close()
	})
	t.Cleanup(g.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the gateway did not start: %v\n%s", err, g.log.String())
	}
	for word := range strings.FieldsSeq(line) {
		network, address, _ := strings.Cut(word, "=")
		if network == "udp" {
			a, err := net.ResolveUDPAddr(network, address)
			if err != nil {
				t.Fatal(err)
			}
			g.addrs = append(g.addrs, a)
			continue
		}
		a, err := net.ResolveTCPAddr(network, address)
		if err != nil {
			t.Fatal(err)
		}
		g.addrs = append(g.addrs, a)
	}
	return g
}

// killChild is the gateway's process: it says where it listens and runs until it is killed or its parent is gone.
func killChild(file string) int {
	cfg, err := config.Load(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	a, err := Build(ctx, cfg, log, "kill")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var line bytes.Buffer
	for _, addr := range a.Addrs() {
		fmt.Fprintf(&line, "%s=%s ", networkOf(addr), addr)
	}
	fmt.Println(line.String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it or is gone
		cancel()
	}()
	if err := a.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
