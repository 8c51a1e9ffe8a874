package draft04

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// dialect says how bodies are keyed here and how they are refused, a wire.Dialect.
type dialect struct{}

// Name returns a key's name.
func (dialect) Name(key uint64) string { return name(key) }

// Invalid is 4.02, for what is invalid or unknown (draft-ietf-dots-signal-channel-04, Section 5.3.1).
func (dialect) Invalid() dots.Code { return dots.CodeBadOption }

// Key reads a number or a name.
func (dialect) Key(w *wire.Walker) (uint64, bool) {
	if key, ok := w.Uint(); ok {
		if key > lastKey {
			key = nameUnknown
		}
		return key, true
	}
	text, ok := w.Text()
	if !ok {
		return 0, false
	}
	return named(string(text)), true
}

// Stray judges by the key's range. Vendor-specific keys may be ignored, all others must be
// understood (draft-ietf-dots-signal-channel-04, Section 10.2).
func (dialect) Stray(key uint64) (unknown bool, err error) {
	switch {
	case key >= firstVendorKey && key <= lastKey:
		return false, nil
	case key == nameUnknown:
		return false, dots.Refuse(dots.CodeBadOption, "a key is unknown or out of range")
	case key > lastKey, key >= keyMitigationScope && key <= keyMitigationStart:
		return false, dots.Refuse(dots.CodeBadOption, name(key)+": not allowed here")
	}
	return true, nil
}

// reader reads one body.
type reader struct {
	wire.Reader
}

// open checks a body, in which a scope may be a bare map.
func open(c wire.Checker, payload []byte, lenient bool) (*reader, error) {
	body, err := wire.NewReader(c, dialect{}, payload, lenient)
	if err != nil {
		return nil, err
	}
	body.BareScope = true
	return &reader{Reader: body}, nil
}
