package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// cids are the connection IDs that most tests are run with.
func cids() []string { return []string{"", "eight by"} }

func TestSealOpen(t *testing.T) {
	for _, cid := range cids() {
		server, client := layers(t, cid)
		for i, kind := range []ContentType{ApplicationData, Alert, Handshake, ApplicationData} {
			for _, ends := range [][2]*Layer{{server, client}, {client, server}} {
				text := fmt.Sprint("text ", i)
				b, err := ends[0].Seal([]byte("before"), kind, []byte(text))
				if err != nil || !bytes.HasPrefix(b, []byte("before")) {
					t.Fatalf("Seal() = %q, %v", b, err)
				}
				b = b[len("before"):]
				if n := sequence(b); n != uint64(1+i) {
					t.Errorf("sequence number %d, want %d", n, 1+i)
				}
				gotKind, plain, newest, err := ends[1].Open(b)
				if err != nil || gotKind != kind || string(plain) != text || !newest {
					t.Errorf("Open() = %d, %q, %t, %v", gotKind, plain, newest, err)
				}
			}
		}
	}
}

func TestOpenOutOfOrder(t *testing.T) {
	server, client := layers(t, "")
	first, second := client.seal(t, "first"), client.seal(t, "second")
	if _, plain, newest, err := server.Open(second); err != nil || string(plain) != "second" || !newest {
		t.Errorf("Open() = %q, %t, %v", plain, newest, err)
	}
	if _, plain, newest, err := server.Open(first); err != nil || string(plain) != "first" || newest {
		t.Errorf("Open() = %q, %t, %v", plain, newest, err)
	}
}

// refusals are records that are not to be taken, made of a good one.
func refusals(good []byte, cid string) map[string]struct {
	record []byte
	want   error
} {
	type refusal = struct {
		record []byte
		want   error
	}
	edit := func(at int, b byte) []byte {
		changed := bytes.Clone(good)
		changed[at] = b
		return changed
	}
	header := headerSize + len(cid)
	short := bytes.Clone(good[:header+explicitNonceSize+tagSize-1])
	binary.BigEndian.PutUint16(short[header-2:], explicitNonceSize+tagSize-1)
	long := append(bytes.Clone(good), make([]byte, MaxPlain+2048)...)
	binary.BigEndian.PutUint16(long[header-2:], uint16(len(long)-header))
	last := len(good) - 1
	other := map[string]refusal{
		"nothing":               {nil, ErrMalformed},
		"cut":                   {good[:last], ErrMalformed},
		"more":                  {append(bytes.Clone(good), 0), ErrMalformed},
		"two":                   {append(bytes.Clone(good), good...), ErrMalformed},
		"DTLS 1.0":              {edit(2, 255), ErrMalformed},
		"TLS":                   {edit(1, 3), ErrMalformed},
		"epoch 0":               {edit(4, 0), ErrEpoch},
		"epoch 2":               {edit(4, 2), ErrEpoch},
		"epoch 257":             {edit(3, 1), ErrEpoch},
		"no room for a tag":     {short, ErrMalformed},
		"longer than any":       {long, ErrMalformed},
		"another number":        {edit(10, 9), ErrForged},
		"another explicit part": {edit(header+7, 9), ErrForged},
		"another tag":           {edit(last, good[last]^1), ErrForged},
		"another text":          {edit(last-tagSize, good[last-tagSize]^1), ErrForged},
	}
	if cid == "" {
		other["another type"] = refusal{edit(0, byte(Alert)), ErrForged}
		other["with a connection ID"] = refusal{edit(0, byte(ConnectionID)), ErrMalformed}
	} else {
		other["another connection ID"] = refusal{edit(11, 'x'), ErrMalformed}
		other["without connection ID"] = refusal{edit(0, byte(ApplicationData)), ErrMalformed}
	}
	return other
}

// RFC 6347, Section 4.1.2.6 and 4.1.2.7: what is not authentic is dropped, and the window does not move.
func TestOpenRefuses(t *testing.T) {
	for _, cid := range cids() {
		server, client := layers(t, cid)
		good := client.seal(t, "some text")
		before := server.in.window
		for name, c := range refusals(good, cid) {
			kind, plain, newest, err := server.Open(bytes.Clone(c.record))
			if !errors.Is(err, c.want) || kind != 0 || plain != nil || newest {
				t.Errorf("cid %q, %s: Open() = %d, %q, %t, %v, want %v", cid, name, kind, plain, newest, err, c.want)
			}
			if server.in.window != before {
				t.Fatalf("cid %q, %s: the window has moved", cid, name)
			}
		}
		if _, plain, _, err := server.Open(good); err != nil || string(plain) != "some text" {
			t.Errorf("cid %q: Open() = %q, %v", cid, plain, err)
		}
	}
}

