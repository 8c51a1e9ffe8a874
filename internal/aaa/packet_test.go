package aaa

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"layeh.com/radius"
)

const secret = "a secret of this test"

func radiusConfig() RADIUSConfig { return RADIUSConfig{NodeID: "gate-1", Vendor: DefaultVendor} }

// asked makes the packet of a request that needs only one.
func asked(t testing.TB, r Request, id byte) []byte {
	t.Helper()
	parts, err := radiusConfig().questions(r)
	if err != nil || len(parts) != 1 {
		t.Fatalf("questions() = %d parts, %v", len(parts), err)
	}
	b, err := sign(parts[0], id, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readable writes a packet's attributes as "number=text"; ours as "vN=text", numbers of ours as decimals.
func readable(t *testing.T, packet []byte) (list []string) {
	t.Helper()
	p, err := radius.Parse(packet, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for _, avp := range p.Attributes {
		switch {
		case avp.Type == attrMessageAuthenticator:
			list = append(list, fmt.Sprintf("80=%d bytes", len(avp.Attribute)))
		case avp.Type == attrServiceType, avp.Type == attrNASPortType:
			list = append(list, fmt.Sprintf("%d=%d", avp.Type, binary.BigEndian.Uint32(avp.Attribute)))
		case avp.Type == attrVendorSpecific:
			vendor, kind, n, v := binary.BigEndian.Uint32(avp.Attribute), avp.Attribute[4], avp.Attribute[5], avp.Attribute[6:]
			if vendor != DefaultVendor || int(n) != len(v)+2 {
				t.Errorf("attribute of vendor %d says %d bytes and has %d", vendor, n, len(v)+2)
			}
			if kind >= vendorLifetime && kind <= vendorParts {
				list = append(list, fmt.Sprintf("v%d=%d", kind, binary.BigEndian.Uint32(v)))
			} else {
				list = append(list, fmt.Sprintf("v%d=%s", kind, v))
			}
		default:
			list = append(list, fmt.Sprintf("%d=%s", avp.Type, avp.Attribute))
		}
	}
	return list
}

// What an Access-Request says, in its order: the Message-Authenticator is first.
func TestQuestion(t *testing.T) {
	b := asked(t, request(), 9)
	want := []string{
		"80=16 bytes", "1=client1", "32=gate-1", "30=customer-a", "31=dz6pHjaADkaFTbjr0JGBpw", "6=10", "61=5",
		"v2=6", "v2=17", "v3=80", "v3=8000-8080", "v4=3600", "v5=7",
		"v1=192.0.2.0/24", "v1=www.example.com", "v6=1", "v7=1",
	}
	if got := readable(t, b); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if b[0] != byte(radius.CodeAccessRequest) || b[1] != 9 {
		t.Errorf("code %d, identifier %d", b[0], b[1])
	}
	// RFC 2869, Section 5.14: over the packet with the value zero.
	mac := slices.Clone(b[headerSize+2 : headerSize+2+authenticatorSize])
	zeroed := slices.Clone(b)
	clear(zeroed[headerSize+2 : headerSize+2+authenticatorSize])
	if !bytes.Equal(mac, messageAuthenticator(zeroed, []byte(secret))) {
		t.Error("the Message-Authenticator is wrong")
	}
	if other := asked(t, request(), 9); bytes.Equal(b[4:headerSize], other[4:headerSize]) {
		t.Error("two packets have the same Request Authenticator")
	}
}

// The cdid is said where there is one.
func TestQuestionCDID(t *testing.T) {
	r := request()
	r.CDID = "customer.example"
	if got := readable(t, asked(t, r, 1)); !slices.Contains(got, "v8=customer.example") {
		t.Errorf("got %q", got)
	}
}

func TestQuestionLifetimes(t *testing.T) {
	for lifetime, want := range map[int64]uint32{
		-1: math.MaxUint32, 0: 0, 60: 60, math.MaxUint32: math.MaxUint32 - 1, math.MaxInt64: math.MaxUint32 - 1,
	} {
		r := request()
		r.Lifetime = lifetime
		if got := readable(t, asked(t, r, 1)); !slices.Contains(got, fmt.Sprintf("v4=%d", want)) {
			t.Errorf("lifetime %d: %q, want %d", lifetime, got, want)
		}
	}
}

// A text that is not there is left out (RFC 2865, Section 5), not sent without length.
func TestQuestionWithoutTexts(t *testing.T) {
	got := readable(t, asked(t, Request{Client: "c"}, 1))
	want := []string{"80=16 bytes", "1=c", "32=gate-1", "6=10", "61=5", "v4=0", "v5=0", "v6=1", "v7=1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What does not fit one packet is asked in parts that together have each target once, and each everything else.
func TestQuestionInParts(t *testing.T) {
	r := request()
	r.Targets = nil
	for i := range 300 {
		r.Targets = append(r.Targets, fmt.Sprintf("2001:db8:%x::/48", i))
	}
	parts, err := radiusConfig().questions(r)
	if err != nil || len(parts) < 2 {
		t.Fatalf("questions() = %d parts, %v", len(parts), err)
	}
	var targets []string
	for i, part := range parts {
		b, err := sign(part, 1, []byte(secret))
		if err != nil || len(b) > maxPacket+40 {
			t.Fatalf("part %d has %d bytes, %v", i, len(b), err)
		}
		said := readable(t, b)
		for _, want := range []string{"1=client1", "v3=8000-8080", fmt.Sprintf("v6=%d", i+1), fmt.Sprintf("v7=%d", len(parts))} {
			if !slices.Contains(said, want) {
				t.Errorf("part %d does not say %s: %q", i, want, said)
			}
		}
		for _, s := range said {
			if target, ok := strings.CutPrefix(s, "v1="); ok {
				targets = append(targets, target)
			}
		}
	}
	if !slices.Equal(targets, r.Targets) {
		t.Errorf("the parts have %d targets, want %d", len(targets), len(r.Targets))
	}
}

// What RADIUS cannot say is never half said.
func TestUnspeakable(t *testing.T) {
	many := func(n int, text string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("%s%d", text, i))
		}
		return list
	}
	for name, change := range map[string]func(*Request){
		"a target too long":   func(r *Request) { r.Targets[0] = strings.Repeat("x", maxVendorText+1) },
		"a name too long":     func(r *Request) { r.Client = strings.Repeat("x", maxText+1) },
		"a cdid too long":     func(r *Request) { r.CDID = strings.Repeat("x", maxVendorText+1) },
		"a cuid too long":     func(r *Request) { r.CUID = strings.Repeat("x", maxText+1) },
		"a domain too long":   func(r *Request) { r.Domain = strings.Repeat("x", maxText+1) },
		"a protocol too long": func(r *Request) { r.Protocols[0] = strings.Repeat("x", maxVendorText+1) },
		"a port too long":     func(r *Request) { r.Ports[0] = strings.Repeat("x", maxVendorText+1) },
		"too many ports":      func(r *Request) { r.Ports = many(200, "8000-8") },
		"too many targets":    func(r *Request) { r.Targets = many(5000, "www.example") },
	} {
		r := request()
		change(&r)
		if parts, err := radiusConfig().questions(r); err == nil {
			t.Errorf("%s: %d parts", name, len(parts))
		}
	}
	r := request()
	r.Targets = []string{strings.Repeat("x", maxVendorText)}
	if _, err := radiusConfig().questions(r); err != nil {
		t.Errorf("the longest target: %v", err)
	}
}

// reply makes the answer of a server that knows the secret. Attributes come after the Message-Authenticator.
func reply(request []byte, code radius.Code, avps ...*radius.AVP) []byte {
	avps = append([]*radius.AVP{{Type: attrMessageAuthenticator, Attribute: make([]byte, 16)}}, avps...)
	return signReply(request, code, headerSize+2, avps...)
}

// signReply signs with the Message-Authenticator whose value is at an offset; 0: none.
func signReply(request []byte, code radius.Code, at int, avps ...*radius.AVP) []byte {
	p := &radius.Packet{Code: code, Identifier: request[1], Secret: []byte(secret), Attributes: avps}
	copy(p.Authenticator[:], request[4:headerSize])
	b, err := p.MarshalBinary()
	if err != nil {
		panic(err)
	}
	if at > 0 {
		copy(b[at:], messageAuthenticator(b, []byte(secret)))
	}
	return authentic(b, request)
}

// authentic puts the right Response Authenticator into an answer.
func authentic(answer, request []byte) []byte {
	p, err := radius.Parse(answer, []byte(secret))
	if err != nil {
		panic(err)
	}
	copy(p.Authenticator[:], request[4:headerSize])
	b, err := p.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

func text(kind radius.Type, s string) *radius.AVP {
	return &radius.AVP{Type: kind, Attribute: radius.Attribute(s)}
}

func number(kind radius.Type, n uint32) *radius.AVP {
	return &radius.AVP{Type: kind, Attribute: radius.NewInteger(n)}
}

func TestReadAnswer(t *testing.T) {
	q := asked(t, request(), 3)
	late := text(attrMessageAuthenticator, string(make([]byte, 16)))
	tests := map[string]struct {
		answer []byte
		want   Decision
	}{
		"accept":              {reply(q, radius.CodeAccessAccept), Decision{Allow: true}},
		"accept with a text":  {reply(q, radius.CodeAccessAccept, text(18, "hello")), Decision{Allow: true, Reason: "hello"}},
		"reject":              {reply(q, radius.CodeAccessReject), Decision{}},
		"reject with a text":  {reply(q, radius.CodeAccessReject, text(18, "not your "), text(18, "prefix\n")), Decision{Reason: "not your prefix"}},
		"challenge":           {reply(q, radius.CodeAccessChallenge, text(18, "pin?")), Decision{Reason: "challenged: pin?"}},
		"our service":         {reply(q, radius.CodeAccessAccept, number(6, 10)), Decision{Allow: true}},
		"another service":     {reply(q, radius.CodeAccessAccept, number(6, 2)), Decision{Reason: "accepted for another service"}},
		"a broken service":    {reply(q, radius.CodeAccessAccept, text(6, "10")), Decision{Reason: "accepted for another service"}},
		"unknown attributes":  {reply(q, radius.CodeAccessAccept, text(200, "?"), text(26, "\x00\x00\x00\x09\x01\x03x")), Decision{Allow: true}},
		"authenticator later": {signReply(q, radius.CodeAccessAccept, headerSize+4+2, text(18, "ok"), late), Decision{Allow: true, Reason: "ok"}},
	}
	for name, tt := range tests {
		answer, question := slices.Clone(tt.answer), slices.Clone(q)
		got, fault := readAnswer(answer, question, []byte(secret))
		if fault != "" || got != tt.want {
			t.Errorf("%s: %+v, %q, want %+v", name, got, fault, tt.want)
		}
		if !bytes.Equal(answer, tt.answer) || !bytes.Equal(question, q) {
			t.Errorf("%s: the packets are changed", name)
		}
	}
}

// Whoever does not know the secret is not believed, whatever it says. RFC 2869, Section 5.14.
func TestReadAnswerRefuses(t *testing.T) {
	q, other := asked(t, request(), 3), asked(t, request(), 3)
	good := reply(q, radius.CodeAccessAccept)
	changed := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	mac := func(n int) *radius.AVP { return text(attrMessageAuthenticator, string(make([]byte, n))) }
	tests := map[string]struct {
		answer []byte
		want   Fault
	}{
		"empty":                    {nil, FaultGarbage},
		"too short":                {good[:19], FaultGarbage},
		"length beyond the end":    {changed(3, 255), FaultGarbage},
		"attribute without length": {changed(headerSize+1, 0), FaultGarbage},
		"attribute beyond the end": {changed(headerSize+1, 40), FaultGarbage},
		"a request":                {changed(0, 1), FaultGarbage},
		"code turned to reject":    {changed(0, 3), FaultAuthenticator},
		"a bit of the mac":         {changed(headerSize+2, good[headerSize+2]^1), FaultAuthenticator},
		"a bit of the header":      {changed(4, good[4]^1), FaultAuthenticator},
		"of another request":       {reply(other, radius.CodeAccessAccept), FaultAuthenticator},
		// CVE-2024-3596: the Response Authenticator is right, but that can be forged.
		"no mac":         {signReply(q, radius.CodeAccessAccept, 0), FaultUnauthenticated},
		"a text for it":  {signReply(q, radius.CodeAccessAccept, 0, text(18, "Message-Authenticator")), FaultUnauthenticated},
		"two macs":       {signReply(q, radius.CodeAccessAccept, headerSize+2, mac(16), mac(16)), FaultUnauthenticated},
		"a short mac":    {signReply(q, radius.CodeAccessAccept, 0, mac(15)), FaultUnauthenticated},
		"a long mac":     {signReply(q, radius.CodeAccessAccept, 0, mac(17)), FaultUnauthenticated},
		"an empty mac":   {signReply(q, radius.CodeAccessAccept, 0, mac(0)), FaultUnauthenticated},
		"a mac of zeros": {signReply(q, radius.CodeAccessAccept, 0, mac(16)), FaultAuthenticator},
	}
	for name, tt := range tests {
		got, fault := readAnswer(tt.answer, q, []byte(secret))
		if fault != tt.want || got != (Decision{}) {
			t.Errorf("%s: %+v, %q, want %q", name, got, fault, tt.want)
		}
	}
	// Another secret makes both authenticators wrong.
	if got, fault := readAnswer(good, q, []byte("another secret")); fault != FaultAuthenticator || got.Allow {
		t.Errorf("with another secret: %+v, %q", got, fault)
	}
}

// A right Message-Authenticator does not excuse a wrong Response Authenticator (RFC 2865, Section 3).
func TestReadAnswerChecksBoth(t *testing.T) {
	q := asked(t, request(), 3)
	b := reply(q, radius.CodeAccessAccept)
	b[4] ^= 1 // the mac is made over the request's authenticator, so it is still right
	if fault := checkSigned(b, q, []byte(secret)); fault != "" {
		t.Fatalf("the mac is wrong: %q", fault)
	}
	if _, fault := readAnswer(b, q, []byte(secret)); fault != FaultAuthenticator {
		t.Errorf("readAnswer() = %q", fault)
	}
}

// RFC 2865, Section 3: what is behind the packet's length is padding.
func TestCut(t *testing.T) {
	good := reply(asked(t, request(), 3), radius.CodeAccessAccept)
	padded := append(slices.Clone(good), 1, 2, 3)
	short := slices.Clone(good)
	short[3]++
	tiny := slices.Clone(good)
	tiny[2], tiny[3] = 0, headerSize-1
	huge := make([]byte, 5000)
	binary.BigEndian.PutUint16(huge[2:], 4097)
	for name, tt := range map[string]struct{ in, want []byte }{
		"exact": {good, good}, "padded": {padded, good}, "cut off": {short, nil}, "tiny": {tiny, nil}, "nothing": {nil, nil},
		"header only": {good[:19], nil}, "too long": {huge, nil},
	} {
		if got := cut(tt.in); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(tt.want))
		}
	}
}

// Whatever comes, nothing panics, and nothing is allowed that the secret's holder did not sign.
func FuzzReadAnswer(f *testing.F) {
	q := asked(f, request(), 3)
	f.Add(reply(q, radius.CodeAccessAccept, text(18, "hello")))
	f.Add(reply(q, radius.CodeAccessReject))
	f.Add(signReply(q, radius.CodeAccessAccept, 0))
	f.Add([]byte{2, 3, 0, 20})
	f.Fuzz(func(t *testing.T, b []byte) {
		packet := cut(b)
		if packet == nil {
			return
		}
		d, fault := readAnswer(packet, q, []byte("a secret that no seed knows"))
		if fault == "" || d != (Decision{}) {
			t.Errorf("accepted %x: %+v", b, d)
		}
		if d, fault = readAnswer(packet, q, []byte(secret)); fault != "" && d != (Decision{}) {
			t.Errorf("%q, and yet %+v", fault, d)
		}
	})
}
