package impair

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// epoch is when the tests of a way begin: it has no clock.
func epoch() time.Time { return time.Unix(0, 0) }

// run passes n datagrams, every so often, and returns what arrived of each.
func run(w *Way, n int, every time.Duration) [][]Delivery {
	arrived := make([][]Delivery, n)
	for i := range n {
		arrived[i] = w.Pass(epoch().Add(time.Duration(i)*every), fmt.Appendf(nil, "%08d", i))
	}
	return arrived
}

// near checks a share of n draws: five standard deviations, so that no seed is unlucky.
func near(t *testing.T, what string, got uint64, n int, want float64) {
	t.Helper()
	share := float64(got) / float64(n)
	if room := 5 * math.Sqrt(want*(1-want)/float64(n)); math.Abs(share-want) > room {
		t.Errorf("%s: %.4f, want %.4f within %.4f", what, share, want, room)
	}
}

func TestPerfectWay(t *testing.T) {
	w := NewWay(Conditions{}, 1)
	in := []byte("datagram")
	got := w.Pass(epoch(), in)
	in[0] = 'X'
	if want := []Delivery{{epoch(), []byte("datagram")}}; !reflect.DeepEqual(got, want) {
		t.Errorf("Pass() = %v, want %v", got, want)
	}
	if want := (Counts{Datagrams: 1, Bytes: 8, Largest: 8, Delivered: 1}); w.Counts() != want {
		t.Errorf("Counts() = %+v, want %+v", w.Counts(), want)
	}
}

func TestShares(t *testing.T) {
	const n = 20_000
	for _, share := range []float64{0, 0.01, 0.5, 0.9, 1} {
		w := NewWay(Conditions{Loss: share}, 7)
		run(w, n, time.Millisecond)
		near(t, "lost", w.Counts().Lost, n, share)
		w = NewWay(Conditions{Reorder: share, Duplicate: share, Flip: share}, 7)
		run(w, n, time.Millisecond)
		c := w.Counts()
		near(t, "held back", c.HeldBack, n, share)
		near(t, "doubled", c.Doubled, n, share)
		near(t, "flipped", c.Flipped, int(c.Delivered), share)
		if c.Delivered != n+c.Doubled || c.Lost != 0 {
			t.Errorf("at %v: %+v", share, c)
		}
	}
}

// TestSeeds: a seed repeats everything, another one does not.
func TestSeeds(t *testing.T) {
	c := Conditions{
		Loss: 0.2, Burst: Burst{Share: 0.2, Mean: 20 * time.Millisecond}, Delay: time.Second, Jitter: time.Second,
		Reorder: 0.2, Duplicate: 0.2, Flip: 0.2,
	}
	first := run(NewWay(c, 1), 1000, time.Millisecond)
	if again := run(NewWay(c, 1), 1000, time.Millisecond); !reflect.DeepEqual(first, again) {
		t.Error("the same seed gave other fates")
	}
	if other := run(NewWay(c, 2), 1000, time.Millisecond); reflect.DeepEqual(first, other) {
		t.Error("another seed gave the same fates")
	}
}

// TestConditionsAreIndependent: what is lost is the same datagrams whatever else happens.
func TestConditionsAreIndependent(t *testing.T) {
	bare := run(NewWay(Conditions{Loss: 0.5}, 3), 2000, time.Millisecond)
	busy := run(NewWay(Conditions{Loss: 0.5, Jitter: time.Second, Reorder: 0.5, Duplicate: 0.5, Flip: 0.5}, 3), 2000, time.Millisecond)
	for i := range bare {
		if (len(bare[i]) == 0) != (len(busy[i]) == 0) {
			t.Fatalf("datagram %d: %d copies, and %d with other conditions", i, len(bare[i]), len(busy[i]))
		}
	}
}

func TestBurst(t *testing.T) {
	const n, every = 1_000_000, time.Millisecond // 1000 s, so some thousand periods
	for _, b := range []Burst{{0.3, 200 * time.Millisecond}, {0.8, 50 * time.Millisecond}} {
		w := NewWay(Conditions{Burst: b}, 5)
		periods, lost, bad := 0, 0, false
		for i := range n {
			was := bad
			if bad = w.storm(epoch().Add(time.Duration(i) * every)); bad {
				lost++
			}
			if bad && !was {
				periods++
			}
		}
		if share := float64(lost) / n; math.Abs(share-b.Share) > 0.03 {
			t.Errorf("%+v: %.3f of the time is bad", b, share)
		}
		if mean := time.Duration(lost/periods) * every; mean < b.Mean*9/10 || mean > b.Mean*11/10 {
			t.Errorf("%+v: a bad period lasts %v", b, mean)
		}
	}
}