// A record without its connection ID is none, even if it is sealed with the right keys (RFC 9146, Section 3).
func TestOpenWithoutConnectionID(t *testing.T) {
	server, _ := layers(t, "eight by")
	_, stranger := layers(t, "")
	if _, _, _, err := server.Open(stranger.seal(t, "x")); !errors.Is(err, ErrMalformed) {
		t.Errorf("Open() = %v", err)
	}
}

// No bit of a record can be changed.
func TestOpenEveryBit(t *testing.T) {
	for _, cid := range cids() {
		server, client := layers(t, cid)
		good := client.seal(t, "text")
		before := server.in.window
		for bit := range 8 * len(good) {
			b := bytes.Clone(good)
			b[bit/8] ^= 1 << (bit % 8)
			if _, _, _, err := server.Open(b); err == nil {
				t.Errorf("cid %q: bit %d can be changed", cid, bit)
			}
		}
		if server.in.window != before {
			t.Errorf("cid %q: the window has moved", cid)
		}
	}
}

// A record of our own that comes back is not taken for the peer's: both ends may be at the same number.
func TestOpenReflected(t *testing.T) {
	for _, s := range []string{"", "eight by"} {
		state := someState(s)
		state.RemoteCID = state.LocalCID
		l := newLayer(t, state)
		if _, _, _, err := l.Open(l.seal(t, "echo")); !errors.Is(err, ErrForged) {
			t.Errorf("cid %q: Open() = %v", s, err)
		}
	}
}

// RFC 9146, Section 4: the peer may pad. The zeros go, and those of the text stay.
func TestOpenPadding(t *testing.T) {
	for _, c := range []struct {
		inner string
		kind  ContentType
		want  string
	}{
		{"text\x17", ApplicationData, "text"},
		{"text\x17\x00", ApplicationData, "text"},
		{"text\x00\x00\x17\x00\x00\x00", ApplicationData, "text\x00\x00"},
		{"\x17\x00", ApplicationData, ""},
		{"\x01\x00\x15", Alert, "\x01\x00"},
	} {
		server, client := layers(t, "eight by")
		kind, plain, _, err := server.Open(client.sealInner(c.inner))
		if err != nil || kind != c.kind || string(plain) != c.want {
			t.Errorf("%q: Open() = %d, %q, %v", c.inner, kind, plain, err)
		}
	}
	for _, inner := range []string{"", "\x00", "\x00\x00\x00\x00"} {
		server, client := layers(t, "eight by")
		if kind, plain, _, err := server.Open(client.sealInner(inner)); !errors.Is(err, ErrMalformed) || kind != 0 || plain != nil {
			t.Errorf("%q: Open() = %d, %q, %v", inner, kind, plain, err)
		}
	}
}

// sealInner seals, with a connection ID, a plaintext that may be padded, and holds its type or not.
func (l *Layer) sealInner(inner string) []byte {
	number := 1<<48 | l.out.next
	l.out.next++
	b := []byte{byte(ConnectionID), versionMajor, versionMinor}
	b = binary.BigEndian.AppendUint64(b, number)
	b = append(b, l.state.RemoteCID...)
	b = binary.BigEndian.AppendUint16(b, uint16(explicitNonceSize+len(inner)+tagSize))
	b = binary.BigEndian.AppendUint64(b, number)
	nonce := append(bytes.Clone(l.out.nonce[:saltSize]), b[3:11]...)
	return l.out.aead.Seal(b, nonce, []byte(inner), additionalCID(nil, l.state.RemoteCID, number, len(inner)))
}

// RFC 5288, Section 3: the explicit part of the nonce is the sender's choice, and need not be the sequence number.
func TestOpenOtherExplicitNonce(t *testing.T) {
	server, client := layers(t, "")
	number, text := 1<<48|client.out.next, []byte("text")
	b := binary.BigEndian.AppendUint64([]byte{byte(ApplicationData), versionMajor, versionMinor}, number)
	b = binary.BigEndian.AppendUint16(b, uint16(explicitNonceSize+len(text)+tagSize))
	b = append(b, "anything"...)
	nonce := append(bytes.Clone(client.out.nonce[:saltSize]), "anything"...)
	b = client.out.aead.Seal(b, nonce, text, additional(nil, ApplicationData, number, len(text)))
	if _, plain, _, err := server.Open(b); err != nil || string(plain) != "text" {
		t.Errorf("Open() = %q, %v", plain, err)
	}
}

