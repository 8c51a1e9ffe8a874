package aaa

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // RFC 2869, Section 5.14 knows no other
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"layeh.com/radius"
)

// Attributes of RFC 2865 and RFC 2869 that are used.
const (
	attrUserName             radius.Type = 1
	attrServiceType          radius.Type = 6
	attrReplyMessage         radius.Type = 18
	attrVendorSpecific       radius.Type = 26
	attrCalledStation        radius.Type = 30
	attrCallingStation       radius.Type = 31
	attrNASIdentifier        radius.Type = 32
	attrNASPortType          radius.Type = 61
	attrMessageAuthenticator radius.Type = 80
)

// Our attributes under the vendor's number; deploy/freeradius has them as a dictionary.
const (
	vendorTarget   = 1
	vendorProtocol = 2
	vendorPort     = 3
	vendorLifetime = 4
	vendorMID      = 5
	vendorPart     = 6
	vendorParts    = 7
	vendorCDID     = 8
)

const (
	// serviceCallCheck asks for a decision about who calls whom, without a password (RFC 2865, Section 5.6).
	serviceCallCheck = 10
	portVirtual      = 5
	// headerSize is code, identifier, length and authenticator; authenticatorSize is of both kinds of authenticator.
	headerSize        = 20
	authenticatorSize = 16
	// maxText is what a plain attribute holds, maxVendorText what one of ours does, in bytes.
	maxText       = 253
	maxVendorText = 247
	// maxPacket keeps a question within one datagram that any path takes whole, in bytes.
	maxPacket = 1200
	// maxParts bounds the questions that one request is cut into.
	maxParts = 64
)

// errUnspeakable says that a request cannot be told in RADIUS: the server never sees it, so it is not allowed.
var errUnspeakable = errors.New("request is too large for RADIUS")

// questions are a request as packets without identifier and authenticator. More than one is made when not all targets fit;
// each has everything else, and all must be accepted.
func (c RADIUSConfig) questions(r Request) ([]radius.Attributes, error) {
	common, err := c.common(r)
	if err != nil {
		return nil, err
	}
	targets, err := c.vendorTexts(nil, vendorTarget, r.Targets)
	if err != nil {
		return nil, err
	}
	room := maxPacket - headerSize - size(common)
	var parts []radius.Attributes
	part := radius.Attributes{}
	for _, avp := range targets {
		if len(part) > 0 && size(part)+size(radius.Attributes{avp}) > room {
			parts, part = append(parts, part), radius.Attributes{}
		}
		part = append(part, avp)
	}
	parts = append(parts, part)
	if room < maxText || len(parts) > maxParts {
		return nil, errUnspeakable
	}
	for i, part := range parts {
		all := append(common[:len(common):len(common)], part...)
		all = c.vendorNumber(all, vendorPart, uint32(i+1))
		parts[i] = c.vendorNumber(all, vendorParts, uint32(len(parts)))
	}
	return parts, nil
}

// common is what every part of a request says. The Message-Authenticator is first, and zero until the packet is signed: what
// somebody else puts in front of it cannot be made to fit (RFC 2869, Section 5.14).
func (c RADIUSConfig) common(r Request) (radius.Attributes, error) {
	avps := radius.Attributes{{Type: attrMessageAuthenticator, Attribute: make([]byte, authenticatorSize)}}
	for _, text := range []struct {
		kind  radius.Type
		value string
	}{
		{attrUserName, r.Client},
		{attrNASIdentifier, c.NodeID},
		{attrCalledStation, r.Domain},
		{attrCallingStation, r.CUID},
	} {
		if len(text.value) > maxText {
			return nil, errUnspeakable
		}
		if text.value != "" { // RFC 2865, Section 5: a text of no length is left out
			avps = append(avps, &radius.AVP{Type: text.kind, Attribute: radius.Attribute(text.value)})
		}
	}
	avps = append(
		avps,
		&radius.AVP{Type: attrServiceType, Attribute: radius.NewInteger(serviceCallCheck)},
		&radius.AVP{Type: attrNASPortType, Attribute: radius.NewInteger(portVirtual)},
	)
	var cdid []string
	if r.CDID != "" {
		cdid = []string{r.CDID}
	}
	for kind, texts := range [...][]string{vendorCDID: cdid, vendorProtocol: r.Protocols, vendorPort: r.Ports} {
		var err error
		if avps, err = c.vendorTexts(avps, byte(kind), texts); err != nil {
			return nil, err
		}
	}
	lifetime := uint32(math.MaxUint32) // indefinite
	if r.Lifetime >= 0 {
		lifetime = uint32(min(r.Lifetime, math.MaxUint32-1))
	}
	avps = c.vendorNumber(avps, vendorLifetime, lifetime)
	return c.vendorNumber(avps, vendorMID, r.MID), nil
}

func (c RADIUSConfig) vendorTexts(avps radius.Attributes, kind byte, texts []string) (radius.Attributes, error) {
	for _, text := range texts {
		if len(text) > maxVendorText {
			return nil, errUnspeakable
		}
		avps = append(avps, c.vendorAVP(kind, []byte(text)))
	}
	return avps, nil
}

