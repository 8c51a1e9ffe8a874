package rfc9132

import (
	"math"
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The redirection to another server: the body of a 5.03, {46: {47 name, 48 addresses}} (RFC 9132, Section 4.6), and the
// PUT redirect of call home, {46: {32773 name, 32774 addresses, 32775 ttl}} (RFC 9066, Section 5.2.2).

// redirectKeys are the three attributes in one of the two directions.
type redirectKeys struct{ name, records, ttl uint64 }

// baseRedirect has no ttl: the answer's Max-Age holds.
func baseRedirect() redirectKeys {
	return redirectKeys{name: keyAltServer, records: keyAltServerRecord}
}

func callHomeRedirect() redirectKeys {
	return redirectKeys{name: keyAltCHClient, records: keyAltCHClientRecord, ttl: keyTTL}
}

func readRedirect(r *reader, keys redirectKeys) (to dots.Redirect, err error) {
	err = r.Body(keyRedirectedSignal, func() error {
		return r.Entries(keyRedirectedSignal, func(key uint64) (err error) {
			switch key {
			case keys.name:
				to.Server, err = r.ReadText(key, wire.CheckName)
			case keys.records:
				to.Records, err = r.ReadTexts(key, checkAddress)
			case keys.ttl:
				var ttl uint64
				ttl, err = r.ReadUint(key, math.MaxUint32)
				to.TTLs = []uint32{uint32(ttl)}
			default:
				err = r.Stray(key)
			}
			return err
		})
	})
	if err == nil && to.Server == "" {
		err = r.Missing(keys.name)
	}
	return to, err
}

func checkAddress(s string) string {
	if _, err := netip.ParseAddr(s); err != nil {
		return "not an address"
	}
	return ""
}

func writeRedirect(w *wire.Writer, to dots.Redirect, keys redirectKeys) {
	w.BeginMap()
	w.Key(keyRedirectedSignal)
	w.BeginMap()
	w.Key(keys.name)
	w.Text(to.Server)
	w.KeyTexts(keys.records, to.Records)
	if keys.ttl != 0 && len(to.TTLs) > 0 {
		w.Key(keys.ttl)
		w.Uint(uint64(to.TTLs[0]))
	}
	w.EndMap()
	w.EndMap()
}
