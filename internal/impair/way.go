package impair

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// Way is one direction of a path. It has no clock and starts nothing. Safe for concurrent use.
type Way struct {
	mu         sync.Mutex
	conditions Conditions
	fates      *rand.Rand // of datagrams, as many numbers for each
	weather    *rand.Rand // of bursts, which come whether anything is sent or not
	bad        bool       // a burst is on,
	until      time.Time  // or over, until then; zero: not begun
	free       time.Time  // when the saturated link has sent all it has
	last       time.Time  // when the newest datagram that was not held back arrives
	choose     func(b []byte) int
	counts     Counts
}

// Delivery is a datagram that arrives.
type Delivery struct {
	At   time.Time
	Data []byte // the receiver's to keep
}

// Counts is what has become of datagrams.
type Counts struct {
	Datagrams uint64 // given to Pass
	Bytes     uint64 // of these
	Largest   int    // of these, in bytes

	Lost      uint64 // by Loss, Burst, Dead and Choose
	Dropped   uint64 // because the queue of a saturated link was full
	TooLong   uint64 // for the MTU
	Delivered uint64 // copies that arrive
	Doubled   uint64 // second copies among these
	HeldBack  uint64 // datagrams of Reorder
	Flipped   uint64 // copies with a bit turned over
}

// NewWay returns a way under these conditions. Shares out of range act as the nearest in range.
func NewWay(c Conditions, seed uint64) *Way {
	return &Way{conditions: c, fates: random(seed, 1), weather: random(seed, 2)}
}

// random is a generator of its own for each seed and purpose.
func random(seed, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, purpose)) //nolint:gosec // a test has to repeat what happened, and hides nothing
}

// Set changes the conditions for what comes from now on; what is under way arrives as it would have.
func (w *Way) Set(c Conditions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.Burst != w.conditions.Burst {
		w.until = time.Time{}
	}
	w.conditions = c
}

// Conditions returns those in force.
func (w *Way) Conditions() Conditions {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conditions
}

// Choose lets f say how many copies of a datagram go on, before the conditions are asked; 0 loses it. It must not call the way,
// nor keep or change b. nil: one of each.
func (w *Way) Choose(f func(b []byte) int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.choose = f
}

// Counts returns what has become of datagrams so far.
func (w *Way) Counts() Counts {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts
}

// Pass sends a datagram at a time, and says what arrives of it and when: nothing, or copies in any order. It keeps no part of
// datagram. Times must not go back.
func (w *Way) Pass(now time.Time, datagram []byte) []Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts.Datagrams++
	w.counts.Bytes += uint64(len(datagram))
	w.counts.Largest = max(w.counts.Largest, len(datagram))
	copies := 1
	if w.choose != nil {
		copies = w.choose(datagram)
	}
	if copies <= 0 {
		w.counts.Lost++
	}
	var arriving []Delivery
	for range copies {
		arriving = append(arriving, w.pass(now, datagram)...)
	}
	w.counts.Delivered += uint64(len(arriving))
	return arriving
}

// Stream sends n bytes of a stream at a time: nothing of it is lost, doubled or reordered. It says when they arrive, after Rate, Delay
// and Jitter; where the path is Dead or in a burst now they cannot leave, and ok is false: ask again later. Whoever asks bounds what
// is under way: Queue holds for datagrams. Lost counts the refusals.
func (w *Way) Stream(now time.Time, n int) (at time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.conditions
	if w.storm(now) || c.Dead {
		w.counts.Lost++
		return time.Time{}, false
	}
	w.counts.Bytes += uint64(n)
	f := w.draw()
	at = w.depart(now, n).Add(c.Delay + time.Duration(f.jitter*float64(c.Jitter)))
	if at.Before(w.last) {
		at = w.last
	}
	w.last = at
	return at, true
}

// fate is what is drawn for each datagram, whether the conditions ask or not.
type fate struct {
	loss, jitter, reorder, hold, duplicate, again float64
	flip                                          [2]float64
	bit                                           [2]uint64
}

