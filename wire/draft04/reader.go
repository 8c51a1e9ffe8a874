package draft04

import (
	"strconv"
	"strings"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// reader reads one body. Every error of its methods is a *dots.Error: 4.00 for what is missing, 4.02 for what is
// invalid or unknown (draft-ietf-dots-signal-channel-04, Section 5.3.1).
type reader struct {
	wire.Walker
	// lenient is set for what a server sent: nulls, empty lists and unknown keys are passed over.
	lenient bool
	// unknown collects keys that have no meaning at all.
	unknown []uint64
}

func open(c wire.Checker, payload []byte, lenient bool) (*reader, error) {
	if err := c.Check(payload); err != nil {
		return nil, err
	}
	return &reader{Walker: wire.Walk(payload), lenient: lenient}, nil
}

// bad refuses an invalid parameter.
func bad(key uint64, what string) error {
	return dots.Refuse(dots.CodeBadOption, name(key)+": "+what)
}

// missing refuses a message without a mandatory parameter.
func missing(key uint64) error {
	return dots.Refuse(dots.CodeBadRequest, name(key)+": missing")
}

// close reports the unknown keys that were met, before anything is found missing.
func (r *reader) close() error {
	if len(r.unknown) == 0 || r.lenient {
		return nil
	}
	list := make([]string, 0, 8)
	for _, key := range r.unknown[:min(len(r.unknown), cap(list))] {
		list = append(list, strconv.FormatUint(key, 10))
	}
	return &dots.Error{Code: dots.CodeBadOption, Text: "unknown keys: " + strings.Join(list, ", "), Keys: r.unknown}
}

// entries reads the map that is the value of key within and calls field for each of its keys, which must read or skip the value.
func (r *reader) entries(within uint64, field func(key uint64) error) error {
	n, ok := r.Map()
	if !ok {
		return bad(within, "not a map")
	}
	for range n {
		key, ok := r.key()
		if !ok && !r.lenient {
			return bad(within, "a key is neither number nor name")
		}
		if !ok || r.lenient && r.Null() {
			if !ok {
				r.Skip()
				r.Skip()
			}
			continue
		}
		if err := field(key); err != nil {
			return err
		}
	}
	return nil
}

// key reads a key, a number or a name.
func (r *reader) key() (uint64, bool) {
	if key, ok := r.Uint(); ok {
		if key > lastKey {
			key = nameUnknown
		}
		return key, true
	}
	text, ok := r.Text()
	if !ok {
		return 0, false
	}
	return named(string(text)), true
}

// stray deals with a key that has no meaning where it stands, and passes over its value. Vendor-specific ones may be
// ignored, all others must be understood (draft-ietf-dots-signal-channel-04, Section 10.2).
func (r *reader) stray(key uint64) error {
	r.Skip()
	switch {
	case r.lenient, key >= firstVendorKey && key <= lastKey:
		return nil
	case key == nameUnknown:
		return dots.Refuse(dots.CodeBadOption, "a key is unknown or out of range")
	case key > lastKey, key >= keyMitigationScope && key <= keyMitigationStart:
		return bad(key, "not allowed here")
	}
	r.unknown = append(r.unknown, key)
	return nil
}

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
		err = missing(top)
	}
	return err
}

// scopes reads a body with mitigation-scope and calls entry for each element of its scope, which may be a bare map.
func (r *reader) scopes(most int, room func(n int), entry func() error) error {
	found := false
	err := r.body(keyMitigationScope, func() error {
		return r.entries(keyMitigationScope, func(key uint64) error {
			if key != keyScope {
				return r.stray(key)
			}
			found = true
			n := 1
			if r.Major() != wire.MajorMap {
				var err error
				if n, err = r.array(keyScope); err != nil {
					return err
				}
			}
			if n > most {
				return bad(keyScope, "more than one entry")
			}
			room(n)
			for range n {
				if err := entry(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil && !found {
		err = missing(keyScope)
	}
	return err
}

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

// room is how many elements to allocate for at once, no more than what the bytes that follow can hold.
func (r *reader) room(n, smallest int) int { return min(n, r.Rest()/smallest+1) }

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

// list reads an array; element reads one, smallest is the length of the shortest in bytes.
func list[T any](r *reader, key uint64, smallest int, element func() (T, error)) ([]T, error) {
	n, err := r.array(key)
	if err != nil || n == 0 {
		return nil, err
	}
	values := make([]T, 0, r.room(n, smallest))
	for range n {
		if r.lenient && r.Null() {
			continue
		}
		v, err := element()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return nil, nil
	}
	return values, nil
}

func (r *reader) texts(key uint64, check func(string) string) ([]string, error) {
	return list(r, key, 2, func() (string, error) { return r.text(key, check) })
}
