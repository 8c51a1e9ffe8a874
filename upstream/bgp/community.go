package bgp

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// large is a large community (RFC 8092, Section 3).
type large struct {
	admin, data1, data2 uint32
}

// communities are those of a route, by their kinds.
type communities struct {
	plain []uint32
	large []large
}

// parseCommunities reads communities of two and of three numbers.
func parseCommunities(words []string) (communities, error) {
	var c communities
	for _, w := range words {
		if strings.Count(w, ":") == 2 {
			l, err := parseLarge(w)
			if err != nil {
				return c, err
			}
			c.large = append(c.large, l)
			continue
		}
		n, err := numbers(w, 16, 16)
		if err != nil {
			return c, fmt.Errorf("%q is no community such as %s", w, DefaultCommunity)
		}
		c.plain = append(c.plain, n[0]<<16|n[1])
	}
	return c, nil
}

// parseLarge reads a large community.
func parseLarge(w string) (large, error) {
	n, err := numbers(w, 32, 32, 32)
	if err != nil {
		return large{}, fmt.Errorf("%q is no large community such as 64500:1:2", w)
	}
	return large{n[0], n[1], n[2]}, nil
}

// numbers reads numbers of the given sizes in bits, with colons between them.
func numbers(w string, bits ...int) ([]uint32, error) {
	parts := strings.Split(w, ":")
	if len(parts) != len(bits) {
		return nil, fmt.Errorf("%d numbers, want %d", len(parts), len(bits))
	}
	list := make([]uint32, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, bits[i])
		if err != nil {
			return nil, err
		}
		list[i] = uint32(n)
	}
	return list, nil
}

// trafficRate is the extended community traffic-rate-bytes; 0 discards (RFC 8955, Section 7.1).
func trafficRate(bytesPerSecond float64) [8]byte {
	b := [8]byte{0x80, 0x06}
	binary.BigEndian.PutUint32(b[4:], math.Float32bits(float32(bytesPerSecond)))
	return b
}

// redirect is the extended community rt-redirect in the form that fits the route target: an AS number of two octets, an IPv4
// address, or an AS number of four octets (RFC 8955, Section 7.4). It holds for IPv6 too (RFC 8956, Section 6).
func redirect(to string) ([8]byte, error) {
	admin, value, ok := strings.Cut(to, ":")
	if !ok {
		return [8]byte{}, fmt.Errorf("%q is no route target such as 64500:1", to)
	}
	if ip, err := netip.ParseAddr(admin); err == nil && ip.Is4() {
		n, err := numbers(value, 16)
		if err != nil {
			return [8]byte{}, fmt.Errorf("%q is no route target such as 192.0.2.1:1", to)
		}
		return narrow(0x81, binary.BigEndian.Uint32(ip.AsSlice()), n[0]), nil
	}
	if n, err := numbers(to, 16, 32); err == nil {
		b := [8]byte{0x80, 0x08}
		binary.BigEndian.PutUint16(b[2:], uint16(n[0]))
		binary.BigEndian.PutUint32(b[4:], n[1])
		return b, nil
	}
	n, err := numbers(to, 32, 16)
	if err != nil {
		return [8]byte{}, fmt.Errorf("%q is no route target such as 64500:1", to)
	}
	return narrow(0x82, n[0], n[1]), nil
}

// narrow is a redirect with four octets for the administrator and two for the value.
func narrow(kind byte, admin, value uint32) [8]byte {
	b := [8]byte{kind, 0x08}
	binary.BigEndian.PutUint32(b[2:], admin)
	binary.BigEndian.PutUint16(b[6:], uint16(value))
	return b
}
