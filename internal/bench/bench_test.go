package bench

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/dotsgate/dotsgate/wire/rfc9132"
)

// The load: sessions, the requests in flight on each, and how often each measurement is repeated.
const (
	sessions    = 64
	inFlight    = 8
	repetitions = 3
	// manySessions are those of the row of many.
	manySessions = 10000
	// shakers is how many clients shake hands at a time.
	shakers = 48
)

// seconds is the length of one repetition.
func seconds(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(envSeconds)
	if text == "" {
		return 1500 * time.Millisecond
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n <= 0 || n > 60 {
		t.Fatalf("%s=%q: use a number of seconds up to 60", envSeconds, text)
	}
	return time.Duration(n * float64(time.Second))
}

// TestBench prints what the gateway does with one core. Nothing is asserted of a time: what fails is what gives a wrong
// answer.
func TestBench(t *testing.T) {
	if os.Getenv(envRun) == "" {
		t.Skip("measures only for make bench")
	}
	only, err := regexp.Compile(os.Getenv(envOnly))
	if err != nil {
		t.Fatal(err)
	}
	leaveServerCore(t)
	fmt.Printf("%s, %d cores, one of them the server's; %d sessions x %d in flight; %d repetitions of %v; median (min-max)\n\n",
		runtime.Version(), runtime.NumCPU(), sessions, inFlight, repetitions, seconds(t))
	var rows []row
	for _, m := range measurements() {
		if !only.MatchString(m.name) {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			if rs := m.measure(t); len(rs) > 0 {
				rows = append(rows, row{m.name, rs})
			}
		})
	}
	fmt.Println()
	write(os.Stdout, rows)
	fmt.Println()
	writeRatios(os.Stdout, rows)
	if only.MatchString("memory") {
		fmt.Println()
		t.Run("memory", func(t *testing.T) { writeMemory(os.Stdout, measureMemory(t)) })
	}
}

// measurement is one row to be: measure sets it up and returns its repetitions; none: it cannot be measured here.
type measurement struct {
	name    string
	measure func(t *testing.T) []result
}

// The rows that are compared with others.
const (
	rowUDPEcho      = "UDP echo in batches"
	rowLibcoap      = "libcoap DTLS PUT"
	rowGoCoAP       = "go-coap DTLS PUT"
	rowCoAP         = "CoAP session alone DTLS PUT"
	rowCoAPMany     = "CoAP session alone DTLS PUT, 10,000 sessions"
	rowCoAPOnes     = "CoAP session alone DTLS PUT, 512 sessions, one in flight each"
	rowCoAPManyOnes = "CoAP session alone DTLS PUT, 10,000 sessions, one in flight each"
	rowGoCoAPTLS    = "go-coap TLS PUT"
	rowCoAPTLS      = "CoAP session alone TLS PUT"
	rowLibcoapRelay = "relay: libcoap's coap-server -P"
	rowGoCoAPRelay  = "relay: go-coap's server and clients"
	rowRefresh      = "gateway DTLS refresh CON unpaced"
	rowLibraryShake = "handshakes: pion's listener"
	rowShake        = "handshakes: CoAP sessions"
)

// ratios are what is wanted of the rows: one divided by another.
func ratios() []ratio {
	return []ratio{
		{rowCoAP, rowUDPEcho, 0.6},
		{rowCoAP, rowLibcoap, 2.5},
		{rowCoAP, rowGoCoAP, 5},
		{rowCoAPMany, rowCoAP, 0.5},
		{rowCoAPManyOnes, rowCoAPOnes, 0},
		{rowCoAPManyOnes, rowCoAP, 0},
		{rowCoAPTLS, rowGoCoAPTLS, 1.4},
		{rowRefresh, rowLibcoapRelay, 4},
		{rowRefresh, rowGoCoAPRelay, 4},
		{rowShake, rowLibraryShake, 1},
	}
}

// measurements are all rows. Those that are compared stand side by side, since a machine's speed changes within minutes.
func measurements() []measurement {
	return []measurement{
		{rowLibcoap, func(t *testing.T) []result { return measureLibcoap(t, coap.NetworkUDP) }},
		{rowGoCoAP, func(t *testing.T) []result { return measureGoCoAP(t, coap.NetworkUDP) }},
		{rowUDPEcho, measureUDPEcho},
		{rowCoAP, func(t *testing.T) []result { return drive(t, launchCoAP(t, coap.NetworkUDP), put) }},
		{rowCoAPMany, func(t *testing.T) []result { return measureMany(t, manySessions, inFlight) }},
		{rowCoAPOnes, func(t *testing.T) []result { return measureMany(t, sessions*inFlight, 1) }},
		{rowCoAPManyOnes, func(t *testing.T) []result { return measureMany(t, manySessions, 1) }},
		{rowGoCoAPTLS, func(t *testing.T) []result { return measureGoCoAP(t, coap.NetworkTCP) }},
		{rowCoAPTLS, func(t *testing.T) []result { return drive(t, launchCoAP(t, coap.NetworkTCP), put) }},
		{"gateway DTLS GET CON", measureGateway(coap.NetworkUDP, getOne, coap.Content)},
		{rowLibcoapRelay, measureLibcoapRelay},
		{rowGoCoAPRelay, measureGoCoAPRelay},
		{rowRefresh, measureUnpaced(coap.NetworkUDP)},
		{"gateway TLS refresh CON unpaced", measureUnpaced(coap.NetworkTCP)},
		{rowLibraryShake, func(t *testing.T) []result { return measureShakes(t, launchLibrary(t)) }},
		{rowShake, func(t *testing.T) []result { return measureShakes(t, launchCoAP(t, coap.NetworkUDP)) }},
	}
}

