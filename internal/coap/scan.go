package coap

import "fmt"

// optionRule is what is known of an option: the bounds of its length in bytes and whether it may be repeated.
type optionRule struct {
	low, high int
	repeat    bool
}

// ruleOf returns the rule of an option of a request or response, and whether the option is known.
//
// RFC 7252, Section 5.10, RFC 7641, Section 2, RFC 7959, Section 2.1, RFC 8768, Section 3, RFC 9175, Section 2.2.
// Q-Block1 and Q-Block2 of RFC 9177 are critical and not known.
func ruleOf(number uint16) (optionRule, bool) {
	switch number {
	case IfMatch, RequestTag:
		return optionRule{0, 8, true}, true
	case ETag:
		return optionRule{1, 8, true}, true
	case UriPath, UriQuery, LocationPath, LocationQuery:
		return optionRule{0, 255, true}, true
	case UriHost, ProxyScheme:
		return optionRule{1, 255, false}, true
	case ProxyUri:
		return optionRule{1, 1034, false}, true
	case IfNoneMatch:
		return optionRule{0, 0, false}, true
	case UriPort, ContentFormat, Accept:
		return optionRule{0, 2, false}, true
	case Observe, Block1, Block2:
		return optionRule{0, 3, false}, true
	case MaxAge, Size1, Size2, HopLimit:
		// RFC 8768, Section 3: a Hop-Limit above 255 is answered 4.00 by the layer above, so more than its one byte is
		// taken.
		return optionRule{0, 4, false}, true
	case Echo:
		return optionRule{1, 40, false}, true
	}
	return optionRule{}, false
}

// Options of signalling messages; their numbers mean something else under each code. RFC 8323, Section 5.2.
const (
	csmMaxMessageSize uint16 = 2
	csmBlockWise      uint16 = 4
	abortBadCSMOption uint16 = 2
	custody           uint16 = 2
	releaseAlternate  uint16 = 2
	releaseHoldOff    uint16 = 4
)

// signalRule returns the rule of an option of a signalling message. RFC 8323, Sections 5.3 to 5.6.
func signalRule(code Code, number uint16) (optionRule, bool) {
	type place struct {
		code   Code
		number uint16
	}
	switch (place{code, number}) {
	case place{codeCSM, csmMaxMessageSize}:
		return optionRule{0, 4, false}, true
	case place{codeCSM, csmBlockWise}, place{codePing, custody}, place{codePong, custody}:
		return optionRule{0, 0, false}, true
	case place{codeRelease, releaseAlternate}:
		return optionRule{1, 255, true}, true
	case place{codeRelease, releaseHoldOff}:
		return optionRule{0, 3, false}, true
	case place{codeAbort, abortBadCSMOption}:
		return optionRule{0, 2, false}, true
	}
	return optionRule{}, false
}

// judge says whether an option of a message is handed on, and whether it makes the whole message unacceptable.
//
// RFC 7252, Section 5.4.3: an option of illegal length is treated like an unrecognised one.
// RFC 7252, Section 5.4.5: so is each surplus occurrence of an option that is not repeatable.
// RFC 7252, Section 5.4.1: unrecognised critical options (odd numbers) make the message unacceptable, elective ones
// are ignored; those we know nothing of stay in the list for the layers above.
func judge(code Code, number uint16, length int, repeated bool) (keep, bad bool) {
	rule, known := ruleOf(number)
	if code.Class() == 7 {
		rule, known = signalRule(code, number)
	}
	legal := known && length >= rule.low && length <= rule.high && (!repeated || rule.repeat)
	critical := number&1 == 1
	return legal || (!known && !critical), !legal && critical
}

// optionScan is what a first look at the raw options found.
type optionScan struct {
	count   int    // options on the wire
	bad     uint16 // number of the first unacceptable critical option
	isBad   bool
	surplus bool // there is an option that is not handed on
}

// scanOptions looks at the options and the payload marker of a message before the codec does, because the codec
// drops critical options of illegal length without a word. The error is about the form: RFC 7252, Section 3.
func scanOptions(code Code, data []byte) (optionScan, error) {
	var scan optionScan
	number := 0
	for len(data) > 0 {
		if data[0] == 0xff {
			if len(data) == 1 {
				return scan, fmt.Errorf("%w: payload marker without payload", errMalformed)
			}
			return scan, nil
		}
		delta, length, rest, err := optionHeader(data)
		if err != nil {
			return scan, err
		}
		number += delta
		if number > 0xffff || length > len(rest) {
			return scan, fmt.Errorf("%w: option out of range", errMalformed)
		}
		keep, bad := judge(code, uint16(number), length, delta == 0 && scan.count > 0)
		if bad && !scan.isBad {
			scan.bad, scan.isBad = uint16(number), true
		}
		scan.surplus = scan.surplus || !keep
		scan.count++
		data = rest[length:]
	}
	return scan, nil
}

// optionHeader reads the delta and the length of the first option of data. RFC 7252, Section 3.1.
func optionHeader(data []byte) (delta, length int, rest []byte, err error) {
	first := data[0]
	delta, rest, err = extended(int(first>>4), data[1:])
	if err != nil {
		return 0, 0, nil, err
	}
	length, rest, err = extended(int(first&0x0f), rest)
	return delta, length, rest, err
}

// extended reads the extended form of a nibble of an option header. RFC 7252, Section 3.1.
func extended(nibble int, data []byte) (value int, rest []byte, err error) {
	switch {
	case nibble < 13:
		return nibble, data, nil
	case nibble == 13 && len(data) >= 1:
		return int(data[0]) + 13, data[1:], nil
	case nibble == 14 && len(data) >= 2:
		return int(data[0])<<8 + int(data[1]) + 269, data[2:], nil
	}
	return 0, nil, fmt.Errorf("%w: bad option header", errMalformed)
}
