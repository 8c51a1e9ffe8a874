package wire

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
)

// tagDecimal marks a decimal fraction (RFC 8949, Section 3.4.4).
const tagDecimal = 4

// maxMantissa bounds a decimal so that its hundredths fit without overflow; every parameter of DOTS is far below.
const maxMantissa = math.MaxInt32

// Decimal reads a decimal fraction with an exponent from -2 to 0, as hundredths, and moves nothing where the next item is
// no such thing. RFC 9132, Section 4.5: parameters have two fraction digits; known peers also send one.
func (w *Walker) Decimal() (dots.Decimal, bool) {
	before := w.off
	if d, ok := w.decimal(); ok {
		return d, true
	}
	w.off = before
	return 0, false
}

func (w *Walker) decimal() (dots.Decimal, bool) {
	if tag, ok := w.Tag(); !ok || tag != tagDecimal {
		return 0, false
	}
	if n, ok := w.Array(); !ok || n != 2 {
		return 0, false
	}
	exponent, ok := w.Int()
	if !ok || exponent < -2 || exponent > 0 {
		return 0, false
	}
	mantissa, ok := w.Int()
	if !ok || mantissa > maxMantissa || mantissa < -maxMantissa {
		return 0, false
	}
	for ; exponent > -2; exponent-- {
		mantissa *= 10
	}
	return dots.Decimal(mantissa), true
}
