package downstream

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Bounds of what repeats keeps: 12 MB of usual requests, about twice as much of the worst.
const (
	repeatSets = 4096 // each of two requests
	repeatSize = 384  // bytes of options and payload; a longer request is read each time
)

// repeats remembers PUTs of mitigations as they were read, and what they were answered. A refresh is nearly always the same request again, byte
// for byte, and what the same bytes mean is the same whoever sends them: who asks is no part of it. Two requests of one set that push each other out
// are read each time. Safe for concurrent use; the zero value is unusable.
type repeats struct {
	seed maphash.Seed
	sets [repeatSets][2]atomic.Pointer[repeat]
}

// repeat is a request that was read. Nobody changes it.
type repeat struct {
	raw     []byte // coap.Exchange.Raw
	path    []string
	profile wire.Profile
	meant   wire.Request
	answer  atomic.Pointer[repeatAnswer] // the newest
}

// repeatAnswer is an answer as it was written. Nobody changes it.
type repeatAnswer struct {
	code     dots.Code
	mid      uint32
	lifetime dots.Lifetime
	message  *coap.Message
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed()} }

// find returns the request that a PUT repeats; nil: none that is known.
func (r *repeats) find(raw []byte) *repeat {
	if len(raw) == 0 || len(raw) > repeatSize {
		return nil
	}
	set := r.set(raw)
	for i := range set {
		if known := set[i].Load(); known != nil && bytes.Equal(known.raw, raw) {
			return known
		}
	}
	return nil
}

// keep remembers a PUT that was read, and returns what is kept; nil: nothing is. meant is copied; what it points to must not be changed any more.
func (r *repeats) keep(raw []byte, path []string, profile wire.Profile, meant *wire.Request) *repeat {
	if len(raw) == 0 || len(raw) > repeatSize || meant.Op != wire.PutMitigation {
		return nil
	}
	newest := &repeat{raw: bytes.Clone(raw), path: path, profile: profile, meant: *meant}
	set := r.set(raw)
	set[1].Store(set[0].Swap(newest))
	return newest
}

// set is where a request is kept.
func (r *repeats) set(raw []byte) *[2]atomic.Pointer[repeat] {
	return &r.sets[maphash.Bytes(r.seed, raw)%repeatSets]
}

// answered returns the message that says an answer, if it is the newest that was kept; else nil.
func (r *repeat) answered(a *dots.Answer) *coap.Message {
	if r == nil || a.Conflict.Set {
		return nil
	}
	if said := r.answer.Load(); said != nil && said.code == a.Code && said.mid == a.MID && said.lifetime == a.Lifetime {
		return said.message
	}
	return nil
}

// note keeps an answer as it was written instead of an older one.
func (r *repeat) note(a *dots.Answer, m *coap.Message) {
	if r != nil && !a.Conflict.Set {
		r.answer.Store(&repeatAnswer{code: a.Code, mid: a.MID, lifetime: a.Lifetime, message: m})
	}
}
