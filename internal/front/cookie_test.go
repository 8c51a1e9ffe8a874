package front

import (
	"net/netip"
	"testing"
	"time"
)

// clock is a moment that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func testHello(t *testing.T, cookie []byte) *hello {
	t.Helper()
	h, ok := parseHello(clientHello(3, 1, [randomSize]byte{1, 2, 3}, cookie))
	if !ok {
		t.Fatal("the hello is not well-formed")
	}
	return &h
}

// TestCookieRotation: a cookie is good in the period that it was made in, in the next one, and, for a node whose clock is
// late, in the one before; and so it is for another node with the same secret.
func TestCookieRotation(t *testing.T) {
	secret := []byte("0123456789abcdef")
	start := time.Unix(1_800_000_000, 0).Truncate(cookiePeriod)
	made, read := &clock{start}, &clock{}
	maker, reader := newCookies(secret, made.now), newCookies(secret, read.now)
	stranger := newCookies([]byte("another secret!!"), read.now)
	from := clientAddr(1)
	tests := map[time.Duration]bool{
		-cookiePeriod - time.Second:  false,
		-cookiePeriod:                true,
		0:                            true,
		cookiePeriod - 1:             true,
		cookiePeriod:                 true,
		2*cookiePeriod - time.Second: true,
		2 * cookiePeriod:             false,
		256 * cookiePeriod:           false, // the period's number in the cookie comes again
		257 * cookiePeriod:           false,
	}
	for after, want := range tests {
		made.at, read.at = start, start.Add(after)
		cookie := maker.issue(testHello(t, nil), from)
		if got := reader.valid(testHello(t, cookie[:]), from); got != want {
			t.Errorf("after %v: valid = %v, want %v", after, got, want)
		}
		if stranger.valid(testHello(t, cookie[:]), from) {
			t.Errorf("after %v: valid with another secret", after)
		}
	}
}

// TestCookieBinds: RFC 6347, Section 4.2.1: the cookie is for one address, and for the parameters that must not change.
func TestCookieBinds(t *testing.T) {
	c := newCookies([]byte("0123456789abcdef"), time.Now)
	from := clientAddr(1)
	cookie := c.issue(testHello(t, nil), from)
	good := testHello(t, cookie[:])
	if !c.valid(good, from) {
		t.Fatal("the right cookie is not valid")
	}
	for name, a := range map[string]netip.AddrPort{
		"port": clientAddr(2), "address": netip.MustParseAddrPort("198.51.100.8:1"), "family": netip.MustParseAddrPort("[::1]:1"),
	} {
		if c.valid(good, a) {
			t.Errorf("valid for another %s", name)
		}
	}
	if mapped := netip.MustParseAddrPort("[::ffff:198.51.100.7]:1"); !c.valid(good, mapped) {
		t.Error("not valid for the same address in its other form")
	}
	extensionsAt := good.coreEnd
	for at := recordHeader + handshakeHeader; at < len(good.datagram); at++ {
		b := append([]byte(nil), good.datagram...)
		b[at] ^= 1
		h, ok := parseHello(b)
		if ok && c.valid(&h, from) != (at >= extensionsAt) {
			t.Errorf("byte %d changed: valid = %v, and the extensions begin at %d", at, at < extensionsAt, extensionsAt)
		}
	}
	for _, wrong := range [][]byte{nil, cookie[:19], append(cookie[:], 0), make([]byte, cookieSize)} {
		if c.valid(testHello(t, wrong), from) {
			t.Errorf("a cookie of %d bytes is valid", len(wrong))
		}
	}
}

// TestCookieAllocations: a flood of hellos must not feed the garbage collector.
func TestCookieAllocations(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	first := clientHello(0, 0, [randomSize]byte{1}, nil)
	forged := clientHello(1, 1, [randomSize]byte{1}, make([]byte, cookieSize))
	from := udpPath(1)
	var sink discard
	least := 1e9
	for range 5 { // the runtime's own allocations count otherwise
		least = min(least, testing.AllocsPerRun(200, func() {
			f.route(sink, first, from)
			f.route(sink, forged, from)
		}))
	}
	if least > 0 && !underRace {
		t.Errorf("%v allocations for two hellos", least)
	}
}
