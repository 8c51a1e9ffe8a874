package coap

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// Types of a message over UDP as raw tests write them.
const (
	con = 0
	non = 1
	ack = 2
	rst = 3
)

// opt is an option of a raw message.
func opt(number uint16, value string) Option { return Option{number, []byte(value)} }

// num is an option with an unsigned integer.
func num(number uint16, value uint32) Option { return Option{number, uintBytes(value)} }

// udp writes a datagram by hand, without the codec under test.
func udp(typ int, code Code, mid uint16, token, payload string, options ...Option) []byte {
	b := []byte{byte(1<<6 | typ<<4 | len(token)), byte(code)}
	b = binary.BigEndian.AppendUint16(b, mid)
	b = append(b, token...)
	return append(b, tail(payload, options)...)
}

// tcp writes a message over TCP by hand.
func tcp(code Code, token, payload string, options ...Option) []byte {
	rest := tail(payload, options)
	var head []byte
	switch n := len(rest); {
	case n < 13:
		head = []byte{byte(n << 4)}
	case n < 269:
		head = []byte{13 << 4, byte(n - 13)}
	default:
		head = binary.BigEndian.AppendUint16([]byte{14 << 4}, uint16(n-269))
	}
	head[0] |= byte(len(token))
	head = append(head, byte(code))
	head = append(head, token...)
	return append(head, rest...)
}

func tail(payload string, options []Option) []byte {
	var b []byte
	last := 0
	for _, o := range options {
		delta, dx := nibble(int(o.Number) - last)
		length, lx := nibble(len(o.Value))
		b = append(b, byte(delta<<4|length))
		b = append(append(append(b, dx...), lx...), o.Value...)
		last = int(o.Number)
	}
	if payload != "" {
		b = append(append(b, 0xff), payload...)
	}
	return b
}

func nibble(n int) (int, []byte) {
	switch {
	case n < 13:
		return n, nil
	case n < 269:
		return 13, []byte{byte(n - 13)}
	}
	return 14, binary.BigEndian.AppendUint16(nil, uint16(n-269))
}

// sent is one record a link was given.
type sent struct {
	at time.Duration // since the link was made
	b  []byte
}

// tape is a link that records what is written, and hands it on when it has a peer.
type tape struct {
	mu       sync.Mutex
	reliable bool
	start    time.Time
	records  []sent
	closed   int
	fail     error
	hook     func(b []byte) [][]byte // what arrives of a record; nil: it does
	out      chan []byte             // nil: nobody listens
}

func newTape(reliable bool) *tape { return &tape{reliable: reliable, start: time.Now()} }

func (l *tape) WriteRecord(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	b = bytes.Clone(b)
	l.records = append(l.records, sent{time.Since(l.start), b})
	if l.out == nil || l.closed > 0 {
		return nil
	}
	arriving := [][]byte{b}
	if l.hook != nil {
		arriving = l.hook(b)
	}
	for _, a := range arriving {
		l.out <- a
	}
	return nil
}

func (l *tape) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed++
	if l.closed == 1 && l.out != nil {
		close(l.out)
	}
	return nil
}

func (l *tape) LocalAddr() net.Addr  { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (l *tape) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2} }
func (l *tape) Reliable() bool       { return l.reliable }

// take returns what was written since the last call.
func (l *tape) take() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.records
	l.records = nil
	return records
}

// fixedRand makes every random number the same.
type fixedRand uint64

func (r fixedRand) Uint64() uint64 { return uint64(r) }

// rig is a session whose peer is the test itself.
type rig struct {
	*Session
	t    *testing.T
	link *tape
}

// newRig makes a started session; over TCP its CSM is taken off the tape.
func newRig(t *testing.T, reliable bool, cfg SessionConfig) *rig {
	t.Helper()
	link := newTape(reliable)
	cfg.Link = link
	cfg.Timers = NewTimers()
	if cfg.Counters == nil {
		cfg.Counters = new(Counters)
	}
	s, err := NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	runTimers(t, cfg.Timers)
	s.Start()
	t.Cleanup(func() { _ = s.Close() })
	r := &rig{s, t, link}
	if reliable {
		r.link.take()
	}
	return r
}

