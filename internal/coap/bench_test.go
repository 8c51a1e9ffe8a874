package coap

import (
	"net"
	"testing"
)

// nowhere is a link that forgets.
type nowhere struct{ reliable bool }

func (nowhere) WriteRecord([]byte) error { return nil }
func (nowhere) Close() error             { return nil }
func (nowhere) LocalAddr() net.Addr      { return nil }
func (nowhere) RemoteAddr() net.Addr     { return nil }
func (n nowhere) Reliable() bool         { return n.reliable }

// asking is a session over a link that forgets, and what gives it a request of the usual size, which is answered at once.
func asking(t testing.TB, reliable bool) (*Session, func(i int)) {
	t.Helper()
	options := []Option{
		opt(UriPath, ".well-known"), opt(UriPath, "dots"), opt(UriPath, "mitigate"),
		opt(UriPath, "cuid=dz6pHjaADkaFTbjr0JGBpw"), opt(UriPath, "mid=123"), num(ContentFormat, 271),
	}
	response := &Message{Code: Changed, Options: Options{num(ContentFormat, 271)}, Payload: pattern(30)}
	s, err := NewSession(SessionConfig{
		Link: nowhere{reliable}, Timers: NewTimers(), Handler: HandlerFunc(func(ex *Exchange) { ex.Respond(response) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if reliable {
		s.Input(tcp(codeCSM, "", ""))
		in := tcp(PUT, "1234", string(pattern(150)), options...)
		return s, func(int) { s.Input(in) }
	}
	in := udp(con, PUT, 0, "1234", string(pattern(150)), options...)
	return s, func(i int) {
		in[2], in[3] = byte(i>>8), byte(i)
		in[4], in[5] = byte(i>>24), byte(i>>16)
		s.Input(in)
	}
}

// BenchmarkRequest is the cost of a request of the usual size, answered at once.
func BenchmarkRequest(b *testing.B) {
	for name, reliable := range map[string]bool{"udp": false, "tcp": true} {
		b.Run(name, func(b *testing.B) {
			s, ask := asking(b, reliable)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				ask(i)
			}
			if s.counters.Duplicates.Load() != 0 || s.Err() != nil {
				b.Fatal("not what was to be measured")
			}
		})
	}
}

// A request of the usual size that is answered at once is one piece of memory. What the race detector makes the pool drop
// comes on top.
func TestRequestAllocations(t *testing.T) {
	for name, reliable := range map[string]bool{"udp": false, "tcp": true} {
		s, ask := asking(t, reliable)
		i := 0
		for range 1000 { // until the ring is full
			ask(i)
			i++
		}
		if n := testing.AllocsPerRun(1000, func() { ask(i); i++ }); n > 4 {
			t.Errorf("%s: %v allocations for a request", name, n)
		}
		if s.counters.Duplicates.Load() != 0 || s.Err() != nil {
			t.Errorf("%s: not what was to be counted", name)
		}
	}
}

// BenchmarkLater is the cost of a request that is not answered at once: its deadline is set and taken back.
func BenchmarkLater(b *testing.B) {
	var open *Exchange
	s, err := NewSession(SessionConfig{Link: nowhere{}, Timers: NewTimers(), Handler: HandlerFunc(func(ex *Exchange) { open = ex })})
	if err != nil {
		b.Fatal(err)
	}
	in, response := udp(con, PUT, 0, "1234", string(pattern(150))), &Message{Code: Changed}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		in[2], in[3], in[4], in[5] = byte(i>>8), byte(i), byte(i>>24), byte(i>>16)
		i++
		s.Input(in)
		open.Respond(response)
	}
}
