package wire

import (
	"encoding/binary"
	"math"
)

// Major is a CBOR major type (RFC 8949, Section 3.1).
type Major uint8

// The major types.
const (
	MajorUint     Major = 0
	MajorNegative Major = 1
	MajorBytes    Major = 2
	MajorText     Major = 3
	MajorArray    Major = 4
	MajorMap      Major = 5
	MajorTag      Major = 6
	MajorSimple   Major = 7
)

// The simple values and floats of major type 7 (RFC 8949, Section 3.3).
const (
	simpleFalse = 20
	simpleTrue  = 21
	simpleNull  = 22
	simpleHalf  = 25
	simpleFloat = 26
	simpleLong  = 27
)

// Walker reads the data items of a payload one after the other, in place and without allocating. The payload must
// have passed a Checker, else a read may panic. A read of the wrong type reports false and moves nothing.
// The zero Walker is at its end.
type Walker struct {
	data []byte
	off  int
}

// Walk returns a Walker over a checked payload, which it does not copy.
func Walk(payload []byte) Walker { return Walker{data: payload} }

// Done reports whether everything has been read.
func (w *Walker) Done() bool { return w.off >= len(w.data) }

// Rest returns how many bytes have not been read.
func (w *Walker) Rest() int { return len(w.data) - w.off }

// Major tells the type of the next item; at the end it is MajorSimple.
func (w *Walker) Major() Major {
	if w.Done() {
		return MajorSimple
	}
	return Major(w.data[w.off] >> 5)
}

// head reads an item's first byte and argument.
func (w *Walker) head() (major Major, info uint8, value uint64) {
	first := w.data[w.off]
	major, info = Major(first>>5), first&0x1f
	w.off++
	rest := w.data[w.off:]
	switch info {
	case 24:
		value = uint64(rest[0])
		w.off++
	case 25:
		value = uint64(binary.BigEndian.Uint16(rest))
		w.off += 2
	case 26:
		value = uint64(binary.BigEndian.Uint32(rest))
		w.off += 4
	case 27:
		value = binary.BigEndian.Uint64(rest)
		w.off += 8
	default:
		value = uint64(info)
	}
	return major, info, value
}

// take reads a head of the wanted type, or nothing.
func (w *Walker) take(want Major) (uint64, bool) {
	if w.Done() || w.Major() != want {
		return 0, false
	}
	_, _, v := w.head()
	return v, true
}

// Uint reads an unsigned integer.
func (w *Walker) Uint() (uint64, bool) { return w.take(MajorUint) }

// Int reads an integer of either sign that fits 64 bits.
func (w *Walker) Int() (int64, bool) {
	before := w.off
	if v, ok := w.take(MajorNegative); ok && v <= math.MaxInt64 {
		return -1 - int64(v), true
	}
	w.off = before
	if v, ok := w.take(MajorUint); ok && v <= math.MaxInt64 {
		return int64(v), true
	}
	w.off = before
	return 0, false
}

// Text reads a text string. The bytes belong to the payload and may not be valid UTF-8.
func (w *Walker) Text() ([]byte, bool) {
	n, ok := w.take(MajorText)
	if !ok {
		return nil, false
	}
	s := w.data[w.off : w.off+int(n)]
	w.off += int(n)
	return s, true
}

// Array reads the head of an array and returns its number of items: at most MaxArray in a request.
func (w *Walker) Array() (int, bool) {
	n, ok := w.take(MajorArray)
	return int(n), ok
}

// Map reads the head of a map and returns its number of pairs, at most MaxMap.
func (w *Walker) Map() (int, bool) {
	n, ok := w.take(MajorMap)
	return int(n), ok
}

// Tag reads a tag's number; its content comes next.
func (w *Walker) Tag() (uint64, bool) { return w.take(MajorTag) }

// Bool reads true or false.
func (w *Walker) Bool() (value, ok bool) {
	if w.Done() {
		return false, false
	}
	switch w.data[w.off] {
	case byte(MajorSimple)<<5 | simpleFalse:
		w.off++
		return false, true
	case byte(MajorSimple)<<5 | simpleTrue:
		w.off++
		return true, true
	}
	return false, false
}

// Null reads a null.
func (w *Walker) Null() bool {
	if w.Done() || w.data[w.off] != byte(MajorSimple)<<5|simpleNull {
		return false
	}
	w.off++
	return true
}

// Float reads a floating-point number of any width, as a float64. It is finite.
func (w *Walker) Float() (float64, bool) {
	if w.Done() || w.Major() != MajorSimple {
		return 0, false
	}
	before := w.off
	_, info, v := w.head()
	switch info {
	case simpleHalf:
		return half(uint16(v)), true
	case simpleFloat:
		return float64(math.Float32frombits(uint32(v))), true
	case simpleLong:
		return math.Float64frombits(v), true
	}
	w.off = before
	return 0, false
}

// Skip passes over one data item with all that is in it.
func (w *Walker) Skip() {
	for items := uint64(1); items > 0 && !w.Done(); items-- {
		major, _, v := w.head()
		switch major {
		case MajorBytes, MajorText:
			w.off += int(v)
		case MajorArray:
			items += v
		case MajorMap:
			items += 2 * v
		case MajorTag:
			items++
		}
	}
}

// Raw passes over one data item and returns its bytes, which belong to the payload.
func (w *Walker) Raw() []byte {
	from := w.off
	w.Skip()
	return w.data[from:w.off:w.off]
}

// half widens a finite 16-bit float (RFC 8949, Appendix D).
func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	f := math.Ldexp(fraction+1024, exponent-25)
	if exponent == 0 {
		f = math.Ldexp(fraction, -24)
	}
	if bits&0x8000 != 0 {
		return -f
	}
	return f
}