// runTimers serves the heap until the test ends.
func runTimers(t *testing.T, timers *Timers) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = timers.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// want checks that exactly these records were written since the last look.
func (r *rig) want(records ...[]byte) {
	r.t.Helper()
	got := r.link.take()
	if len(got) != len(records) {
		for _, g := range got {
			r.t.Logf("got %s", hex.EncodeToString(g.b))
		}
		r.t.Fatalf("%d records, want %d", len(got), len(records))
	}
	for i, g := range got {
		if !bytes.Equal(g.b, records[i]) {
			r.t.Fatalf("record %d:\n got %x\nwant %x", i, g.b, records[i])
		}
	}
}

// one returns the only record written since the last look.
func (r *rig) one() []byte {
	r.t.Helper()
	got := r.link.take()
	if len(got) != 1 {
		r.t.Fatalf("%d records, want 1", len(got))
	}
	return got[0].b
}

// decoded reads a record for tests that care for parts of it only.
func (r *rig) decoded(b []byte) (packet, *Message) {
	r.t.Helper()
	var p packet
	var rest []byte
	if r.reliable {
		header, _, err := frameLength(b, 1<<20)
		if err != nil {
			r.t.Fatal(err)
		}
		tkl := int(b[0] & 15)
		p, rest = packet{code: Code(b[header]), token: b[header+1 : header+1+tkl]}, b[header+1+tkl:]
	} else {
		var err error
		if p, rest, err = readHeader(b); err != nil {
			r.t.Fatal(err)
		}
	}
	scan, err := scanOptions(p.code, rest)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.unlock()
	m, err := r.read(p, rest, scan)
	if err != nil {
		r.t.Fatal(err)
	}
	m.NonConfirmable = !r.reliable && p.typ == non
	return p, m
}

// pair is two sessions that talk to each other; make it inside a synctest bubble.
type pair struct {
	a, b   *Session
	la, lb *tape
}

func newPair(t *testing.T, reliable bool, a, b SessionConfig) *pair {
	t.Helper()
	timers := NewTimers()
	runTimers(t, timers)
	p := &pair{la: newTape(reliable), lb: newTape(reliable)}
	p.a = p.join(t, a, p.la, timers)
	p.b = p.join(t, b, p.lb, timers)
	var wg sync.WaitGroup
	wg.Go(func() { deliver(p.la, p.b) })
	wg.Go(func() { deliver(p.lb, p.a) })
	t.Cleanup(func() { _ = p.a.Close(); _ = p.b.Close(); wg.Wait() })
	p.a.Start()
	p.b.Start()
	return p
}

func (p *pair) join(t *testing.T, cfg SessionConfig, link *tape, timers *Timers) *Session {
	t.Helper()
	link.out = make(chan []byte, 4096)
	cfg.Link, cfg.Timers = link, timers
	s, err := NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// deliver hands on what a link was given, until it is closed.
func deliver(l *tape, to *Session) {
	for b := range l.out {
		to.Input(b)
	}
	to.InputClosed(nil)
}

// chunked splits records at every n bytes.
func chunked(n int) func([]byte) [][]byte {
	return func(b []byte) [][]byte { return slices.Collect(slices.Chunk(b, n)) }
}

// echo answers every request with its own payload.
func echoHandler(ex *Exchange) { ex.Respond(&Message{Code: Content, Payload: ex.Request().Payload}) }

// pattern is a body in which every block differs.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)
	}
	return b
}

func get(path ...string) *Message {
	m := &Message{Code: GET}
	m.Options.SetPath(path...)
	return m
}

func put(body []byte, path ...string) *Message {
	m := &Message{Code: PUT, Payload: body}
	m.Options.SetPath(path...)
	return m
}
