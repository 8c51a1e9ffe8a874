package coap

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/plgd-dev/go-coap/v3/message"
)

func request(mid uint16, token string) packet {
	return packet{typ: message.Confirmable, mid: mid, token: []byte(token)}
}

// at is a clock that stands.
func at(now time.Time) func() time.Time { return func() time.Time { return now } }

// RFC 7252, Section 4.5.
func TestDuplicatesFind(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	r := d.at(d.add(request(1, "ab"), now.Add(time.Minute), now, 10))
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
	if d.held() != 1 {
		t.Errorf("%d remembered", d.held())
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
	d.answer(r, make([]byte, maxReplyBytes), at(now))
	want("full of one reply", 1)
	r = d.add(request(5, "t"), now.Add(time.Minute), now, 3)
	d.answer(r, []byte{1}, at(now))
	want("a byte too many", 2)
	r = d.add(request(6, "t"), now.Add(time.Hour), now, 3)
	now = now.Add(time.Minute)
	d.answer(r, make([]byte, maxReplyBytes), at(now))
	want("expired, and pushed out by a late reply", 2)
}

func TestDuplicatesReusedID(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	old := d.add(request(1, "old"), now.Add(time.Minute), now, 2)
	fresh := d.add(request(1, "new"), now.Add(time.Minute), now, 2)
	d.answer(old, []byte("late"), at(now))
	d.answer(fresh, []byte("answer"), at(now))
	if d.find(request(1, "old"), now) != nil || d.find(request(1, "new"), now) != d.at(fresh) {
		t.Fatal("the newer request does not own its id")
	}
	if d.bytes != len("answer") {
		t.Fatalf("%d bytes", d.bytes)
	}
	d.add(request(2, "x"), now.Add(time.Minute), now, 2) // drops old from the queue
	if d.find(request(1, "new"), now) != d.at(fresh) {
		t.Fatal("dropping the old entry took the new one along")
	}
}

func TestDuplicatesBytes(t *testing.T) {
	now := time.Unix(1000, 0)
	var d duplicates
	reply := make([]byte, 1000)
	for i := range uint16(100) {
		d.answer(d.add(request(i, "t"), now.Add(time.Minute), now, 1000), reply, at(now))
	}
	if d.bytes > maxReplyBytes || d.bytes != 1000*d.held() || d.held() != 65 {
		t.Fatalf("%d bytes in %d entries", d.bytes, d.held())
	}
	if d.find(request(99, "t"), now) == nil || d.find(request(34, "t"), now) != nil {
		t.Fatal("not the oldest went")
	}
}

// Whatever comes in whatever order, what is remembered is what a plain list of the newest would hold.
func TestDuplicatesAgainstList(t *testing.T) {
	type kept struct {
		p       packet
		expires time.Time
		n       uint64
		reply   string
	}
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		now, limit := time.Unix(1000, 0), 1+random.IntN(40)
		var d duplicates
		var list []kept
		for step := range 3000 {
			now = now.Add(time.Duration(random.ExpFloat64() * float64(time.Second)))
			mid := uint16(random.IntN(4 * limit))
			p := request(mid*256, string(rune('a'+random.IntN(2)))) // ids that meet in one place
			newest := -1
			for i := range list {
				if list[i].p.mid == p.mid {
					newest = i
				}
			}
			want := newest >= 0 && string(list[newest].p.token) == string(p.token) && now.Before(list[newest].expires)
			r := d.find(p, now)
			if (r != nil) != want || want && string(r.reply) != list[newest].reply {
				t.Fatalf("seed %d, step %d: found %v, want %v", seed, step, r, want)
			}
			if want {
				list[newest].reply = string(p.token) + "!"
				d.answer(list[newest].n, []byte(list[newest].reply), at(now))
				continue
			}
			for len(list) > 0 && (len(list) >= limit || !now.Before(list[0].expires)) {
				list = list[1:]
			}
			expires := now.Add(time.Duration(10+random.IntN(20)) * time.Second)
			list = append(list, kept{p: p, expires: expires, n: d.add(p, expires, now, limit)})
			if d.held() != len(list) || len(d.ring) > max(fewRemembered, 4*len(list)) {
				t.Fatalf("seed %d, step %d: %d remembered in a ring of %d, want %d", seed, step, d.held(), len(d.ring), len(list))
			}
		}
	}
}
