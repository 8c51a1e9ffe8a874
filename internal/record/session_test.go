package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// owner records what a session asks of it.
type owner struct {
	mu     sync.Mutex
	inputs []string
	sent   [][]byte
	ends   []error
	fail   error        // of Send
	onData func(string) // under Input
}

func (o *owner) Input(b []byte) {
	o.mu.Lock()
	o.inputs = append(o.inputs, string(b))
	o.mu.Unlock()
	if o.onData != nil {
		o.onData(string(b))
	}
}

func (o *owner) Send(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, bytes.Clone(b))
	return o.fail
}

func (o *owner) Ended(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ends = append(o.ends, err)
}

func (o *owner) takeSent() [][]byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	sent := o.sent
	o.sent = nil
	return sent
}

// scene is a session, its owner, and the layer of its peer.
type scene struct {
	*Session
	*owner
	peer  *Layer
	drops *Drops
}

func newScene(t testing.TB, s State) *scene {
	t.Helper()
	sc := &scene{owner: new(owner), peer: newLayer(t, mirror(s)), drops: new(Drops)}
	sc.Session = NewSession(SessionConfig{Layer: newLayer(t, s), Owner: sc.owner, Buffers: new(Buffers), Drops: sc.drops})
	return sc
}

// from is a record of the peer.
func (sc *scene) from(t testing.TB, kind ContentType, plain string) []byte {
	t.Helper()
	b, err := sc.peer.Seal(nil, kind, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// said is what the session has sent since the last call, opened: the type as a first byte, and the text.
func (sc *scene) said(t testing.TB) []string {
	t.Helper()
	var texts []string
	for _, b := range sc.takeSent() {
		kind, plain, _, err := sc.peer.Open(b)
		if err != nil {
			t.Fatalf("the peer cannot open %x: %v", b, err)
		}
		texts = append(texts, string(byte(kind))+string(plain))
	}
	return texts
}

const (
	saidClose   = "\x15\x01\x00"
	saidRefusal = "\x15\x01\x64"
)

func client() State { return mirror(someState("")) }

// What one record does to a session: its type and text, and then what goes to Input, what is sent, and how it ends.
func TestSessionReceive(t *testing.T) {
	const message = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // header of a handshake message after its type
	for name, c := range map[string]struct {
		state  State
		kind   ContentType
		plain  string
		inputs []string
		said   []string
		end    error
		drops  uint64
	}{
		"data":                      {kind: ApplicationData, plain: "text", inputs: []string{"text"}},
		"no data":                   {kind: ApplicationData},
		"close_notify":              {kind: Alert, plain: "\x01\x00", said: []string{saidClose}, end: io.EOF},
		"close_notify as fatal":     {kind: Alert, plain: "\x02\x00", said: []string{saidClose}, end: io.EOF},
		"fatal":                     {kind: Alert, plain: "\x02\x28", end: ErrFatalAlert},
		"warning":                   {kind: Alert, plain: "\x01\x64"},
		"short alert":               {kind: Alert, plain: "\x02", drops: 1},
		"long alert":                {kind: Alert, plain: "\x01\x00\x00", drops: 1},
		"ClientHello":               {kind: Handshake, plain: "\x01" + message, said: []string{saidRefusal}, drops: 1},
		"rest of a ClientHello":     {kind: Handshake, plain: "\x01\x00\x01\x00\x00\x00\x00\x00\x09\x00\x00\x01x", drops: 1},
		"HelloRequest":              {kind: Handshake, plain: "\x00" + message, drops: 1},
		"Finished again":            {kind: Handshake, plain: "\x14" + message, drops: 1},
		"half a message":            {kind: Handshake, plain: "\x01", drops: 1},
		"empty handshake":           {kind: Handshake, drops: 1},
		"ChangeCipherSpec":          {kind: ChangeCipherSpec, plain: "\x01", drops: 1},
		"unknown type":              {kind: 99, plain: "x", drops: 1},
		"HelloRequest to a client":  {state: client(), kind: Handshake, plain: "\x00" + message, said: []string{saidRefusal}, drops: 1},
		"ClientHello to a client":   {state: client(), kind: Handshake, plain: "\x01" + message, drops: 1},
		"data with connection ID":   {state: someState("eight by"), kind: ApplicationData, plain: "text", inputs: []string{"text"}},
		"close with connection ID":  {state: mirror(someState("eight by")), kind: Alert, plain: "\x01\x00", said: []string{saidClose}, end: io.EOF},
		"ClientHello in connection": {state: someState("eight by"), kind: Handshake, plain: "\x01" + message, said: []string{saidRefusal}, drops: 1},
	} {
		if c.state.MasterSecret == nil {
			c.state = someState("")
		}
		sc := newScene(t, c.state)
		sc.Receive(sc.from(t, c.kind, c.plain), nil)
		if !slices.Equal(sc.inputs, c.inputs) {
			t.Errorf("%s: input %q, want %q", name, sc.inputs, c.inputs)
		}
		if said := sc.said(t); !slices.Equal(said, c.said) {
			t.Errorf("%s: sent %q, want %q", name, said, c.said)
		}
		if ended := len(sc.ends) == 1 && errors.Is(sc.ends[0], c.end); len(sc.ends) > 0 && !ended || c.end != nil && !ended {
			t.Errorf("%s: ended with %v, want %v", name, sc.ends, c.end)
		}
		if n := sc.drops.Malformed.Load(); n != c.drops {
			t.Errorf("%s: %d dropped, want %d", name, n, c.drops)
		}
		want := "\x17after"
		if c.end != nil {
			want = ""
		}
		if err := sc.Write([]byte("after")); (err == nil) != (want != "") || err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: Write() = %v", name, err)
		}
		if said := sc.said(t); (want == "") != (len(said) == 0) || want != "" && said[0] != want {
			t.Errorf("%s: sent %q afterwards, want %q", name, said, want)
		}
	}
}

// RFC 6347, Section 4.1.1: several records in one datagram; one that cannot be read does not spoil the others.
func TestSessionDatagram(t *testing.T) {
	for _, cid := range cids() {
		sc := newScene(t, someState(cid))
		one, two, three := sc.from(t, ApplicationData, "one"), sc.from(t, ApplicationData, "two"), sc.from(t, ApplicationData, "three")
		forged := sc.from(t, ApplicationData, "forged")
		forged[len(forged)-1] ^= 1
		// RFC 6347, Section 4.2.4: a last flight that is repeated begins in the clear.
		plain := []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 'x'}
		later := bytes.Clone(sc.from(t, ApplicationData, "later"))
		later[4] = 2
		odd := []byte{23, 254, 255, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 'x'}
		sc.Receive(bytes.Join([][]byte{plain, one, forged, later, one, odd, three, two, []byte("rest")}, nil), nil)
		if want := []string{"one", "three", "two"}; !slices.Equal(sc.inputs, want) {
			t.Errorf("cid %q: input %q, want %q", cid, sc.inputs, want)
		}
		d := sc.drops
		if d.Plain.Load() != 2 || d.Forged.Load() != 1 || d.Replayed.Load() != 1 || d.Malformed.Load() != 1 {
			t.Errorf("cid %q: dropped %d, %d, %d, %d", cid, d.Plain.Load(), d.Forged.Load(), d.Replayed.Load(), d.Malformed.Load())
		}
		if len(sc.said(t)) > 0 || len(sc.ends) > 0 {
			t.Errorf("cid %q: the session says something, or ends: %v", cid, sc.ends)
		}
	}
}

