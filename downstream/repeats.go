package downstream

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/dotsgate/dotsgate/wire"
)

// Bounds of what repeats keeps: 10 MB of usual requests, about twice as much of the worst.
const (
	repeatSets    = 4096 // each of two requests
	repeatPayload = 256  // bytes; a longer request is read each time
)

// repeats remembers requests as they were read. A refresh is nearly always the same request again, byte for byte, and what the same bytes mean is the
// same whoever sends them: who asks is no part of it. Two requests of one set that push each other out are read each time. Safe for concurrent
// use; the zero value is unusable.
type repeats struct {
	seed maphash.Seed
	sets [repeatSets][2]atomic.Pointer[repeat]
}

// repeat is a request that was read. Nobody changes it.
type repeat struct {
	profile string // its name
	said    wire.CoAPRequest
	meant   wire.Request
}

func newRepeats() *repeats { return &repeats{seed: maphash.MakeSeed()} }

// read reads a request as the profile does. What the result points to is shared with others who sent the same, and must not be changed.
func (r *repeats) read(profile wire.Profile, m wire.CoAPRequest) (wire.Request, error) {
	if m.Method != wire.PUT || len(m.Payload) > repeatPayload || len(m.Path) == 0 {
		return profile.DecodeRequest(m)
	}
	set := &r.sets[r.place(m)%repeatSets]
	for i := range set {
		if known := set[i].Load(); known != nil && known.profile == profile.Name() && same(known.said, m) {
			return known.meant, nil
		}
	}
	req, err := profile.DecodeRequest(m)
	if err == nil && req.Op == wire.PutMitigation {
		m.Payload = bytes.Clone(m.Payload) // it is the message's
		newest := &repeat{profile: profile.Name(), said: m, meant: req}
		set[1].Store(set[0].Swap(newest))
	}
	return req, err
}

// place is where a request is kept: requests for the same of other clients and of other mitigations differ in the last two parts of their paths.
func (r *repeats) place(m wire.CoAPRequest) uint64 {
	place := maphash.Bytes(r.seed, m.Payload)
	for _, part := range m.Path[max(len(m.Path)-2, 0):] {
		place = place*31 + maphash.String(r.seed, part)
	}
	return place
}

// same reports whether two requests say the same.
func same(a, b wire.CoAPRequest) bool {
	return a.Method == b.Method && a.Format == b.Format && a.Accept == b.Accept && a.IfMatch == b.IfMatch && a.IfMatchTag == b.IfMatchTag &&
		a.Observe == b.Observe && a.HopLimit == b.HopLimit &&
		slices.Equal(a.Path, b.Path) && slices.Equal(a.Query, b.Query) && bytes.Equal(a.Payload, b.Payload)
}
