package bench

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
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
)

// seconds is the length of one repetition.
func seconds(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(envSeconds)
	if text == "" {
		return 2 * time.Second
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
	measure := func(name string, prepare func(t *testing.T) func() result) {
		if !only.MatchString(name) {
			return
		}
		t.Run(name, func(t *testing.T) {
			once := prepare(t)
			if once == nil {
				return
			}
			r := row{name: name}
			for range repetitions {
				r.results = append(r.results, once())
			}
			rows = append(rows, r)
		})
	}
	for _, m := range measurements() {
		measure(m.name, m.prepare)
	}
	fmt.Println()
	write(os.Stdout, rows)
	if only.MatchString("memory") {
		fmt.Println()
		writeMemory(os.Stdout, measureMemory(t))
	}
}

// measurement is one row to be: prepare sets it up and returns one repetition; nil: it cannot be measured here.
type measurement struct {
	name    string
	prepare func(t *testing.T) func() result
}

// measurements are all rows, the yardsticks first. The last columns of a refresh compare with the relays.
func measurements() []measurement {
	ms := []measurement{
		{"UDP echo in batches", measureUDPEcho},
		{"pion DTLS echo", func(t *testing.T) func() result { return measureEcho(t, newPKI(t)) }},
		{"relay: libcoap's coap-server -P", measureLibcoapRelay},
		{"relay: go-coap's server and clients", measureGoCoAPRelay},
	}
	for _, network := range []string{coap.NetworkUDP, coap.NetworkTCP} {
		over := map[string]string{coap.NetworkUDP: "DTLS", coap.NetworkTCP: "TLS"}[network]
		ms = append(
			ms,
			measurement{"libcoap " + over + " PUT", func(t *testing.T) func() result { return measureLibcoap(t, network) }},
			measurement{"go-coap " + over + " PUT", func(t *testing.T) func() result { return measureGoCoAP(t, network) }},
			measurement{"CoAP session alone " + over + " PUT", func(t *testing.T) func() result { return measureCoAP(t, network) }},
			measurement{"gateway " + over + " GET CON", measureGateway(network, false, getOne, coap.Content)},
			measurement{"gateway " + over + " refresh CON", measureGateway(network, false, refresh, coap.Changed)},
		)
	}
	ms = append(ms, measurement{"gateway DTLS refresh NON", measureGateway(coap.NetworkUDP, true, refresh, coap.Changed)})
	for _, network := range []string{coap.NetworkUDP, coap.NetworkTCP} {
		over := map[string]string{coap.NetworkUDP: "DTLS", coap.NetworkTCP: "TLS"}[network]
		ms = append(ms, measurement{"gateway " + over + " refresh CON unpaced", func(t *testing.T) func() result {
			t.Setenv("DOTSGATE_LAB_IN_FLIGHT", "128") // more at once are more than the sockets hold
			return measureGateway(network, false, refresh, coap.Changed)(t)
		}})
	}
	return ms
}

func measureLibcoap(t *testing.T, network string) func() result {
	s, ok := launchLibcoap(t, network)
	if !ok {
		t.Skip("coap-server-openssl is not installed (libcoap3-bin)")
	}
	c := dialMany(t, s, sessions)
	c.each(1, put, coap.Created)
	return func() result { return c.drive(seconds(t), put, coap.Changed) }
}

func measureCoAP(t *testing.T, network string) func() result {
	c := dialMany(t, launchCoAP(t, network), sessions)
	return func() result { return c.drive(seconds(t), put, coap.Changed) }
}

// measureGateway drives the gateway with requests about mitigations that stand.
func measureGateway(network string, non bool, ask func(session, slot int) *coap.Message, want coap.Code) func(t *testing.T) func() result {
	return func(t *testing.T) func() result {
		g := startGateway(t, regexp.MustCompile(`\W+`).ReplaceAllString(t.Name(), "-"))
		c := dialMany(t, g.over(network), sessions)
		c.each(inFlight, refresh, coap.Created)
		marked := func(session, slot int) *coap.Message {
			m := ask(session, slot)
			m.NonConfirmable = non
			return m
		}
		profiled := os.Getenv(envProfile) == ""
		return func() result {
			if !profiled { // the first repetition is
				profiled = true
				g.signal(syscall.SIGUSR1)
				defer g.signal(syscall.SIGUSR2)
			}
			return c.drive(seconds(t), marked, want)
		}
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
