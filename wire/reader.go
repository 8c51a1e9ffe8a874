package wire

import (
	"math"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
)

// Dialect is what a Reader must know of a profile: how its maps are keyed and how it refuses.
type Dialect interface {
	// Name returns a key's name as a diagnostic shows it.
	Name(key uint64) string
	// Invalid is the code for what is invalid or unknown. What is missing is 4.00 in every profile.
	Invalid() dots.Code
	// Key reads a map's key, and reads nothing where the next item cannot be one.
	Key(w *Walker) (key uint64, ok bool)
	// Stray judges a key that a client sent and that has no meaning where it stands: unknown is true for one that must be
	// understood and is not, an error refuses at once, else it is passed over.
	Stray(key uint64) (unknown bool, err error)
}

// BodyKey stands for the outermost map where an error names what it is about.
const BodyKey = 0

// The keys around mitigations, the same in every profile (RFC 9132, Section 6).
const (
	KeyMitigationScope = 1
	KeyScope           = 2
)

// Reader reads the attributes of one body. Every error of its methods is a *dots.Error whose text names the attribute.
// A Reader is used once, by one goroutine.
type Reader struct {
	Walker
	// Lenient is for what a server sent: nulls, empty lists and unknown keys are passed over.
	Lenient bool
	// BareScope lets a scope be one entry without an array around it.
	BareScope bool

	dialect Dialect
	unknown []uint64 // keys that must be understood and are not
}

// NewReader returns a Reader of a payload that c accepts; it does not copy the payload.
func NewReader(c Checker, d Dialect, payload []byte, lenient bool) (Reader, error) {
	check := c.Check
	if lenient {
		check = c.CheckAnswer
	}
	if err := check(payload); err != nil {
		return Reader{}, err
	}
	return Reader{Walker: Walk(payload), Lenient: lenient, dialect: d}, nil
}

// Bad refuses an invalid attribute.
func (r *Reader) Bad(key uint64, what string) error {
	return dots.Refuse(r.dialect.Invalid(), r.dialect.Name(key)+": "+what)
}

// Missing refuses a message without a mandatory attribute.
func (r *Reader) Missing(key uint64) error {
	return dots.Refuse(dots.CodeBadRequest, r.dialect.Name(key)+": missing")
}

// Incomplete reports whether unknown keys were met that will refuse the message: what seems to be missing may be what they say.
func (r *Reader) Incomplete() bool { return len(r.unknown) > 0 }

// finish reports the unknown keys that were met. It comes before any check for what is missing, because an
// attribute of a later version may be what makes the rest complete.
//
// RFC 9132, Section 6: a message with unknown comprehension-required keys is refused, and the answer names them.
func (r *Reader) finish() error {
	if len(r.unknown) == 0 {
		return nil
	}
	var text strings.Builder
	text.WriteString("unknown keys:")
	for i, key := range r.unknown {
		next := " " + strconv.FormatUint(key, 10)
		if i > 0 {
			next = "," + next
		}
		if text.Len()+len(next) > dots.MaxDiagnostic {
			break
		}
		text.WriteString(next)
	}
	return &dots.Error{Code: r.dialect.Invalid(), Text: text.String(), Keys: r.unknown}
}

// Entries reads the map that is the value of key within and calls field for each of its keys, which must read or
// skip the value. What is no key is refused, or passed over.
func (r *Reader) Entries(within uint64, field func(key uint64) error) error {
	n, ok := r.Map()
	if !ok {
		return r.Bad(within, "not a map")
	}
	for range n {
		key, ok := r.dialect.Key(&r.Walker)
		if !ok && !r.Lenient {
			return r.Bad(within, "a key of a wrong type")
		}
		if !ok {
			r.Skip()
			r.Skip()
			continue
		}
		if r.Lenient && r.Null() {
			continue
		}
		if err := field(key); err != nil {
			return err
		}
	}
	return nil
}

// Stray deals with a key that has no meaning where it stands, and passes over its value.
func (r *Reader) Stray(key uint64) error {
	r.Skip()
	if r.Lenient {
		return nil
	}
	unknown, err := r.dialect.Stray(key)
	if unknown {
		r.unknown = append(r.unknown, key)
	}
	return err
}

// Body reads the outermost map, in which only the key top has a meaning, and its value by member.
func (r *Reader) Body(top uint64, member func() error) error {
	found := false
	err := r.Entries(BodyKey, func(key uint64) error {
		if key != top {
			return r.Stray(key)
		}
		found = true
		return member()
	})
	if err == nil {
		err = r.finish()
	}
	if err == nil && !found {
		err = r.Missing(top)
	}
	return err
}

// Scopes reads a body with mitigation-scope and calls entry for each element of its scope, of which
// there may be most; room is called before with their number. Only a server may leave the scope out.
func (r *Reader) Scopes(most int, room func(n int), entry func() error) error {
	found := false
	err := r.Body(KeyMitigationScope, func() error {
		return r.Entries(KeyMitigationScope, func(key uint64) error {
			if key != KeyScope {
				return r.Stray(key)
			}
			found = true
			n, err := r.scope(most)
			if err != nil {
				return err
			}
			room(n)
			for i := 0; i < n && err == nil; i++ {
				err = entry()
			}
			return err
		})
	})
	if err == nil && !found && !r.Lenient {
		err = r.Missing(KeyScope)
	}
	return err
}