// What comes behind the end of the session in the same datagram is not looked at.
func TestSessionEndsInDatagram(t *testing.T) {
	sc := newScene(t, someState(""))
	end, more := sc.from(t, Alert, "\x01\x00"), sc.from(t, ApplicationData, "more")
	sc.Receive(append(end, more...), nil)
	if len(sc.inputs) > 0 || len(sc.ends) != 1 {
		t.Errorf("input %q, ends %v", sc.inputs, sc.ends)
	}
	sc = newScene(t, someState(""))
	sc.onData = func(string) { sc.Close() }
	one, two := sc.from(t, ApplicationData, "one"), sc.from(t, ApplicationData, "two")
	sc.Receive(append(one, two...), nil)
	if !slices.Equal(sc.inputs, []string{"one"}) || len(sc.ends) != 1 {
		t.Errorf("input %q, ends %v", sc.inputs, sc.ends)
	}
}

// RFC 9146, Section 6: only an authentic record, the newest, with our connection ID says where the peer is.
func TestSessionNewest(t *testing.T) {
	for name, c := range map[string]struct {
		cid  string
		make func(t *testing.T, sc *scene) []byte
		want int
	}{
		"newest":       {"eight by", func(t *testing.T, sc *scene) []byte { return sc.from(t, ApplicationData, "x") }, 1},
		"empty record": {"eight by", func(t *testing.T, sc *scene) []byte { return sc.from(t, ApplicationData, "") }, 1},
		"two records": {"eight by", func(t *testing.T, sc *scene) []byte {
			return append(sc.from(t, ApplicationData, "x"), sc.from(t, ApplicationData, "y")...)
		}, 1},
		"older": {"eight by", func(t *testing.T, sc *scene) []byte {
			old := sc.from(t, ApplicationData, "x")
			sc.Receive(sc.from(t, ApplicationData, "y"), nil)
			return old
		}, 0},
		"replayed": {"eight by", func(t *testing.T, sc *scene) []byte {
			b := sc.from(t, ApplicationData, "x")
			sc.Receive(bytes.Clone(b), nil)
			return b
		}, 0},
		"forged": {"eight by", func(t *testing.T, sc *scene) []byte {
			b := sc.from(t, ApplicationData, "x")
			b[len(b)-1] ^= 1
			return b
		}, 0},
		"no connection ID": {"", func(t *testing.T, sc *scene) []byte { return sc.from(t, ApplicationData, "x") }, 0},
	} {
		sc := newScene(t, someState(c.cid))
		b := c.make(t, sc)
		got, before := 0, len(sc.inputs)
		sc.Receive(b, func() {
			got++
			if len(sc.inputs) > before {
				t.Errorf("%s: called after Input", name)
			}
		})
		if got != c.want {
			t.Errorf("%s: called %d times, want %d", name, got, c.want)
		}
	}
}

