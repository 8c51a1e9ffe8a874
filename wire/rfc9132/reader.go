package rfc9132

import (
	"bytes"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// dialect says how bodies are keyed here and how they are refused, a wire.Dialect.
type dialect struct{}

// Name returns a key's name, without module prefix.
func (dialect) Name(key uint64) string { return name(key) }

// Invalid is 4.00. RFC 9132, Section 4.4.1: for missing, invalid and unknown attributes alike.
func (dialect) Invalid() dots.Code { return dots.CodeBadRequest }

// Key reads an unsigned integer. RFC 9132, Section 6: all attributes are mapped to CBOR keys.
func (dialect) Key(w *wire.Walker) (uint64, bool) { return w.Uint() }

// Stray judges by the key's range (RFC 9132, Section 10.6.1).
func (dialect) Stray(key uint64) (unknown bool, err error) {
	switch class := classOf(key); {
	case class == classIllegal:
		return false, dots.Refuse(dots.CodeBadRequest, "key "+strconv.FormatUint(key, 10)+" out of range")
	case class == classOptional:
		return false, nil
	case known(key):
		return false, bad(key, "not allowed here")
	}
	return true, nil
}

// bad refuses an attribute.
func bad(key uint64, what string) error {
	return dots.Refuse(dots.CodeBadRequest, name(key)+": "+what)
}

// reader reads one body.
type reader struct {
	wire.Reader
}

// open checks a body and passes its tag. RFC 9132, Section 10.5: tag 271 may prefix the whole object.
func open(c wire.Checker, payload []byte, lenient bool) (*reader, error) {
	body, err := wire.NewReader(c, dialect{}, payload, lenient)
	if err != nil {
		return nil, err
	}
	r := &reader{Reader: body}
	if tag, ok := r.Tag(); ok && tag != contentFormat {
		return nil, dots.Refuse(dots.CodeBadRequest, "body: unexpected tag")
	}
	return r, nil
}

// keep keeps a comprehension-optional attribute that has no field; any other key is a stray.
func (r *reader) keep(key uint64, into *[]dots.Raw) error {
	if classOf(key) != classOptional || known(key) {
		return r.Stray(key)
	}
	*into = append(*into, dots.Raw{Key: key, Value: bytes.Clone(r.Raw())})
	return nil
}