func TestBurstExtremes(t *testing.T) {
	w := NewWay(Conditions{Burst: Burst{Share: 1}}, 1)
	run(w, 100, time.Second)
	if c := w.Counts(); c.Lost != 100 {
		t.Errorf("always bad: %+v", c)
	}
	w = NewWay(Conditions{Burst: Burst{Share: 0.5}}, 1) // a second each
	run(w, 10_000, time.Second)
	if c := w.Counts(); c.Lost < 4000 || c.Lost > 6000 {
		t.Errorf("half of the time: %+v", c)
	}
	for i := range 100 { // a pause of ten years ends in no time
		w.Pass(epoch().AddDate(10*(i+1), 0, 0), nil)
	}
}

// TestJitterKeepsOrder, and Reorder does not.
func TestJitterKeepsOrder(t *testing.T) {
	order := func(c Conditions) (inversions int, least, most time.Duration) {
		last, least := time.Time{}, time.Hour
		for i, d := range run(NewWay(c, 9), 5000, time.Millisecond) {
			took := d[0].At.Sub(epoch().Add(time.Duration(i) * time.Millisecond))
			least, most = min(least, took), max(most, took)
			if d[0].At.Before(last) {
				inversions++
			}
			last = d[0].At
		}
		return inversions, least, most
	}
	n, least, most := order(Conditions{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond})
	if n != 0 || least < 20*time.Millisecond || most > 50*time.Millisecond || most < 49*time.Millisecond {
		t.Errorf("jitter: %d overtaken, %v to %v", n, least, most)
	}
	n, least, most = order(Conditions{Delay: 20 * time.Millisecond, Reorder: 0.25, Hold: 100 * time.Millisecond})
	if n < 500 || least != 20*time.Millisecond || most > 120*time.Millisecond || most < 110*time.Millisecond {
		t.Errorf("reorder: %d overtaken, %v to %v", n, least, most)
	}
}

func TestFlipTurnsOneBit(t *testing.T) {
	w := NewWay(Conditions{Flip: 1, Duplicate: 1}, 2)
	sent := bytes.Repeat([]byte{0x5a}, 40)
	places := make(map[int]bool)
	for range 200 {
		for _, d := range w.Pass(epoch(), sent) {
			turned := 0
			for i := range d.Data {
				if x := d.Data[i] ^ sent[i]; x != 0 {
					turned += bits.OnesCount8(x)
					places[i] = true
				}
			}
			if turned != 1 {
				t.Fatalf("%d bits turned over", turned)
			}
		}
	}
	if len(places) < 35 {
		t.Errorf("only %d bytes of 40 were ever hit", len(places))
	}
	if got := w.Pass(epoch(), nil); len(got[0].Data) != 0 {
		t.Errorf("an empty datagram became %x", got[0].Data)
	}
}

func TestDead(t *testing.T) {
	w := NewWay(Conditions{Delay: time.Second}, 1)
	w.Set(Conditions{Dead: true})
	if !w.Conditions().Dead || len(w.Pass(epoch(), []byte{1})) != 0 {
		t.Error("a dead way lets something through")
	}
	w.Set(Conditions{})
	if len(w.Pass(epoch(), []byte{1})) != 1 {
		t.Error("it does not come back")
	}
}

func TestMTU(t *testing.T) {
	w := NewWay(Conditions{MTU: 100}, 1)
	w.Pass(epoch(), make([]byte, 100))
	w.Pass(epoch(), make([]byte, 101))
	if c := w.Counts(); c.Delivered != 1 || c.TooLong != 1 || c.Largest != 101 {
		t.Errorf("%+v", c)
	}
}

// TestRate: 1000 bytes a second, and room for 250.
func TestRate(t *testing.T) {
	w := NewWay(Conditions{Rate: 1000, Queue: 250, Delay: time.Second}, 1)
	var arrived []time.Duration
	send := func(at time.Duration, size int) {
		for _, d := range w.Pass(epoch().Add(at), make([]byte, size)) {
			arrived = append(arrived, d.At.Sub(epoch()))
		}
	}
	send(0, 100)
	send(0, 100)
	send(0, 100) // 300 would wait
	send(0, 50)
	send(100*time.Millisecond, 100) // 150 wait by then
	send(time.Second, 100)          // none
	want := []time.Duration{1100, 1200, 1250, 1350, 2100}
	for i := range want {
		want[i] *= time.Millisecond
	}
	if !slices.Equal(arrived, want) {
		t.Errorf("arrived at %v, want %v", arrived, want)
	}
	if c := w.Counts(); c.Dropped != 1 {
		t.Errorf("%+v", c)
	}
}

