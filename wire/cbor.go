package wire

import (
	"math"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/fxamacker/cbor/v2"
)

// Checker tells whether a payload is one CBOR data item within the limits of decoding. Only what it has accepted
// may be walked. The zero Checker is unusable; it is safe for concurrent use.
type Checker struct {
	request, answer cbor.DecMode
}

// NewChecker returns a Checker with the limits MaxNesting, MaxArray and MaxMap, that refuses indefinite lengths
// and duplicate keys. What a server answers may have longer arrays: the list of all mitigations is one.
func NewChecker() Checker {
	return Checker{request: checking(MaxArray), answer: checking(math.MaxInt32)}
}

// checking makes a decoder of arrays up to a length.
func checking(maxArray int) cbor.DecMode {
	mode, err := cbor.DecOptions{
		MaxNestedLevels:  MaxNesting,
		MaxArrayElements: maxArray,
		MaxMapPairs:      MaxMap,
		IndefLength:      cbor.IndefLengthForbidden,
		NaN:              cbor.NaNDecodeForbidden,
		Inf:              cbor.InfDecodeForbidden,
	}.DecMode()
	if err != nil {
		panic("wire: the limits of decoding are constants that the library accepts: " + err.Error())
	}
	return mode
}

// Check returns nil where payload is exactly one acceptable data item, else a *dots.Error with 4.00. It
// allocates nothing in proportion to a length that the payload merely announces.
func (c Checker) Check(payload []byte) error { return check(c.request, payload) }

// CheckAnswer is Check for what a server sent: the lengths of arrays are bounded by the payload alone, and by the Reader
// where it reads them.
func (c Checker) CheckAnswer(payload []byte) error { return check(c.answer, payload) }

func check(mode cbor.DecMode, payload []byte) error {
	if len(payload) == 0 {
		return dots.Refuse(dots.CodeBadRequest, "body missing")
	}
	if err := mode.Wellformed(payload); err != nil {
		return dots.Refuse(dots.CodeBadRequest, "body: not well-formed CBOR, or beyond the limits")
	}
	w := Walk(payload)
	if duplicateKeys(&w) {
		return dots.Refuse(dots.CodeBadRequest, "body: the same key twice")
	}
	return nil
}

// duplicateKeys walks one data item and reports whether any map in it has a key twice.
func duplicateKeys(w *Walker) bool {
	switch w.Major() {
	case MajorArray:
		n, _ := w.Array()
		for range n {
			if duplicateKeys(w) {
				return true
			}
		}
		return false
	case MajorMap:
		return duplicateInMap(w)
	case MajorTag:
		w.Tag()
		return duplicateKeys(w)
	}
	w.Skip()
	return false
}

// duplicateInMap costs nothing for a map whose keys ascend, which is how every known peer but one writes them.
func duplicateInMap(w *Walker) bool {
	n, _ := w.Map()
	start, ascending, last := w.off, true, uint64(0)
	for i := range n {
		key, ok := w.Uint()
		if !ok {
			if duplicateKeys(w) { // a key may itself be a container
				return true
			}
		}
		ascending = ascending && ok && (i == 0 || key > last)
		last = key
		if duplicateKeys(w) {
			return true
		}
	}
	return !ascending && sameKeyTwice(Walker{data: w.data, off: start}, n)
}

// mapKey is a map's key without regard to how many bytes encode its number.
type mapKey struct {
	major Major
	value uint64
	text  string
}

func sameKeyTwice(w Walker, n int) bool {
	seen := make(map[mapKey]struct{}, n)
	for range n {
		raw := w.Raw()
		k := Walk(raw)
		key := mapKey{major: k.Major()}
		switch key.major {
		case MajorUint, MajorNegative:
			_, _, key.value = k.head()
		case MajorText, MajorBytes:
			_, _, length := k.head()
			key.text = string(k.data[k.off : k.off+int(length)])
		default:
			key.text = string(raw)
		}
		if _, twice := seen[key]; twice {
			return true
		}
		seen[key] = struct{}{}
		w.Skip()
	}
	return false
}
