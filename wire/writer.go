package wire

import (
	"encoding/binary"
	"math"
	"net/netip"
)

// Writer builds one CBOR data item in the core deterministic encoding (RFC 8949, Section 4.2.1): shortest heads, definite
// lengths; the caller writes keys in ascending order. The zero Writer is ready. It is not safe for concurrent use.
type Writer struct {
	buf   []byte
	open  [MaxNesting]frame
	depth int
}

// frame is a container that has been begun: where its head is and how many items it has so far.
type frame struct {
	at    int
	count int
}

// Bytes returns what was written; it belongs to the caller once the Writer is no longer used.
func (w *Writer) Bytes() []byte { return w.buf }

func (w *Writer) head(major Major, v uint64) {
	m := byte(major) << 5
	switch {
	case v < 24:
		w.buf = append(w.buf, m|byte(v))
	case v <= math.MaxUint8:
		w.buf = append(w.buf, m|24, byte(v))
	case v <= math.MaxUint16:
		w.buf = binary.BigEndian.AppendUint16(append(w.buf, m|25), uint16(v))
	case v <= math.MaxUint32:
		w.buf = binary.BigEndian.AppendUint32(append(w.buf, m|26), uint32(v))
	default:
		w.buf = binary.BigEndian.AppendUint64(append(w.buf, m|27), v)
	}
}

// begin opens a container of a length that is known only at its end. Most have fewer than 24
// items, so one byte is kept for the head and more is made room for when it is needed.
func (w *Writer) begin(major Major) {
	if w.buf == nil {
		w.buf = make([]byte, 0, 192)
	}
	w.open[w.depth] = frame{at: len(w.buf)}
	w.depth++
	w.buf = append(w.buf, byte(major)<<5)
}

func (w *Writer) end() {
	w.depth--
	f := w.open[w.depth]
	major := Major(w.buf[f.at] >> 5)
	if f.count < 24 {
		w.buf[f.at] |= byte(f.count)
		return
	}
	tail := append([]byte(nil), w.buf[f.at+1:]...)
	w.buf = w.buf[:f.at]
	w.head(major, uint64(f.count))
	w.buf = append(w.buf, tail...)
}

// BeginMap opens a map; Key and a value for each pair follow, then EndMap.
func (w *Writer) BeginMap() { w.begin(MajorMap) }

// EndMap closes the map that was opened last.
func (w *Writer) EndMap() { w.end() }

// BeginArray opens an array; Element before each item, then EndArray.
func (w *Writer) BeginArray() { w.begin(MajorArray) }

// EndArray closes the array that was opened last.
func (w *Writer) EndArray() { w.end() }

// Element counts one item of the array that was opened last.
func (w *Writer) Element() { w.open[w.depth-1].count++ }

// Key writes an integer key of the map that was opened last.
func (w *Writer) Key(key uint64) {
	w.open[w.depth-1].count++
	w.head(MajorUint, key)
}

// TextKey writes a text key of the map that was opened last.
func (w *Writer) TextKey(key string) {
	w.open[w.depth-1].count++
	w.Text(key)
}

// Uint writes an unsigned integer.
func (w *Writer) Uint(v uint64) { w.head(MajorUint, v) }

// Int writes an integer of either sign.
func (w *Writer) Int(v int64) {
	if v < 0 {
		w.head(MajorNegative, uint64(-1-v))
		return
	}
	w.head(MajorUint, uint64(v))
}

// Text writes a text string.
func (w *Writer) Text(s string) {
	w.head(MajorText, uint64(len(s)))
	w.buf = append(w.buf, s...)
}

// Texts writes an array of text strings.
func (w *Writer) Texts(list []string) {
	w.head(MajorArray, uint64(len(list)))
	for _, s := range list {
		w.Text(s)
	}
}

// KeyTexts writes a key and its list of text strings, or nothing where the list is empty.
func (w *Writer) KeyTexts(key uint64, list []string) {
	if len(list) > 0 {
		w.Key(key)
		w.Texts(list)
	}
}

// Bool writes true or false.
func (w *Writer) Bool(b bool) {
	v := byte(simpleFalse)
	if b {
		v = simpleTrue
	}
	w.buf = append(w.buf, byte(MajorSimple)<<5|v)
}

// Float writes a float64, always in eight bytes.
func (w *Writer) Float(f float64) {
	w.buf = append(w.buf, byte(MajorSimple)<<5|simpleLong)
	w.buf = binary.BigEndian.AppendUint64(w.buf, math.Float64bits(f))
}

// Hundredths writes a decimal fraction with the exponent -2 (RFC 8949, Section 3.4.4).
func (w *Writer) Hundredths(n int64) {
	w.head(MajorTag, tagDecimal)
	w.head(MajorArray, 2)
	w.Int(-2)
	w.Int(n)
}

// Raw writes a data item that is encoded already.
func (w *Writer) Raw(item []byte) { w.buf = append(w.buf, item...) }

// Prefix writes a prefix in CIDR notation.
func (w *Writer) Prefix(p netip.Prefix) {
	var text [48]byte
	s := p.AppendTo(text[:0])
	w.head(MajorText, uint64(len(s)))
	w.buf = append(w.buf, s...)
}
