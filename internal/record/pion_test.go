package record

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// Known answers: what the library seals we open, what we seal it opens, at both ends and for each suite; and our records are
// its records, byte for byte (RFC 9325, Section 7.2.1 gives both the same nonces).
func TestAgainstPion(t *testing.T) {
	for name, s := range suites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("server", func(t *testing.T) {
				server, client := shake(t, s)
				talk(t, server, client)
			})
			t.Run("client", func(t *testing.T) {
				server, client := shake(t, s)
				talk(t, client, server)
			})
		})
	}
}

// talk replaces ours by a layer and lets it talk to the library's other end.
func talk(t *testing.T, ours, theirs end) {
	t.Helper()
	ours.pipe.cut()
	ours.pipe.take()
	state := ours.export(t)
	l := newLayer(t, state)
	theirs.pipe.cut()
	theirs.pipe.take()
	for i, text := range []string{"first", "", string(bytes.Repeat([]byte("long"), 300))} {
		if _, err := theirs.conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		theirRecord := theirs.pipe.take()[0]
		kind, plain, newest, err := l.Open(bytes.Clone(theirRecord))
		if err != nil || kind != ApplicationData || string(plain) != text || !newest {
			t.Fatalf("Open() = %d, %q, %t, %v, want %q", kind, plain, newest, err, text)
		}
		if _, _, _, err := l.Open(theirRecord); !errors.Is(err, ErrReplay) {
			t.Fatalf("the second Open() = %v", err)
		}
		answer := fmt.Sprintf("%d: %s", i, text)
		ourRecord := l.seal(t, answer)
		if want := overhead(state, answer); len(ourRecord) != want || l.Overhead() != want-len(answer) {
			t.Errorf("Seal() gives %d bytes, want %d, Overhead() = %d", len(ourRecord), want, l.Overhead())
		}
		if _, err := ours.conn.Write([]byte(answer)); err != nil {
			t.Fatal(err)
		}
		if want := ours.pipe.take()[0]; !bytes.Equal(ourRecord, want) {
			t.Fatalf("Seal() = %x\nthe library's %x", ourRecord, want)
		}
		theirs.pipe.in <- ourRecord
		buf := make([]byte, 4096)
		if n, err := theirs.conn.Read(buf); err != nil || string(buf[:n]) != answer {
			t.Fatalf("the library read %q, %v, want %q", buf[:n], err, answer)
		}
	}
}

// overhead is how long a record is (RFC 6347, Section 4.1; RFC 9146, Section 4; RFC 5288, Section 3).
func overhead(s State, plain string) int {
	n := 13 + 8 + len(plain) + 16
	if len(s.RemoteCID) > 0 {
		n += len(s.RemoteCID) + 1
	}
	return n
}

// The alerts that we seal are alerts to the library: close_notify ends the session.
func TestAlertToPion(t *testing.T) {
	server, client := shake(t, suites()["cid"])
	l := server.layer(t)
	b, err := l.Seal(nil, Alert, []byte{1, 0})
	if err != nil {
		t.Fatal(err)
	}
	client.pipe.take()
	client.pipe.in <- b
	if n, err := client.conn.Read(make([]byte, 10)); err == nil {
		t.Fatalf("Read() = %d after close_notify", n)
	}
	// RFC 5246, Section 7.2.1: it answers with one of its own.
	answers := client.pipe.take()
	if len(answers) == 0 {
		t.Fatal("no answer to close_notify")
	}
	if kind, plain, _, err := l.Open(answers[0]); err != nil || kind != Alert || !bytes.Equal(plain, []byte{1, 0}) {
		t.Errorf("the answer is %d, %x, %v", kind, plain, err)
	}
}

// No nonce comes twice under one key: not when a session is taken over from the library, nor when it is handed on.
func TestNonces(t *testing.T) {
	for name, s := range suites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := shake(t, s)
			for range 3 {
				if _, err := server.conn.Write([]byte("the library's")); err != nil {
					t.Fatal(err)
				}
			}
			l := server.layer(t)
			sent := server.pipe.take()
			for generation := range 3 {
				for i := range 5 {
					sent = append(sent, l.seal(t, fmt.Sprint(generation, i)))
				}
				state, err := l.State()
				if err != nil {
					t.Fatal(err)
				}
				if b, err := l.Seal(nil, ApplicationData, []byte("late")); err == nil {
					sent = append(sent, b)
				}
				l = newLayer(t, carried(t, state))
			}
			if n := distinct(t, sent, s.clientCID); n != 1+3+3*5 {
				t.Errorf("%d nonces of epoch 1, want %d", n, 1+3+3*5)
			}
		})
	}
}

// carried is the state as another process reads it.
func carried(t *testing.T, s State) State {
	t.Helper()
	b, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var read State
	if err := read.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	return read
}

// distinct counts the protected records of the datagrams, each of which must have a nonce of its own.
func distinct(t *testing.T, datagrams [][]byte, cid int) int {
	t.Helper()
	used := map[string][]byte{}
	for _, d := range datagrams {
		for record, rest := Next(d, cid); record != nil; record, rest = Next(rest, cid) {
			if Epoch(record) == 0 {
				continue
			}
			header := headerSize
			if ContentType(record[0]) == ConnectionID {
				header += cid
			}
			nonce := string(record[header : header+explicitNonceSize])
			if before, ok := used[nonce]; ok && !bytes.Equal(before, record) {
				t.Errorf("nonce %x sealed two records", nonce)
			}
			used[nonce] = record
		}
	}
	return len(used)
}
