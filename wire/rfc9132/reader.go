package rfc9132

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// reader reads one body. Every error of its methods is a *dots.Error with 4.00.
type reader struct {
	wire.Walker
	// lenient is set for what a server sent: nulls, empty lists and unknown keys are passed over.
	lenient bool
	// unknown collects comprehension-required keys that have no meaning here.
	unknown []uint64
}

// open checks a body and passes its tag. RFC 9132, Section 10.5: tag 271 may prefix the whole object.
func open(c wire.Checker, payload []byte, lenient bool) (*reader, error) {
	if err := c.Check(payload); err != nil {
		return nil, err
	}
	r := &reader{Walker: wire.Walk(payload), lenient: lenient}
	if tag, ok := r.Tag(); ok && tag != contentFormat {
		return nil, dots.Refuse(dots.CodeBadRequest, "body: unexpected tag")
	}
	return r, nil
}

// close reports the unknown keys that were met. It comes before any check for what is missing, because an
// attribute of a later version may be what makes the rest complete.
//
// RFC 9132, Section 6: a message with unknown comprehension-required keys is refused, and the answer names them.
func (r *reader) close() error {
	if len(r.unknown) == 0 || r.lenient {
		return nil
	}
	var text strings.Builder
	text.WriteString("unknown keys:")
	for i, key := range r.unknown {
		next := " " + strconv.FormatUint(key, 10)
		if text.Len()+len(next) > dots.MaxDiagnostic {
			break
		}
		if i > 0 && text.Len()+len(next)+1 <= dots.MaxDiagnostic {
			text.WriteByte(',')
		}
		text.WriteString(next)
	}
	return &dots.Error{Code: dots.CodeBadRequest, Text: text.String(), Keys: r.unknown}
}

// bad refuses an attribute.
func bad(key uint64, what string) error {
	return dots.Refuse(dots.CodeBadRequest, name(key)+": "+what)
}

// entries reads the map that is the value of key within and calls field for each of its keys, which must read or
// skip the value. Keys without a number are refused, or passed over.
func (r *reader) entries(within uint64, field func(key uint64) error) error {
	n, ok := r.Map()
	if !ok {
		return bad(within, "not a map")
	}
	for range n {
		key, ok := r.Uint()
		if !ok && !r.lenient {
			return bad(within, "a key is no unsigned integer")
		}
		if !ok {
			r.Skip()
			r.Skip()
			continue
		}
		if r.lenient && r.Null() {
			continue
		}
		if err := field(key); err != nil {
			return err
		}
	}
	return nil
}

// stray deals with a key that has no meaning where it stands, and passes over its value.
func (r *reader) stray(key uint64) error {
	r.Skip()
	if r.lenient {
		return nil
	}
	switch class := classOf(key); {
	case class == classIllegal:
		return dots.Refuse(dots.CodeBadRequest, "key "+strconv.FormatUint(key, 10)+" out of range")
	case class == classOptional:
		return nil
	case known(key):
		return bad(key, "not allowed here")
	}
	r.unknown = append(r.unknown, key)
	return nil
}

// bodyKey stands for the outermost map where an error names what it is about.
const bodyKey = 0

// body reads the outermost map, in which only the key top has a meaning, and its value by member.
func (r *reader) body(top uint64, member func() error) error {
	found := false
	err := r.entries(bodyKey, func(key uint64) error {
		if key != top {
			return r.stray(key)
		}
		found = true
		return member()
	})
	if err == nil {
		err = r.close()
	}
	if err == nil && !found {
		err = bad(top, "missing")
	}
	return err
}

// scopes reads a body with mitigation-scope and calls entry for each element of its scope, of which
// there may be most; room is called before with their number.
func (r *reader) scopes(most int, room func(n int), entry func() error) error {
	found := false
	err := r.body(keyMitigationScope, func() error {
		return r.entries(keyMitigationScope, func(key uint64) error {
			if key != keyScope {
				return r.stray(key)
			}
			found = true
			n, err := r.array(keyScope)
			if err == nil && n > most {
				err = bad(keyScope, "more than one entry")
			}
			if err == nil {
				room(n)
			}
			for i := 0; i < n && err == nil; i++ {
				err = entry()
			}
			return err
		})
	})
	if err == nil && !found && !r.lenient {
		err = bad(keyScope, "missing")
	}
	return err
}

// keep keeps a comprehension-optional attribute that has no field; any other key is a stray.
func (r *reader) keep(key uint64, into *[]dots.Raw) error {
	if classOf(key) != classOptional || known(key) {
		return r.stray(key)
	}
	*into = append(*into, dots.Raw{Key: key, Value: bytes.Clone(r.Raw())})
	return nil
}

// array reads the head of the list that is the value of key. Only a server may send an empty one.
func (r *reader) array(key uint64) (int, error) {
	n, ok := r.Array()
	if !ok {
		return 0, bad(key, "not an array")
	}
	if n == 0 && !r.lenient {
		return 0, bad(key, "empty")
	}
	return n, nil
}

// room is how many elements to allocate for at once: what is announced, but no more than what the
// bytes that follow can hold.
func (r *reader) room(n, smallest int) int { return min(n, r.Rest()/smallest+1) }

// uint reads an unsigned integer up to limit.
func (r *reader) uint(key, limit uint64) (uint64, error) {
	v, ok := r.Uint()
	if !ok {
		return 0, bad(key, "not an unsigned integer")
	}
	if v > limit {
		return 0, bad(key, "out of range")
	}
	return v, nil
}

// counter reads a 64-bit quantity into a Maybe.
func (r *reader) counter(key uint64, into *dots.Maybe[uint64]) error {
	v, err := r.uint(key, math.MaxUint64)
	if err != nil {
		return err
	}
	*into = dots.Some(v)
	return nil
}

// enum reads a number from 1 to last.
func (r *reader) enum(key, last uint64) (uint8, error) {
	v, err := r.uint(key, last)
	if err != nil {
		return 0, err
	}
	if v == 0 {
		return 0, bad(key, "out of range")
	}
	return uint8(v), nil
}

func (r *reader) bool(key uint64) (bool, error) {
	v, ok := r.Bool()
	if !ok {
		return false, bad(key, "not a boolean")
	}
	return v, nil
}

// text reads a string; what it must look like is said by check.
func (r *reader) text(key uint64, check func(string) string) (string, error) {
	raw, ok := r.Text()
	if !ok {
		return "", bad(key, "not a text string")
	}
	s := string(raw)
	if r.lenient {
		check = wire.CheckText
	}
	if what := check(s); what != "" {
		return "", bad(key, what)
	}
	return s, nil
}

// texts reads a list of strings.
func (r *reader) texts(key uint64, check func(string) string, into *[]string) error {
	n, err := r.array(key)
	if err != nil {
		return err
	}
	list := make([]string, 0, r.room(n, 2))
	for range n {
		if r.lenient && r.passEmpty() {
			continue
		}
		s, err := r.text(key, check)
		if err != nil {
			return err
		}
		list = append(list, s)
	}
	*into = orNil(list)
	return nil
}

// passEmpty passes over an empty string or a null.
func (r *reader) passEmpty() bool {
	if r.Null() {
		return true
	}
	ahead := r.Walker
	if s, ok := ahead.Text(); !ok || len(s) > 0 {
		return false
	}
	r.Walker = ahead
	return true
}

// orNil makes an empty list absent, which is the same in every message.
func orNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
