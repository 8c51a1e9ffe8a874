package coap

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Option numbers. RFC 7252, Section 12.2, RFC 7641, RFC 7959, RFC 7967, RFC 8768, RFC 9175 and RFC 9177.
const (
	IfMatch       uint16 = 1
	UriHost       uint16 = 3
	ETag          uint16 = 4
	IfNoneMatch   uint16 = 5
	Observe       uint16 = 6
	UriPort       uint16 = 7
	LocationPath  uint16 = 8
	UriPath       uint16 = 11
	ContentFormat uint16 = 12
	MaxAge        uint16 = 14
	UriQuery      uint16 = 15
	HopLimit      uint16 = 16
	Accept        uint16 = 17
	QBlock1       uint16 = 19
	LocationQuery uint16 = 20
	Block2        uint16 = 23
	Block1        uint16 = 27
	Size2         uint16 = 28
	QBlock2       uint16 = 31
	ProxyUri      uint16 = 35
	ProxyScheme   uint16 = 39
	Size1         uint16 = 60
	Echo          uint16 = 252
	NoResponse    uint16 = 258
	RequestTag    uint16 = 292
)

// Option is one option of a message: its number and its raw value.
type Option struct {
	Number uint16
	Value  []byte
}

// Options is the option list of a message, sorted by number, repeated options in their order on the wire.
// The zero value is an empty list. Not safe for concurrent change.
type Options []Option

// find returns the index of the first option with the number, and whether there is one.
func (o Options) find(number uint16) (int, bool) {
	for i := range o {
		if o[i].Number >= number {
			return i, o[i].Number == number
		}
	}
	return len(o), false
}

// Has reports whether an option with the number is present.
func (o Options) Has(number uint16) bool {
	_, ok := o.find(number)
	return ok
}

// Get returns the value of the first option with the number, and whether there is one. The value is shared.
func (o Options) Get(number uint16) ([]byte, bool) {
	i, ok := o.find(number)
	if !ok {
		return nil, false
	}
	return o[i].Value, true
}

// All returns the values of every option with the number, in order; nil when there is none. The values are shared.
func (o Options) All(number uint16) [][]byte {
	var values [][]byte
	for i, _ := o.find(number); i < len(o) && o[i].Number == number; i++ {
		values = append(values, o[i].Value)
	}
	return values
}

// Uint returns the first option with the number as an unsigned integer, and whether there is one of at most four bytes.
//
// RFC 7252, Section 3.2: leading zero bytes are allowed, an empty value is 0.
func (o Options) Uint(number uint16) (uint32, bool) {
	v, ok := o.Get(number)
	if !ok || len(v) > 4 {
		return 0, false
	}
	var n uint32
	for _, b := range v {
		n = n<<8 | uint32(b)
	}
	return n, true
}

// Path returns the Uri-Path segments, raw, in order.
func (o Options) Path() []string { return o.texts(UriPath) }

// Query returns the Uri-Query arguments, raw, in order.
func (o Options) Query() []string { return o.texts(UriQuery) }

func (o Options) texts(number uint16) []string {
	first, ok := o.find(number)
	if !ok {
		return nil
	}
	n, size := 0, 0
	for i := first; i < len(o) && o[i].Number == number; i++ {
		n, size = n+1, size+len(o[i].Value)
	}
	var whole strings.Builder // one piece of memory for all
	whole.Grow(size)
	for i := first; i < first+n; i++ {
		whole.Write(o[i].Value)
	}
	rest, texts := whole.String(), make([]string, n)
	for i := range texts {
		length := len(o[first+i].Value)
		texts[i], rest = rest[:length], rest[length:]
	}
	return texts
}

// Add inserts an option behind those of the same number and keeps the list sorted. The value is kept, not copied.
func (o *Options) Add(number uint16, value []byte) {
	i := len(*o)
	for i > 0 && (*o)[i-1].Number > number {
		i--
	}
	*o = slices.Insert(*o, i, Option{Number: number, Value: value})
}

// AddString inserts an option with a text value.
func (o *Options) AddString(number uint16, value string) { o.Add(number, []byte(value)) }

// AddUint inserts an option with an unsigned integer in its shortest form.
func (o *Options) AddUint(number uint16, value uint32) { o.Add(number, uintBytes(value)) }

// Set replaces every option with the number by one with the value. The value is kept, not copied.
func (o *Options) Set(number uint16, value []byte) {
	o.Remove(number)
	o.Add(number, value)
}

// SetUint replaces every option with the number by one with an unsigned integer in its shortest form.
func (o *Options) SetUint(number uint16, value uint32) { o.Set(number, uintBytes(value)) }

// SetPath replaces the Uri-Path by the segments, each as it stands.
func (o *Options) SetPath(segments ...string) {
	o.Remove(UriPath)
	size := 0
	for _, s := range segments {
		size += len(s)
	}
	whole := make([]byte, 0, size) // one piece of memory for all
	for _, s := range segments {
		at := len(whole)
		whole = append(whole, s...)
		o.Add(UriPath, whole[at:len(whole):len(whole)])
	}
}

// Remove takes every option with the number away.
func (o *Options) Remove(number uint16) {
	i, ok := o.find(number)
	if !ok {
		return
	}
	j := i
	for j < len(*o) && (*o)[j].Number == number {
		j++
	}
	*o = slices.Delete(*o, i, j)
}

// uintBytes is the shortest form of an unsigned integer: RFC 7252, Section 3.2.
func uintBytes(v uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, v)
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