// RFC 6347, Section 4.1: the session ends before its sequence numbers wrap; what says so is the last record.
func TestSealExhausted(t *testing.T) {
	for _, cid := range cids() {
		state := mirror(someState(cid))
		state.LocalSequence = maxSequence - 2
		client, server := newLayer(t, state), newLayer(t, mirror(state))
		for i := range 2 {
			if _, plain, _, err := server.Open(client.seal(t, "x")); err != nil || string(plain) != "x" {
				t.Fatalf("record %d: Open() = %q, %v", i, plain, err)
			}
		}
		if b, err := client.Seal([]byte("before"), ApplicationData, []byte("x")); !errors.Is(err, ErrExhausted) || string(b) != "before" {
			t.Errorf("Seal() = %q, %v", b, err)
		}
		if _, err := client.Seal(nil, Handshake, []byte("x")); !errors.Is(err, ErrExhausted) {
			t.Errorf("Seal() of a handshake message = %v", err)
		}
		last, err := client.Seal(nil, Alert, []byte{1, 0})
		if err != nil || sequence(last) != maxSequence {
			t.Fatalf("Seal() of an alert = %x, %v", last, err)
		}
		if _, err := client.Seal(nil, Alert, []byte{1, 0}); !errors.Is(err, ErrExhausted) {
			t.Errorf("Seal() of another alert = %v", err)
		}
		if kind, _, newest, err := server.Open(last); err != nil || kind != Alert || !newest {
			t.Errorf("Open() = %d, %t, %v", kind, newest, err)
		}
		if s, err := client.State(); err != nil || s.LocalSequence != maxSequence+1 {
			t.Errorf("State() has %d, %v", s.LocalSequence, err)
		} else if _, err := newLayer(t, s).Seal(nil, Alert, nil); !errors.Is(err, ErrExhausted) {
			t.Errorf("Seal() of the next owner = %v", err)
		}
	}
}

func TestSealTooLong(t *testing.T) {
	for _, cid := range cids() {
		most := MaxPlain
		if cid != "" {
			most--
		}
		server, client := layers(t, cid)
		if b, err := client.Seal(nil, ApplicationData, make([]byte, most+1)); !errors.Is(err, ErrTooLong) || len(b) > 0 {
			t.Errorf("cid %q: Seal() = %d bytes, %v", cid, len(b), err)
		}
		b, err := client.Seal(nil, ApplicationData, make([]byte, most))
		if err != nil || sequence(b) != 1 {
			t.Fatalf("cid %q: Seal() = %v: number %d", cid, err, sequence(b))
		}
		if _, plain, _, err := server.Open(b); err != nil || len(plain) != most {
			t.Errorf("cid %q: Open() = %d bytes, %v", cid, len(plain), err)
		}
	}
}

// Whoever has handed a session on seals, opens and exports nothing any more; the next owner goes on where it was.
func TestState(t *testing.T) {
	for _, cid := range cids() {
		server, client := layers(t, cid)
		old, missed := client.seal(t, "old"), client.seal(t, "missed")
		if _, _, _, err := server.Open(client.seal(t, "new")); err != nil {
			t.Fatal(err)
		}
		ours := server.seal(t, "ours")
		state, err := server.State()
		if err != nil || state.RemoteSequence != 4 || state.LocalSequence != 2 {
			t.Fatalf("State() = %v, numbers %d and %d, %v", state, state.LocalSequence, state.RemoteSequence, err)
		}
		if b, err := server.Seal(nil, Alert, nil); !errors.Is(err, ErrExported) || len(b) > 0 {
			t.Errorf("Seal() = %x, %v", b, err)
		}
		if _, _, _, err := server.Open(bytes.Clone(missed)); !errors.Is(err, ErrExported) {
			t.Errorf("Open() = %v", err)
		}
		if _, err := server.State(); !errors.Is(err, ErrExported) {
			t.Errorf("a second State() = %v", err)
		}
		next := newLayer(t, carried(t, state))
		for name, b := range map[string][]byte{"old": old, "missed": missed} {
			if _, _, _, err := next.Open(b); !errors.Is(err, ErrReplay) {
				t.Errorf("%s: Open() = %v", name, err)
			}
		}
		if _, plain, _, err := next.Open(client.seal(t, "newer")); err != nil || string(plain) != "newer" {
			t.Errorf("Open() = %q, %v", plain, err)
		}
		for _, b := range [][]byte{ours, next.seal(t, "ours")} {
			if _, _, _, err := client.Open(b); err != nil {
				t.Errorf("the peer's Open() = %v", err)
			}
		}
	}
}

// One may seal while another opens.
func TestBothDirections(t *testing.T) {
	server, client := layers(t, "eight by")
	var in [][]byte
	for range 100 {
		in = append(in, client.seal(t, "in"))
	}
	done := make(chan int)
	go func() {
		opened := 0
		for _, b := range in {
			if _, _, _, err := server.Open(b); err == nil {
				opened++
			}
		}
		done <- opened
	}()
	for range 100 {
		server.seal(t, "out")
	}
	if n := <-done; n != 100 {
		t.Errorf("%d records opened, want 100", n)
	}
}