func TestSessionWrite(t *testing.T) {
	sc := newScene(t, someState("eight by"))
	long := string(bytes.Repeat([]byte("x"), 3000))
	for _, text := range []string{"one", long, ""} {
		if err := sc.Write([]byte(text)); err != nil {
			t.Errorf("Write() = %v", err)
		}
	}
	if got, want := sc.said(t), []string{"\x17one", "\x17" + long, "\x17"}; !slices.Equal(got, want) {
		t.Errorf("sent %q", got)
	}
	if err := sc.Write(make([]byte, MaxPlain+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("Write() = %v", err)
	}
	sc.fail = errors.New("no way")
	if err := sc.Write([]byte("lost")); !errors.Is(err, sc.fail) {
		t.Errorf("Write() = %v, want what Send says", err)
	}
	if len(sc.ends) > 0 {
		t.Errorf("the session has ended: %v", sc.ends)
	}
}

func TestSessionClose(t *testing.T) {
	sc := newScene(t, someState(""))
	for range 2 {
		sc.Close()
	}
	sc.Abandon(errors.New("late"))
	if said := sc.said(t); !slices.Equal(said, []string{saidClose}) {
		t.Errorf("sent %q", said)
	}
	if !reflect.DeepEqual(sc.ends, []error{io.EOF}) {
		t.Errorf("ended %v", sc.ends)
	}
	sc.Receive(sc.from(t, ApplicationData, "late"), nil)
	if err := sc.Write([]byte("late")); !errors.Is(err, net.ErrClosed) || len(sc.inputs) > 0 {
		t.Errorf("Write() = %v, input %q", err, sc.inputs)
	}
	if _, err := sc.Export(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Export() = %v", err)
	}
}

func TestSessionAbandon(t *testing.T) {
	sc, reason := newScene(t, someState("")), errors.New("forgotten")
	sc.Abandon(reason)
	sc.Close()
	if len(sc.said(t)) > 0 || !reflect.DeepEqual(sc.ends, []error{reason}) {
		t.Errorf("sent %q, ended %v", sc.sent, sc.ends)
	}
}

// A session whose numbers are used up says so with the last one.
func TestSessionExhausted(t *testing.T) {
	state := someState("")
	state.LocalSequence = maxSequence - 1
	sc := newScene(t, state)
	if err := sc.Write([]byte("last")); err != nil {
		t.Fatal(err)
	}
	if err := sc.Write([]byte("more")); !errors.Is(err, ErrExhausted) {
		t.Errorf("Write() = %v", err)
	}
	if err := sc.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a second Write() = %v", err)
	}
	if said := sc.said(t); !slices.Equal(said, []string{"\x17last", saidClose}) {
		t.Errorf("sent %q", said)
	}
	if len(sc.ends) != 1 || !errors.Is(sc.ends[0], ErrExhausted) {
		t.Errorf("ended %v", sc.ends)
	}
}

