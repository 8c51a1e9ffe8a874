// Package resilience attacks the whole gateway and looks at what becomes of those who use it meanwhile: a process of its
// own, established sessions that are measured, fresh handshakes, and a flood beside them. Everything stays on the loopback
// interface, or in network namespaces of its own, and is bounded in count and time. It holds no code outside test files; `make resilience` runs it.
//
// Beside the attacks there is bad weather: clients, the whole gateway and a server in one process and in virtual time, joined by paths that
// lose, die and come back (world_test.go). These rows need no process and no network; each has a smaller one that `make test` plays.
//
// What must hold is asserted: no session lost, no wrong answer, no state that grows. Times are printed only: a test machine
// has other things to do.
package resilience

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The environment that drives a run.
const (
	envRun     = "DOTSGATE_RESILIENCE"          // set: attack; else nothing is done
	envOnly    = "DOTSGATE_RESILIENCE_ONLY"     // a pattern: only the rows whose name matches
	envProgram = "DOTSGATE_RESILIENCE_PROGRAM"  // the gateway to attack; default build/dotsgate
	envPrefix  = "DOTSGATE_RESILIENCE_"         // and the name of a count, see counts
	envCrowd   = "DOTSGATE_RESILIENCE_CROWD"    // set by a row for a child of its own, see TestCrowd
	envHalf    = "DOTSGATE_RESILIENCE_TOLERATE" // set: print what does not hold, and do not fail for it (an older gateway)
)

// counts are how much a row does. Each may be set in the environment, in capital letters after envPrefix.
var counts = struct{ sessions, hellos, rate, seconds, sources, streams, records, idle, upgraded, runs, armed, saturated, sends, behind, handshakes count }{
	sessions:   count{"SESSIONS", 1000},   // established sessions beside each attack
	hellos:     count{"HELLOS", 1000000},  // spoofed hellos of the flood at full speed
	rate:       count{"RATE", 50000},      // spoofed hellos a second of the steady flood
	seconds:    count{"SECONDS", 60},      // how long the steady flood lasts
	sources:    count{"SOURCES", 2000},    // real sources that make handshakes
	streams:    count{"STREAMS", 8000},    // TCP connections of each kind
	records:    count{"RECORDS", 1000000}, // bad records
	idle:       count{"IDLE", 10000},      // idle sessions
	upgraded:   count{"UPGRADED", 2000},   // sessions over an upgrade
	behind:     count{"BEHIND", 20},       // clients behind a saturated line
	saturated:  count{"SATURATED", 60},    // how long each flood of a saturated line lasts, in seconds
	runs:       count{"RUNS", 60000},      // requests over links that lose, in virtual time
	handshakes: count{"HANDSHAKES", 400},  // over a path that loses, of each kind
	sends:      count{"SENDS", 20000},     // requests over one link that loses, in virtual time
	armed:      count{"ARMED", 1000},      // clients with a mitigation that waits for their loss
}

// count is a number with a name in the environment.
type count struct {
	name  string
	value int
}

func (c count) get(t *testing.T) int {
	t.Helper()
	text := os.Getenv(envPrefix + c.name)
	if text == "" {
		return c.value
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s%s=%q: use a number", envPrefix, c.name, text)
	}
	return n
}

// TestResilience plays the attacks one after the other, each on a gateway of its own.
func TestResilience(t *testing.T) {
	if os.Getenv(envRun) == "" {
		t.Skip("attacks only for make resilience")
	}
	only, err := regexp.Compile(os.Getenv(envOnly))
	if err != nil {
		t.Fatal(err)
	}
	raiseFiles(t)
	for _, row := range []struct {
		name string
		play func(t *testing.T)
	}{
		{"spoofed hellos, as fast as they go", spoofedAtFullSpeed},
		{"spoofed hellos, steadily", spoofedSteadily},
		{"handshakes of real sources", handshakesAtOnce},
		{"connections that say nothing", silentStreams},
		{"bad records", badRecords},
		{"idle sessions", idleSessions},
		{"upgrade under sessions", upgrades},
		{"half of all datagrams dropped", droppedAtRandom},
		{"UDP blocked to the uplink", udpBlocked},
		{"saturated path, flood of 5 times its rate", saturatedPath(5)},
		{"saturated path, flood of 20 times its rate", saturatedPath(20)},
		{"one hop that loses", deliveryRow},
		{"fresh handshakes over a path that loses", freshHandshakes},
		{"UDP to the uplink blocked", blockedUDP},
		{"two hops that lose", hopRow},
		{"answers lost for half an hour", outageRow},
		{"parted and met again", reunionRow},
		{"an uplink that flaps", flapRow},
		{"restart with armed clients", armedRow},
		{"wall clock set", clockRow},
		{"hours of bad weather", weatherRow},
		{"an uplink never heard", unheardRow},
	} {
		if !only.MatchString(row.name) {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			begin := time.Now()
			row.play(t)
			fmt.Printf("    (%.0f s)\n", time.Since(begin).Seconds())
		})
	}
}

// say prints a line of a row's figures.
func say(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

// must prints and asserts a figure.
func must(t *testing.T, ok bool, format string, args ...any) {
	t.Helper()
	text := fmt.Sprintf(format, args...)
	switch {
	case ok:
		say("%s", text)
	case os.Getenv(envHalf) != "":
		say("%s  <-- does not hold", text)
	default:
		say("%s  <-- does not hold", text)
		t.Errorf("does not hold: %s", text)
	}
}

// raiseFiles lets this process, and the gateway that it starts, have as many sockets as the system allows.
func raiseFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(2*counts.streams.get(t) + 500); limit.Cur < need {
		t.Logf("only %d files may be open: %d are wanted for all rows", limit.Cur, need)
	}
}