func (c RADIUSConfig) vendorNumber(avps radius.Attributes, kind byte, n uint32) radius.Attributes {
	return append(avps, c.vendorAVP(kind, radius.NewInteger(n)))
}

// vendorAVP wraps one of our attributes (RFC 2865, Section 5.26).
func (c RADIUSConfig) vendorAVP(kind byte, value []byte) *radius.AVP {
	b := binary.BigEndian.AppendUint32(nil, c.Vendor)
	b = append(b, kind, byte(len(value)+2))
	return &radius.AVP{Type: attrVendorSpecific, Attribute: append(b, value...)}
}

// size is what attributes need on the wire, in bytes.
func size(avps radius.Attributes) (n int) {
	for _, avp := range avps {
		n += 2 + len(avp.Attribute)
	}
	return n
}

// sign makes an Access-Request of attributes that common began, with a fresh Request Authenticator.
func sign(avps radius.Attributes, id byte, secret []byte) ([]byte, error) {
	p := radius.New(radius.CodeAccessRequest, secret)
	p.Identifier = id
	p.Attributes = avps
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("writing an Access-Request: %w", err)
	}
	// RFC 2869, Section 5.14: over the whole packet, with the attribute's own value zero.
	copy(b[headerSize+2:], messageAuthenticator(b, secret))
	return b, nil
}

func messageAuthenticator(packet, secret []byte) []byte {
	mac := hmac.New(md5.New, secret)
	mac.Write(packet)
	return mac.Sum(nil)
}

// cut returns the packet that a datagram holds, without what is behind its length (RFC 2865, Section 3: padding); nil when
// there is none.
func cut(datagram []byte) []byte {
	if len(datagram) < headerSize {
		return nil
	}
	n := int(binary.BigEndian.Uint16(datagram[2:]))
	if n < headerSize || n > len(datagram) || n > radius.MaxPacketLength {
		return nil
	}
	return datagram[:n]
}

// readAnswer reads the answer to request, once it is sure that it comes from who knows the secret. A Fault is empty when it is.
// Neither argument is changed.
func readAnswer(packet, request, secret []byte) (Decision, Fault) {
	p, err := radius.Parse(packet, secret)
	if err != nil {
		return Decision{}, FaultGarbage
	}
	switch p.Code {
	case radius.CodeAccessAccept, radius.CodeAccessReject, radius.CodeAccessChallenge:
	default:
		return Decision{}, FaultGarbage
	}
	if fault := checkSigned(packet, request, secret); fault != "" {
		return Decision{}, fault
	}
	// RFC 2865, Section 3: the Response Authenticator.
	if !radius.IsAuthenticResponse(packet, request, secret) {
		return Decision{}, FaultAuthenticator
	}
	return decisionOf(p), ""
}

// checkSigned checks the Message-Authenticator. RFC 2869, Section 5.14 asks for it only with EAP; an answer without it can be
// forged by whoever stands between, whatever its Response Authenticator says (CVE-2024-3596), so it is required.
func checkSigned(packet, request, secret []byte) Fault {
	at, found := 0, 0
	for i := headerSize; i+2 <= len(packet) && packet[i+1] >= 2; i += int(packet[i+1]) {
		if radius.Type(packet[i]) == attrMessageAuthenticator {
			at, found = i, found+1
		}
	}
	if found != 1 || packet[at+1] != 2+authenticatorSize {
		return FaultUnauthenticated
	}
	value := packet[at+2 : at+2+authenticatorSize]
	// RFC 2869, Section 5.14: computed with the Request Authenticator in the header.
	b := append([]byte(nil), packet...)
	copy(b[4:headerSize], request[4:headerSize])
	clear(b[at+2 : at+2+authenticatorSize])
	if !hmac.Equal(value, messageAuthenticator(b, secret)) {
		return FaultAuthenticator
	}
	return ""
}

// decisionOf reads an answer that is authentic.
func decisionOf(p *radius.Packet) Decision {
	var text strings.Builder
	for _, avp := range p.Attributes {
		if avp.Type == attrReplyMessage {
			// RFC 2865, Section 5.18: several are shown in their order.
			text.Write(avp.Attribute)
		}
	}
	d := Decision{Allow: p.Code == radius.CodeAccessAccept, Reason: tidy(text.String())}
	service, told := p.Lookup(attrServiceType)
	if n, err := radius.Integer(service); told && d.Allow && (err != nil || n != serviceCallCheck) {
		// RFC 2865, Section 5.6: an Access-Accept for a service that is not ours is a rejection.
		return Decision{Reason: "accepted for another service"}
	}
	if p.Code == radius.CodeAccessChallenge {
		// RFC 2865, Section 4.4: who cannot answer a challenge takes it for a rejection.
		d.Reason = tidy("challenged: " + d.Reason)
	}
	return d
}
