package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/internal/config"
	"github.com/dotsgate/dotsgate/wire"
)

// TestStoreGone kills the gateway and takes its database away: what is asked then is never asked upstream under a lower mid.
//
// RFC 9132, Section 4.4.1: mids of a cuid grow.
func TestStoreGone(t *testing.T) {
	pki := newPKI(t)
	up := startUpstream(t, pki, coap.NetworkUDP, "127.0.0.1:0")
	file := writeGatewayFile(t, pki, up.address(), config.TransportDTLS, "")
	l := newLedger(pki, t)
	for round := range uint32(3) {
		g := startChild(t, file)
		l.connect(t, g.addrs)
		resp, err := l.authors[0].c.do(t.Context(), put(round+1, 600, "192.0.2.1/32"))
		if err != nil || resp.Code != dots.CodeCreated {
			t.Fatalf("round %d: %v %q, %v", round, resp.Code, resp.Diagnostic, err)
		}
		// A gateway that has no session yet answers with what is durable, and asks the server later.
		up.await(t, "the request", func() bool { return up.count(wire.PutMitigation) > int(round) })
		g.kill()
		l.disconnect()
		up.hangUp()
		stores, err := filepath.Glob(filepath.Join(filepath.Dir(file), "store.db*"))
		if err != nil || len(stores) == 0 {
			t.Fatalf("no database: %v", err)
		}
		for _, s := range stores {
			if err := os.Remove(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	mids := map[string]uint32{}
	count := 0
	for _, s := range up.seen() {
		if !s.asks() {
			continue
		}
		count++
		if last := mids[s.cuid]; s.mid < last || last == 0 && s.mid < 1_000_000 {
			t.Errorf("mid %d follows %d", s.mid, last)
		}
		mids[s.cuid] = s.mid
	}
	if count < 3 || len(mids) != 1 {
		t.Errorf("%d requests under %d cuids", count, len(mids))
	}
}
