package coap

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

func request(mid uint16, token string) packet {
	return packet{typ: message.Confirmable, mid: mid, token: []byte(token)}
}

// RFC 7252, Section 4.5.
func TestDuplicatesFind(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	r := d.add(request(1, "ab"), now.Add(time.Minute), now, 10)
	for _, tc := range []struct {
		name string
		p    packet
		at   time.Time
		want bool
	}{
		{"the same", request(1, "ab"), now, true},
		{"just before the end", request(1, "ab"), now.Add(time.Minute - 1), true},
		{"at the end", request(1, "ab"), now.Add(time.Minute), false},
		{"another id", request(2, "ab"), now, false},
		{"another token", request(1, "ac"), now, false},
		{"a shorter token", request(1, "a"), now, false},
		{"a longer token", request(1, "abc"), now, false},
		{"another type", packet{typ: message.NonConfirmable, mid: 1, token: []byte("ab")}, now, false},
	} {
		if got := d.find(tc.p, tc.at); (got == r) != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestDuplicatesForget(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	for i := range uint16(5) {
		d.add(request(i, "t"), now.Add(time.Minute), now, 3)
	}
	for i, want := range []bool{false, false, true, true, true} {
		if got := d.find(request(uint16(i), "t"), now) != nil; got != want {
			t.Errorf("%d: %v", i, got)
		}
	}
	later := now.Add(2 * time.Minute)
	d.add(request(9, "t"), later.Add(time.Minute), later, 3)
	if len(d.queue) != 1 || len(d.byMID) != 1 {
		t.Errorf("%d queued, %d by id", len(d.queue), len(d.byMID))
	}
}

// What is forgotten before its time is counted, and nothing else: not what expired, and not what is taken over.
func TestDuplicatesEarly(t *testing.T) {
	now := time.Unix(1000, 0)
	var early atomic.Uint64
	d := duplicates{early: &early}
	want := func(what string, n uint64) {
		t.Helper()
		if got := early.Load(); got != n {
			t.Fatalf("%s: %d forgotten, want %d", what, got, n)
		}
	}
	for i := range uint16(3) {
		d.add(request(i, "t"), now.Add(time.Minute), now, 3)
	}
	want("full", 0)
	d.add(request(3, "t"), now.Add(time.Minute), now, 3)
	want("one too many", 1)
	now = now.Add(time.Minute)
	r := d.add(request(4, "t"), now.Add(time.Minute), now, 3)
	want("expired", 1)
	d.answer(r, make([]byte, maxReplyBytes), now)
	want("full of one reply", 1)
	r = d.add(request(5, "t"), now.Add(time.Minute), now, 3)
	d.answer(r, []byte{1}, now)
	want("a byte too many", 2)
	r = d.add(request(6, "t"), now.Add(time.Hour), now, 3)
	now = now.Add(time.Minute)
	d.answer(r, make([]byte, maxReplyBytes), now)
	want("expired, and pushed out by a late reply", 2)
}

func TestDuplicatesReusedID(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	old := d.add(request(1, "old"), now.Add(time.Minute), now, 2)
	fresh := d.add(request(1, "new"), now.Add(time.Minute), now, 2)
	d.answer(old, []byte("late"), now)
	d.answer(fresh, []byte("answer"), now)
	if d.find(request(1, "old"), now) != nil || d.find(request(1, "new"), now) != fresh {
		t.Fatal("the newer request does not own its id")
	}
	if d.bytes != len("answer") {
		t.Fatalf("%d bytes", d.bytes)
	}
	d.add(request(2, "x"), now.Add(time.Minute), now, 2) // drops old from the queue
	if d.find(request(1, "new"), now) != fresh {
		t.Fatal("dropping the old entry took the new one along")
	}
}

func TestDuplicatesBytes(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	reply := make([]byte, 1000)
	for i := range uint16(100) {
		d.answer(d.add(request(i, "t"), now.Add(time.Minute), now, 1000), reply, now)
	}
	if d.bytes > maxReplyBytes || d.bytes != 1000*len(d.queue) || len(d.queue) != 65 {
		t.Fatalf("%d bytes in %d entries", d.bytes, len(d.queue))
	}
	if d.find(request(99, "t"), now) == nil || d.find(request(34, "t"), now) != nil {
		t.Fatal("not the oldest went")
	}
}