// A session that is handed on falls silent at once; the next one goes on where it was.
func TestSessionExport(t *testing.T) {
	sc := newScene(t, someState("eight by"))
	_ = sc.Write([]byte("ours"))
	sc.Receive(sc.from(t, ApplicationData, "theirs"), nil)
	state, err := sc.Export()
	if err != nil {
		t.Fatal(err)
	}
	sc.Close()
	if err := sc.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write() = %v", err)
	}
	if len(sc.ends) > 0 || len(sc.takeSent()) != 1 {
		t.Errorf("the old session says something, or ends: %v", sc.ends)
	}
	next := newScene(t, carried(t, state))
	next.peer = sc.peer
	next.Receive(next.from(t, ApplicationData, "more"), nil)
	if err := next.Write([]byte("ours again")); err != nil {
		t.Errorf("Write() = %v", err)
	}
	if said := next.said(t); !slices.Equal(said, []string{"\x17ours again"}) || !slices.Equal(next.inputs, []string{"more"}) {
		t.Errorf("sent %q, input %q", said, next.inputs)
	}
}

// Writers, an end and what comes exclude each other where they must: each record has a number of its own, nothing follows
// the end.
func TestSessionTogether(t *testing.T) {
	sc := newScene(t, someState(""))
	var in [][]byte
	for range 50 {
		in = append(in, sc.from(t, ApplicationData, "in"))
	}
	sc.onData = func(string) { _ = sc.Write([]byte("answer")) }
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				_ = sc.Write([]byte("text"))
			}
		})
	}
	all.Go(func() {
		for _, b := range in {
			sc.Receive(b, nil)
		}
	})
	all.Go(sc.Close)
	all.Wait()
	sent := sc.takeSent()
	for i, b := range sent {
		kind, _, newest, err := sc.peer.Open(b)
		if err != nil || !newest || (kind == Alert) != (i == len(sent)-1) {
			t.Fatalf("record %d of %d: type %d, newest %t, %v", i, len(sent), kind, newest, err)
		}
	}
	if !reflect.DeepEqual(sc.ends, []error{io.EOF}) {
		t.Errorf("ended %v", sc.ends)
	}
}

// A million records that are replayed, reordered, bent, cut or made up: none is taken twice, none that is not genuine, and the
// session says nothing to any.
func TestSessionFlood(t *testing.T) {
	records := 1_000_000
	if underRace || testing.Short() {
		records /= 20
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, cid := range cids() {
		sc := newScene(t, someState(cid))
		var genuine [][]byte
		for i := range 200 {
			genuine = append(genuine, sc.from(t, ApplicationData, fmt.Sprint(i)))
		}
		buf := make([]byte, 0, 2048)
		for i := range records / 2 {
			b := append(buf, genuine[min(i/100, r.IntN(len(genuine)))]...)
			switch r.IntN(8) {
			case 0: // as it is: new, or a replay
			case 1:
				b = b[:r.IntN(len(b))]
			case 2:
				for j := range b {
					b[j] = byte(r.Uint32())
				}
			default:
				b[r.IntN(len(b))] ^= 1 << r.IntN(8)
			}
			sc.Receive(b, nil)
		}
		seen := map[string]int{}
		for _, text := range sc.inputs {
			if seen[text]++; seen[text] > 1 {
				t.Errorf("cid %q: %q was taken twice", cid, text)
			}
			if n, err := strconv.Atoi(text); err != nil || n >= len(genuine) {
				t.Errorf("cid %q: %q was taken", cid, text)
			}
		}
		if len(seen) == 0 || len(sc.takeSent()) > 0 || len(sc.ends) > 0 {
			t.Errorf("cid %q: %d taken, %d sent, ended with %v", cid, len(seen), len(sc.sent), sc.ends)
		}
		d := sc.drops
		t.Logf("cid %q: %d taken; dropped: %d replayed, %d forged, %d of other epochs, %d malformed", cid, len(seen),
			d.Replayed.Load(), d.Forged.Load(), d.Plain.Load(), d.Malformed.Load())
		if err := sc.Write([]byte("still here")); err != nil {
			t.Errorf("cid %q: Write() = %v", cid, err)
		}
	}
}
