package wire

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
)

// Ranges of ports and of ICMP types: maps in which a key holds the lower end and the next key the upper one, which is left
// out where it is the same (RFC 9132, Section 4.4.1 and RFC 9066, Section 5.3.1).

// smallestPorts is the encoded length of the shortest port range.
const smallestPorts = 3

// ReadPorts reads the list of port ranges under key within; low is the key of a lower port.
func (r *Reader) ReadPorts(within, low uint64) ([]dots.PortRange, error) {
	return ReadList(r, within, smallestPorts, func() (dots.PortRange, error) {
		lower, upper, err := r.ReadSpan(within, low, math.MaxUint16)
		return dots.PortRange{Lower: uint16(lower), Upper: uint16(upper)}, err
	})
}

// ReadSpan reads one range of numbers up to limit.
func (r *Reader) ReadSpan(within, low, limit uint64) (lower, upper uint64, err error) {
	var hasLower, hasUpper bool
	err = r.Entries(within, func(key uint64) (err error) {
		switch key {
		case low:
			hasLower = true
			lower, err = r.ReadUint(key, limit)
		case low + 1:
			hasUpper = true
			upper, err = r.ReadUint(key, limit)
		default:
			err = r.Stray(key)
		}
		return err
	})
	switch {
	case err != nil:
		return 0, 0, err
	case !hasLower:
		return 0, 0, r.Missing(low)
	case !hasUpper:
		return lower, lower, nil
	case upper < lower:
		return 0, 0, r.Bad(low+1, "below "+r.dialect.Name(low))
	}
	return lower, upper, nil
}

// Ports writes a list of port ranges under key, if there are any; low is the key of a lower port.
func (w *Writer) Ports(key, low uint64, list []dots.PortRange) {
	if len(list) == 0 {
		return
	}
	w.Key(key)
	w.BeginArray()
	for _, p := range list {
		w.Element()
		w.Span(low, uint64(p.Lower), uint64(p.Upper))
	}
	w.EndArray()
}

// Span writes one range; one of a single value has no upper end.
func (w *Writer) Span(low, lower, upper uint64) {
	w.BeginMap()
	w.Key(low)
	w.Uint(lower)
	if upper != lower {
		w.Key(low + 1)
		w.Uint(upper)
	}
	w.EndMap()
}