// TestRateOverload: at five times the rate, a fifth gets through, after the time that the queue stands for.
func TestRateOverload(t *testing.T) {
	w := NewWay(Conditions{Rate: 125_000}, 1)
	var most time.Duration
	for i := range 10_000 {
		now := epoch().Add(time.Duration(i) * 1600 * time.Microsecond)
		for _, d := range w.Pass(now, make([]byte, 1000)) {
			most = max(most, d.At.Sub(now))
		}
	}
	c := w.Counts()
	if share := float64(c.Delivered) / float64(c.Datagrams); share < 0.19 || share > 0.22 {
		t.Errorf("%.3f got through", share)
	}
	if whole := time.Duration(DefaultQueue) * time.Second / 125_000; most > whole || most < whole*9/10 {
		t.Errorf("it took up to %v, and the queue is %v long", most, whole)
	}
}

// TestStream: bytes come in order, at the rate, and wait while the path is dead.
func TestStream(t *testing.T) {
	w := NewWay(Conditions{Rate: 1000, Queue: 1, Delay: time.Second, Jitter: 100 * time.Millisecond, Loss: 1, Flip: 1, MTU: 1}, 1)
	last := epoch()
	for i := range 50 {
		at, ok := w.Stream(epoch(), 100)
		least := epoch().Add(time.Duration(1000+100*(i+1)) * time.Millisecond)
		if !ok || at.Before(last) || at.Before(least) || at.After(least.Add(100*time.Millisecond)) {
			t.Fatalf("part %d arrives at %v, %v; after %v", i, at.Sub(epoch()), ok, least.Sub(epoch()))
		}
		last = at
	}
	if w.Set(Conditions{Dead: true}); w.Counts().Bytes != 5000 {
		t.Errorf("%+v", w.Counts())
	}
	if _, ok := w.Stream(epoch(), 1); ok {
		t.Error("a dead path took it")
	}
	w.Set(Conditions{Burst: Burst{Share: 1}})
	if _, ok := w.Stream(epoch(), 1); ok || w.Counts().Lost != 2 {
		t.Errorf("a burst: %v, %+v", ok, w.Counts())
	}
}

func TestChoose(t *testing.T) {
	w := NewWay(Conditions{}, 1)
	w.Choose(func(b []byte) int { return int(b[0]) })
	for n := range byte(4) {
		if got := len(w.Pass(epoch(), []byte{n})); got != int(n) {
			t.Errorf("%d copies, want %d", got, n)
		}
	}
	if c := w.Counts(); c.Lost != 1 || c.Datagrams != 4 || c.Delivered != 6 {
		t.Errorf("%+v", c)
	}
	w.Choose(nil)
	if got := len(w.Pass(epoch(), []byte{0})); got != 1 {
		t.Errorf("%d copies without a choice", got)
	}
}

func TestPacketSizes(t *testing.T) {
	v4, v6, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.1")
	for a, want := range map[netip.Addr]int{v4: 1252, v6: 1232, mapped: 1252} {
		if got := Payload(1280, a); got != want || Packet(got, a) != 1280 {
			t.Errorf("%v: Payload() = %d, want %d; Packet() = %d", a, got, want, Packet(got, a))
		}
	}
}

func TestValidate(t *testing.T) {
	good := Conditions{Loss: 1, Burst: Burst{0.5, time.Second}, Delay: 1, Jitter: 1, Reorder: 1, Hold: 1, Duplicate: 1, Flip: 1, Rate: 1, Queue: 1, MTU: 1}
	for _, c := range []Conditions{{}, good} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for word, c := range map[string]Conditions{
		"loss": {Loss: 1.1}, "burst is": {Burst: Burst{Share: -1}}, "burst length": {Burst: Burst{Mean: -1}}, "delay": {Delay: -1},
		"jitter": {Jitter: -1}, "reorder": {Reorder: 2}, "hold": {Hold: -1}, "duplicate": {Duplicate: 2}, "flip": {Flip: math.NaN()},
		"rate": {Rate: -1}, "queue": {Queue: -1}, "MTU": {MTU: -1},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", word, err)
		}
	}
}
