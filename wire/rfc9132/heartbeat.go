package rfc9132

import "github.com/dotsgate/dotsgate/wire"

// The heartbeat, PUT hb, of either side (RFC 9132, Section 4.7): {49: {51 peer-hb-status}}.

// readHeartbeat reads peer-hb-status.
func readHeartbeat(r *reader) (peerHB bool, err error) {
	found := false
	err = r.Body(keyHeartbeat, func() error {
		return r.Entries(keyHeartbeat, func(key uint64) (err error) {
			if key != keyPeerHBStatus {
				return r.Stray(key)
			}
			found = true
			peerHB, err = r.ReadBool(key)
			return err
		})
	})
	if err == nil && !found {
		err = r.Missing(keyPeerHBStatus)
	}
	return peerHB, err
}

func writeHeartbeat(w *wire.Writer, peerHB bool) {
	w.BeginMap()
	w.Key(keyHeartbeat)
	w.BeginMap()
	w.Key(keyPeerHBStatus)
	w.Bool(peerHB)
	w.EndMap()
	w.EndMap()
}
