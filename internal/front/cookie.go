package front

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"sync"
	"time"
)

const (
	// cookieSize is the library's: it is overwritten in place.
	cookieSize = 20
	// cookiePeriod is how long one key is used. A cookie is taken in the period that it was made in, and in the next one.
	cookiePeriod = time.Minute
	// cookieKeys is how many periods' keys are ready: the one in force, the one before, and the one after, for a node whose
	// clock is a little late.
	cookieKeys = 3
)

// cookies makes and checks the cookies of HelloVerifyRequest. Each period has its own key, which follows from the secret and
// the period's number: nodes that share the secret, and their restarts, agree without talking.
//
// RFC 6347, Section 4.2.1: Cookie = HMAC(Secret, Client-IP, Client-Parameters), and the secret changes from time to time.
type cookies struct {
	secret []byte
	now    func() time.Time
	free   sync.Pool // of *cookieMAC
}

func newCookies(secret []byte, now func() time.Time) *cookies {
	c := &cookies{secret: secret, now: now}
	c.free.New = func() any { return new(cookieMAC) }
	return c
}

// cookieMAC is the keyed hashes of the last few periods, for one caller at a time.
type cookieMAC struct {
	keys [cookieKeys]struct {
		period int64
		hash   hash.Hash // nil: none yet
	}
	source [18]byte
	sum    [sha256.Size]byte
}

func (c *cookies) period() int64 { return c.now().Unix() / int64(cookiePeriod/time.Second) }

// issue makes the cookie for a hello of this source.
func (c *cookies) issue(h *hello, from netip.AddrPort) [cookieSize]byte {
	return c.of(h, from, c.period())
}

// valid reports whether the hello's cookie is one that was made for it not long ago. The cookie's first byte names its
// period, so that a forged one costs no more than a right one.
func (c *cookies) valid(h *hello, from netip.AddrPort) bool {
	if len(h.cookie) != cookieSize {
		return false
	}
	now := c.period()
	for period := now - 1; period <= now+1; period++ {
		if byte(period) == h.cookie[0] {
			want := c.of(h, from, period)
			return hmac.Equal(want[:], h.cookie)
		}
	}
	return false
}

func (c *cookies) of(h *hello, from netip.AddrPort, period int64) (cookie [cookieSize]byte) {
	m := c.free.Get().(*cookieMAC)
	defer c.free.Put(m)
	key := m.key(c.secret, period)
	ip := from.Addr().As16()
	binary.BigEndian.PutUint16(m.source[copy(m.source[:], ip[:]):], from.Port())
	before, after := h.core()
	key.Reset()
	_, _ = key.Write(m.source[:]) // a hash takes everything
	_, _ = key.Write(before)
	_, _ = key.Write(after)
	cookie[0] = byte(period)
	copy(cookie[1:], key.Sum(m.sum[:0]))
	return cookie
}

// key returns the hash that is keyed for the period.
func (m *cookieMAC) key(secret []byte, period int64) hash.Hash {
	k := &m.keys[uint64(period)%cookieKeys]
	if k.hash == nil || k.period != period {
		derive := hmac.New(sha256.New, secret)
		_, _ = derive.Write(binary.BigEndian.AppendUint64([]byte("dotsgate DTLS cookie"), uint64(period)))
		k.period, k.hash = period, hmac.New(sha256.New, derive.Sum(nil))
	}
	return k.hash
}
