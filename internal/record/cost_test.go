package record

import (
	"testing"
)

// leastAllocs is how often f allocates: the least of several runs, since what else the process allocates meanwhile only adds.
func leastAllocs(f func()) float64 {
	least := testing.AllocsPerRun(100, f)
	for range 9 {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	return least
}

func TestAllocations(t *testing.T) {
	for _, cid := range cids() {
		server, client := layers(t, cid)
		text, buf := make([]byte, 190), make([]byte, 0, 2048)
		var failed error
		if n := leastAllocs(func() {
			b, err := client.Seal(buf, ApplicationData, text)
			if err != nil {
				failed = err
			}
			if _, _, _, err := server.Open(b); err != nil {
				failed = err
			}
		}); n != 0 || failed != nil {
			t.Errorf("cid %q: %v allocations to seal and open, error %v", cid, n, failed)
		}
		forged := client.seal(t, "text")
		forged[len(forged)-1] ^= 1
		if n := leastAllocs(func() { _, _, _, failed = server.Open(forged) }); n != 0 || failed == nil {
			t.Errorf("cid %q: %v allocations to refuse, error %v", cid, n, failed)
		}
	}
}

// silent is an owner that only counts.
type silent struct{ inputs, sent int }

func (o *silent) Input([]byte)      { o.inputs++ }
func (o *silent) Send([]byte) error { o.sent++; return nil }
func (o *silent) Ended(error)       {}

func TestSessionAllocations(t *testing.T) {
	for _, cid := range cids() {
		o, peer := new(silent), newLayer(t, mirror(someState(cid)))
		s := NewSession(SessionConfig{Layer: newLayer(t, someState(cid)), Owner: o, Buffers: new(Buffers), Drops: new(Drops)})
		text, buf := make([]byte, 190), make([]byte, 0, 2048)
		if n := leastAllocs(func() {
			b, _ := peer.Seal(buf, ApplicationData, text)
			s.Receive(b, nil)
			_ = s.Write(text)
		}); n != 0 {
			t.Errorf("cid %q: %v allocations for a datagram in and one out", cid, n)
		}
		if o.inputs != o.sent || o.inputs < 1000 {
			t.Errorf("cid %q: %d in and %d out", cid, o.inputs, o.sent)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, cid := range cids() {
		b.Run("cid="+cid, func(b *testing.B) {
			_, client := layers(b, cid)
			text, buf := make([]byte, 190), make([]byte, 0, 2048)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = client.Seal(buf, ApplicationData, text)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, cid := range cids() {
		b.Run("cid="+cid, func(b *testing.B) {
			server, client := layers(b, cid)
			good := client.seal(b, string(make([]byte, 190)))
			buf := make([]byte, len(good))
			b.ReportAllocs()
			for b.Loop() {
				server.in.window = newWindow(0)
				copy(buf, good)
				if _, _, _, err := server.Open(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What taking a session over costs beside its handshake.
func BenchmarkExport(b *testing.B) {
	server, _ := shake(b, suites()["cid"])
	state, _ := server.conn.ConnectionState()
	var exporter Exporter
	b.ReportAllocs()
	for b.Loop() {
		if _, err := exporter.Export(&state); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	s := someState("eight by")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(s); err != nil {
			b.Fatal(err)
		}
	}
}
