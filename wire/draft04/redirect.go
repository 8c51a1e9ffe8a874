package draft04

import (
	"math"
	"net/netip"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The redirection to another server, 3.00 with {"alt-server", "alt-server-record": [{"addr", "ttl"}]}
// (draft-ietf-dots-signal-channel-04, Section 5.5). Its members have no keys.

// defaultTTL is CoAP's default Max-Age, in seconds (RFC 7252, Section 5.10.5).
const defaultTTL = 60

// record is an address of the alternate server.
type record struct {
	addr string
	ttl  uint32
}

func readRedirect(r *reader) (to dots.Redirect, err error) {
	err = r.Entries(wire.BodyKey, func(key uint64) (err error) {
		switch key {
		case nameAltServer:
			to.Server, err = r.ReadText(key, wire.CheckName)
		case nameAltServerRecord:
			var records []record
			records, err = wire.ReadList(&r.Reader, key, 8, r.record)
			for _, one := range records {
				to.Records = append(to.Records, one.addr)
				to.TTLs = append(to.TTLs, one.ttl)
			}
		default:
			err = r.Stray(key)
		}
		return err
	})
	if err == nil && to.Server == "" {
		err = r.Missing(nameAltServer)
	}
	return to, err
}

func (r *reader) record() (one record, err error) {
	err = r.Entries(nameAltServerRecord, func(key uint64) (err error) {
		switch key {
		case nameAddr:
			one.addr, err = r.ReadText(key, wire.CheckText)
			if _, parse := netip.ParseAddr(one.addr); err == nil && parse != nil {
				err = r.Bad(key, "not an address")
			}
		case nameTTL:
			var v uint64
			v, err = r.ReadUint(key, math.MaxUint32)
			one.ttl = uint32(v)
		default:
			err = r.Stray(key)
		}
		return err
	})
	if err == nil && one.addr == "" {
		err = r.Missing(nameAddr)
	}
	return one, err
}

// writeRedirect writes a redirection; a record without a ttl of its own has the answer's.
func writeRedirect(w *wire.Writer, to dots.Redirect, maxAge dots.Maybe[uint32]) {
	w.BeginMap()
	w.TextKey(textAltServer)
	w.Text(to.Server)
	if len(to.Records) > 0 {
		w.TextKey(textAltServerRecord)
		w.BeginArray()
		for i, addr := range to.Records {
			ttl := maxAge.Or(defaultTTL)
			if i < len(to.TTLs) {
				ttl = to.TTLs[i]
			}
			w.Element()
			w.BeginMap()
			w.TextKey(textTTL)
			w.Uint(uint64(ttl))
			w.TextKey(textAddr)
			w.Text(addr)
			w.EndMap()
		}
		w.EndArray()
	}
	w.EndMap()
}
