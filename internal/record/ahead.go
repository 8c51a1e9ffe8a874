package record

import "github.com/dotsgate/dotsgate/internal/prefetch"

// What is used of an AES-GCM object of the standard library for a short record, in bytes: the key schedule at its beginning, and the multiples of the
// hash's key at its end. Where it is another way, what is fetched is of no use, and nothing else.
const (
	scheduleAt, scheduleSize   = 0, 256
	multiplesAt, multiplesSize = 480, 288
)

// Foresee asks for the memory that the next record takes beyond the session itself, which is to be at hand. It may be called at any time.
func (s *Session) Foresee() {
	for _, h := range [...]*half{&s.layer.in.half, &s.layer.out.half} {
		prefetch.Behind(h.aead, scheduleAt, scheduleSize)
		prefetch.Behind(h.aead, multiplesAt, multiplesSize)
	}
}