// scope reads the head of a scope.
func (r *Reader) scope(most int) (n int, err error) {
	n = 1
	if !r.BareScope || r.Major() != MajorMap {
		n, err = r.ReadArray(KeyScope)
	}
	if err == nil && n > most {
		err = r.Bad(KeyScope, "more than one entry")
	}
	return n, err
}

// ReadArray reads the head of the list that is the value of key. Only a server may send an empty one.
func (r *Reader) ReadArray(key uint64) (int, error) {
	n, ok := r.Array()
	if !ok {
		return 0, r.Bad(key, "not an array")
	}
	switch {
	case n == 0 && !r.Lenient:
		return 0, r.Bad(key, "empty")
	case n > MaxArray && key != KeyScope: // the scope's own bound is the caller's
		return 0, r.Bad(key, "too many entries")
	}
	return n, nil
}

// Room is how many elements to allocate for at once: what is announced, but no more than what the
// bytes that follow can hold when each takes at least smallest.
func (r *Reader) Room(n, smallest int) int { return min(n, r.Rest()/smallest+1) }

// ReadUint reads an unsigned integer up to limit.
func (r *Reader) ReadUint(key, limit uint64) (uint64, error) {
	v, ok := r.Uint()
	if !ok {
		return 0, r.Bad(key, "not an unsigned integer")
	}
	if v > limit {
		return 0, r.Bad(key, "out of range")
	}
	return v, nil
}

// ReadEnum reads a number from 1 to last.
func (r *Reader) ReadEnum(key, last uint64) (uint8, error) {
	v, err := r.ReadUint(key, min(last, math.MaxUint8))
	if err != nil {
		return 0, err
	}
	if v == 0 {
		return 0, r.Bad(key, "out of range")
	}
	return uint8(v), nil
}

// ReadCounter reads a 64-bit quantity.
func (r *Reader) ReadCounter(key uint64, into *dots.Maybe[uint64]) error {
	v, err := r.ReadUint(key, math.MaxUint64)
	*into = dots.Maybe[uint64]{Value: v, Set: err == nil}
	return err
}

// ReadMID reads a mid up to limit.
func (r *Reader) ReadMID(key, limit uint64) (dots.Maybe[uint32], error) {
	v, err := r.ReadUint(key, min(limit, math.MaxUint32))
	return dots.Maybe[uint32]{Value: uint32(v), Set: err == nil}, err
}

// ReadLifetime reads a lifetime up to limit. RFC 9132, Section 4.4.1: 0 is invalid, -1 asks for an indefinite one. A server
// may say that 0 seconds remain.
func (r *Reader) ReadLifetime(key, limit uint64) (dots.Maybe[dots.Lifetime], error) {
	v, ok := r.Int()
	if !ok {
		return dots.Maybe[dots.Lifetime]{}, r.Bad(key, "not an integer")
	}
	l := dots.Lifetime(v)
	if v > 0 && uint64(v) > limit || !l.Valid() && (v != 0 || !r.Lenient) {
		return dots.Maybe[dots.Lifetime]{}, r.Bad(key, "out of range")
	}
	return dots.Some(l), nil
}

// ReadBool reads true or false.
func (r *Reader) ReadBool(key uint64) (bool, error) {
	v, ok := r.Bool()
	if !ok {
		return false, r.Bad(key, "not a boolean")
	}
	return v, nil
}

// ReadText reads a string; what a client's must look like is said by check.
func (r *Reader) ReadText(key uint64, check func(string) string) (string, error) {
	raw, ok := r.Text()
	if !ok {
		return "", r.Bad(key, "not a text string")
	}
	s := string(raw)
	if r.Lenient {
		check = CheckText
	}
	if what := check(s); what != "" {
		return "", r.Bad(key, what)
	}
	return s, nil
}

// smallestText is the encoded length of a text of one letter.
const smallestText = 2

// ReadTexts reads a list of strings. A server's empty ones are passed over.
func (r *Reader) ReadTexts(key uint64, check func(string) string) ([]string, error) {
	list, err := ReadList(r, key, smallestText, func() (string, error) {
		if r.Lenient && r.passEmpty() {
			return "", nil
		}
		return r.ReadText(key, check)
	})
	if r.Lenient {
		list = withoutEmpty(list)
	}
	return list, err
}

// passEmpty passes over an empty string.
func (r *Reader) passEmpty() bool {
	ahead := r.Walker
	if s, ok := ahead.Text(); !ok || len(s) > 0 {
		return false
	}
	r.Walker = ahead
	return true
}

func withoutEmpty(list []string) []string {
	kept := list[:0]
	for _, s := range list {
		if s != "" {
			kept = append(kept, s)
		}
	}
	return orNil(kept)
}

// ReadList reads the array that is the value of key; element reads one item, whose encoding takes at least smallest
// bytes. A server's nulls are passed over. An empty list is absent, which is the same in every message.
func ReadList[T any](r *Reader, key uint64, smallest int, element func() (T, error)) ([]T, error) {
	n, err := r.ReadArray(key)
	if err != nil {
		return nil, err
	}
	list := make([]T, 0, r.Room(n, smallest))
	for range n {
		if r.Lenient && r.Null() {
			continue
		}
		v, err := element()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return orNil(list), nil
}

// orNil makes an empty list absent.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