func (w *Way) draw() (f fate) {
	for _, u := range []*float64{&f.loss, &f.jitter, &f.reorder, &f.hold, &f.duplicate, &f.again, &f.flip[0], &f.flip[1]} {
		*u = w.fates.Float64()
	}
	f.bit = [2]uint64{w.fates.Uint64(), w.fates.Uint64()}
	return f
}

func (w *Way) pass(now time.Time, b []byte) []Delivery {
	f, c := w.draw(), w.conditions
	storm := w.storm(now)
	if c.MTU > 0 && len(b) > c.MTU {
		w.counts.TooLong++
		return nil
	}
	sent, ok := w.transmit(now, len(b))
	if !ok {
		w.counts.Dropped++
		return nil
	}
	if c.Dead || storm || f.loss < c.Loss {
		w.counts.Lost++
		return nil
	}
	at := sent.Add(c.Delay + time.Duration(f.jitter*float64(c.Jitter)))
	if at.Before(w.last) {
		at = w.last
	}
	first := at
	if f.reorder < c.Reorder {
		w.counts.HeldBack++
		first = at.Add(c.hold(f.hold))
	} else {
		w.last = at
	}
	arriving := []Delivery{{first, w.copy(b, f, 0)}}
	if f.duplicate < c.Duplicate {
		w.counts.Doubled++
		arriving = append(arriving, Delivery{first.Add(c.hold(f.again)), w.copy(b, f, 1)})
	}
	return arriving
}

// copy is the first or second copy of a datagram as it arrives.
func (w *Way) copy(b []byte, f fate, n int) []byte {
	b = bytes.Clone(b)
	if f.flip[n] < w.conditions.Flip && len(b) > 0 {
		w.counts.Flipped++
		bit := f.bit[n] % uint64(8*len(b))
		b[bit/8] ^= 1 << (bit % 8)
	}
	return b
}

// transmit says when a datagram of so many bytes has left a saturated link; ok is false where the link's queue has no room for it.
// What is lost later has taken its time, too.
func (w *Way) transmit(now time.Time, size int) (sent time.Time, ok bool) {
	rate := w.conditions.Rate
	if waiting := w.free.Sub(now).Seconds() * float64(rate); rate > 0 && max(waiting, 0)+float64(size) > float64(w.conditions.queue()) {
		return now, false
	}
	return w.depart(now, size), true
}

// depart says when so many bytes have left, however many wait before them.
func (w *Way) depart(now time.Time, size int) time.Time {
	rate := w.conditions.Rate
	if rate <= 0 {
		return now
	}
	if w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(float64(size) / float64(rate) * float64(time.Second)))
	return w.free
}

// mostPeriods bounds the periods that are gone through one by one after a pause; a longer one has no memory of what was.
const mostPeriods = 10_000

// storm tells whether a burst of loss is on.
func (w *Way) storm(now time.Time) bool {
	b := w.conditions.Burst
	switch {
	case b.Share <= 0:
		return false
	case b.Share >= 1:
		return true
	case b.Mean <= 0:
		b.Mean = time.Second
	}
	cycle := time.Duration(float64(b.Mean) / b.Share)
	if w.until.IsZero() || now.Sub(w.until)/mostPeriods > cycle {
		w.bad = w.weather.Float64() < b.Share
		w.until = now.Add(w.period(b))
	}
	for !now.Before(w.until) {
		w.bad = !w.bad
		w.until = w.until.Add(w.period(b))
	}
	return w.bad
}

// period is how long the period lasts that begins.
func (w *Way) period(b Burst) time.Duration {
	mean := float64(b.Mean)
	if !w.bad {
		mean *= (1 - b.Share) / b.Share
	}
	return 1 + time.Duration(w.weather.ExpFloat64()*mean)
}

// The headers of IP and UDP, in bytes.
const (
	headersIPv4 = 20 + 8
	headersIPv6 = 40 + 8
)

// Payload is the longest datagram that an IP packet of so many bytes carries between addresses of this family.
func Payload(packet int, a netip.Addr) int {
	if a.Unmap().Is4() {
		return packet - headersIPv4
	}
	return packet - headersIPv6
}

// Packet is the size of the IP packet that carries a datagram of so many bytes between addresses of this family.
func Packet(datagram int, a netip.Addr) int { return datagram - Payload(0, a) }