// drive makes sessions to a server that answers 2.04, and measures.
func drive(t *testing.T, to server, ask asker) []result {
	t.Helper()
	if to.network == coap.NetworkTCP {
		return dialMany(t, to, sessions).drive(ask, coap.Changed)
	}
	c := newCrowd(t, to)
	c.dial(sessions)
	return c.drive(inFlight, ask, coap.Changed)
}

func measureLibcoap(t *testing.T, network string) []result {
	t.Helper()
	s, ok := launchLibcoap(t, network)
	if !ok {
		t.Skip("coap-server-openssl is not installed (libcoap3-bin)")
	}
	c := newCrowd(t, s)
	c.dial(sessions)
	c.once(0, 1, put, coap.Created)
	return c.drive(inFlight, put, coap.Changed)
}

// measureMany drives our CoAP session with as many requests in flight as the other rows, so many of a session at a time, whose sessions take turns after each
// round of these.
func measureMany(t *testing.T, n, slots int) []result {
	t.Helper()
	c := newCrowd(t, launchCoAP(t, coap.NetworkUDP))
	c.dial(n)
	c.once(0, 1, put, coap.Changed) // from the first request on, a session's records are ours
	return c.drive(slots, put, coap.Changed)
}

// measureShakes drives a server with full handshakes that authenticate both sides; each session ends at once.
func measureShakes(t *testing.T, to server) []result {
	t.Helper()
	return newCrowd(t, to).shakeAgain(shakers)
}

// measureUnpaced drives the gateway with refreshes, without the pacing of uplinks, which would be what is measured.
func measureUnpaced(network string) func(t *testing.T) []result {
	return func(t *testing.T) []result {
		t.Helper()
		t.Setenv("DOTSGATE_LAB_IN_FLIGHT", strconv.Itoa(sessions*inFlight)) // all that the load has: the relays have no limit either
		return measureGateway(network, refresh, coap.Changed)(t)
	}
}

// measureGateway drives the gateway with requests about mitigations that stand.
func measureGateway(network string, ask asker, want coap.Code) func(t *testing.T) []result {
	return func(t *testing.T) []result {
		t.Helper()
		g := startGateway(t, regexp.MustCompile(`\W+`).ReplaceAllString(t.Name(), "-"))
		if network == coap.NetworkTCP {
			c := dialMany(t, g.over(network), sessions)
			c.each(inFlight, refresh, coap.Created)
			defer g.profiled()()
			return c.drive(ask, want)
		}
		c := newCrowd(t, g.over(network))
		c.dial(sessions)
		c.once(0, inFlight, refresh, coap.Created)
		defer g.profiled()()
		return c.drive(inFlight, ask, want)
	}
}

// refresh is the PUT of a mitigation of its own for each session and slot.
func refresh(session, slot int) *coap.Message {
	host := netip.AddrFrom4([4]byte{10, 1, byte(session), byte(slot)})
	mid := uint32(slot + 1)
	return encode(wire.Request{
		Op: wire.PutMitigation, CUID: cuidOf(session), MID: dots.Some(mid),
		Mitigation: dots.Request{
			MID: mid, Lifetime: dots.Some(dots.DefaultLifetime),
			Target: dots.Target{Prefixes: []netip.Prefix{netip.PrefixFrom(host, 32)}, Ports: []dots.PortRange{{Lower: 443, Upper: 443}}, Protocols: []uint8{6}},
		},
	})
}

// getOne asks for one mitigation.
func getOne(session, slot int) *coap.Message {
	return encode(wire.Request{Op: wire.GetMitigations, CUID: cuidOf(session), MID: dots.Some(uint32(slot + 1))})
}

// encode makes a message of a request. The requests are our own, so they can be said.
func encode(req wire.Request) *coap.Message {
	out, err := rfc9132.New().EncodeRequest(req)
	if err != nil {
		panic(err)
	}
	m := &coap.Message{Code: coap.Code(out.Method), Payload: out.Payload}
	m.Options.SetPath(out.Path...)
	if out.Format.Set {
		m.Options.AddUint(coap.ContentFormat, uint32(out.Format.Value))
	}
	return m
}
