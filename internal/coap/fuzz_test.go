package coap

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// fuzzSession is a session whose handler answers, observes, or stays silent, by the payload's first byte.
func fuzzSession(t *testing.T, reliable bool) *Session {
	link := newTape(reliable)
	s, err := NewSession(SessionConfig{Link: link, Timers: NewTimers(), Rand: fixedRand(0), Handler: HandlerFunc(func(ex *Exchange) {
		payload := ex.Request().Payload
		switch {
		case ex.Request().Options.Has(Observe):
			if o := ex.Observe(&Message{Code: Content, Payload: pattern(2000)}, nil); o != nil {
				o.Notify(&Message{Code: Content, Payload: payload})
			}
		case len(payload) > 0 && payload[0] == 'p':
		default:
			ex.Respond(&Message{Code: Content, Payload: payload})
		}
	})})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	for _, m := range []*Message{get("a"), put(pattern(3000), "b")} {
		tr := &transfer{s: s, req: m, done: func(*Message, error) {}}
		_ = tr.begin() // over TCP a large body is refused before the peer's CSM; that is no matter here
	}
	return s
}

// FuzzDatagram: whatever comes in, nothing panics, a session over UDP lives on, and its tables stay bounded.
func FuzzDatagram(f *testing.F) {
	f.Add(udp(con, GET, 1, "t", "", opt(UriPath, "a"), num(Observe, 0)), udp(rst, Empty, 1, "", ""))
	f.Add(udp(con, PUT, 2, "t", string(pattern(16)), num(Block1, 8)), udp(con, PUT, 3, "t", "x", num(Block1, 16)))
	f.Add(udp(con, Empty, 4, "", ""), udp(ack, Content, 1, string(tokenBytes(1)), "x", num(Block2, 8)))
	f.Add(udp(ack, Continue, 2, string(tokenBytes(3)), "", num(Block1, 14)), []byte{0x49, 1, 0, 1})
	f.Add(udp(non, Content, 5, string(tokenBytes(1)), string(pattern(16)), num(Block2, 8)), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		s := fuzzSession(t, false)
		for range 2 {
			s.Input(first)
			s.Input(second)
		}
		if s.counters.Panics.Load() != 0 || s.Err() != nil {
			t.Fatal("a datagram hurt the session:", s.Err())
		}
		if len(s.bodies) > 4 || len(s.snapshots) > 4 || len(s.exchanges) > 256 {
			t.Fatal("a table grew over its bound")
		}
	})
}

// FuzzStream: whatever comes in, nothing panics, and the same bytes have the same effect however they are cut.
func FuzzStream(f *testing.F) {
	csm := tcp(codeCSM, "", "", opt(csmBlockWise, ""))
	f.Add(slices.Concat(csm, tcp(GET, "t", "", num(Observe, 0))), uint8(1))
	f.Add(slices.Concat(csm, tcp(PUT, "t", string(pattern(300)))), uint8(7))
	f.Add(slices.Concat(csm, tcp(codePing, "", ""), tcp(codeRelease, "", "")), uint8(3))
	f.Add(slices.Concat(csm, []byte{0xf0, 0xff, 0xff, 0xff, 0xff}), uint8(2))
	f.Add(tcp(codeCSM, "", "", opt(7, "")), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		whole, parts := fuzzSession(t, true), fuzzSession(t, true)
		whole.Input(in)
		for chunk := range slices.Chunk(in, int(size)+1) {
			parts.Input(chunk)
		}
		if whole.counters.Panics.Load()+parts.counters.Panics.Load() != 0 {
			t.Fatal("a panic")
		}
		if (whole.Err() == nil) != (parts.Err() == nil) {
			t.Fatalf("whole: %v, in parts: %v", whole.Err(), parts.Err())
		}
		a, b := written(whole), written(parts)
		if !bytes.Equal(a, b) {
			t.Fatalf("whole: %x\nparts: %x", a, b)
		}
	})
}

func written(s *Session) []byte {
	var all []byte
	for _, rec := range s.link.(*tape).take() {
		all = append(all, rec.b...)
	}
	return all
}

// FuzzOptions: what the scan accepts, the codec reads to the end, and writing it again gives the same message.
func FuzzOptions(f *testing.F) {
	f.Add(tail("payload", []Option{opt(IfMatch, ""), opt(UriPath, "a"), opt(UriPath, "b"), num(Size1, 70000), opt(2050, "x")}))
	f.Add(tail("", []Option{opt(UriQuery, string(pattern(255))), opt(Echo, "e"), opt(65000, string(pattern(300)))}))
	f.Add([]byte{0xff})
	f.Add(tail("", []Option{opt(Observe, "1234")}))
	f.Add([]byte{0xd0, 0xff, 0xe0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		scan, err := scanOptions(PUT, raw)
		if err != nil {
			return
		}
		s := fuzzSession(t, false)
		m, err := s.read(packet{code: PUT}, raw, scan)
		if err != nil {
			t.Fatal("the scan let through what the codec refuses:", err)
		}
		if len(m.Options) > scan.count {
			t.Fatalf("%d options out of %d", len(m.Options), scan.count)
		}
		b, err := s.encode(packet{code: PUT, options: m.Options, payload: m.Payload})
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.Clone(b)
		if scan, err = scanOptions(PUT, b[4:]); err != nil {
			t.Fatal(err)
		}
		again, err := s.read(packet{code: PUT}, b[4:], scan)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.Options, again.Options, cmpopts.EquateEmpty()); diff != "" || !bytes.Equal(m.Payload, again.Payload) {
			t.Fatal(diff)
		}
	})
}
