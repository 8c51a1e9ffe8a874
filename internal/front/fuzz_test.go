package front

import (
	"bytes"
	"testing"
)

// corpus is what the fuzzing begins with.
func corpus() [][]byte {
	random := [randomSize]byte{1, 2, 3}
	all := [][]byte{
		clientHello(0, 0, random, nil),
		clientHello(1, 1, random, make([]byte, cookieSize)),
		clientHello(1, 1, random, nil),
		smallHello(),
	}
	for _, b := range strangers() {
		all = append(all, b)
	}
	return all
}

// FuzzStranger: whatever a stranger sends, it gets at most half as many bytes back, nothing but a first hello is answered, and
// nothing is kept.
func FuzzStranger(f *testing.F) {
	for _, b := range corpus() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := newMemNet()
		checkStranger(t, newFront(Config{Network: n}), n, in)
	})
}

// checkStranger brings one datagram to the front and returns how many bytes came back.
func checkStranger(t *testing.T, f *Front, n *memNet, in []byte) (answered int) {
	t.Helper()
	before := len(n.sentSince(0))
	h, ok := parseHello(in)
	if ok && (len(h.datagram) != len(in) || h.coreEnd > len(in) || h.cookieAt > h.coreEnd) {
		t.Errorf("a hello of %d bytes with its extensions at %d", len(in), h.coreEnd)
	}
	if ok && len(h.cookie) > 0 && h.number > 0 {
		if first, ok := parseHello(h.first()); !ok || len(first.cookie) > 0 || first.random != h.random {
			t.Errorf("%x is made of %x", h.first(), in)
		}
	}
	f.route(n, bytes.Clone(in), udpPath(1))
	for _, b := range n.sentSince(before) {
		answered += len(b)
		if _, isVerify := helloVerify(b); !isVerify || !ok {
			t.Errorf("%x is answered with %x", in, b)
		}
	}
	if 2*answered > len(in) {
		t.Errorf("%d bytes are answered with %d", len(in), answered)
	}
	if paths, ids := f.table.counts(); paths+ids+f.pending.len()+len(f.proven) > 0 {
		t.Errorf("%x leaves something", in)
	}
	return answered
}

// TestAmplification: over the whole corpus, each of it with every byte changed and every length, strangers get at most half
// of the bytes that they send, and a flood of hellos no more.
func TestAmplification(t *testing.T) {
	n := newMemNet()
	f := newFront(Config{Network: n})
	received, answered := 0, 0
	bring := func(b []byte) {
		received += len(b)
		answered += checkStranger(t, f, n, b)
		n.mu.Lock()
		n.sent = nil
		n.mu.Unlock()
	}
	for _, b := range corpus() {
		for at := range b {
			bring(changed(b, at, b[at]^0xff))
			bring(changed(b, at, b[at]+1))
			bring(b[:at])
		}
		bring(b)
	}
	if answered == 0 || 2*answered > received {
		t.Errorf("%d bytes are answered with %d", received, answered)
	}
	t.Logf("%d bytes answered to %d received: %.2f", answered, received, float64(answered)/float64(received))
}
