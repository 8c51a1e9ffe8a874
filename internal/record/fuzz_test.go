package record

import (
	"bytes"
	"reflect"
	"testing"
)

// Whatever comes, nothing panics; what is not one of the peer's records is refused and does not move the window.
func FuzzOpen(f *testing.F) {
	genuine := map[string]string{}
	for _, cid := range cids() {
		server, client := layers(f, cid)
		for _, text := range []string{"", "one", "another text"} {
			b := client.seal(f, text)
			genuine[string(b)] = text
			f.Add(b)
			for _, c := range refusals(b, cid) {
				f.Add(c.record)
			}
			f.Add(server.seal(f, text))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, cid := range cids() {
			server, _ := layers(t, cid)
			before := server.in.window
			kind, plain, newest, err := server.Open(bytes.Clone(b))
			if err != nil {
				if server.in.window != before || kind != 0 || plain != nil || newest {
					t.Errorf("cid %q: Open() = %d, %q, %t, %v", cid, kind, plain, newest, err)
				}
				continue
			}
			if text, ok := genuine[string(b)]; !ok || text != string(plain) || kind != ApplicationData {
				t.Errorf("cid %q: Open(%x) = %d, %q", cid, b, kind, plain)
			}
		}
	})
}

// The records of a datagram, one after the other, are its beginning.
func FuzzNext(f *testing.F) {
	_, client := layers(f, "eight by")
	f.Add(append(client.seal(f, "a"), client.seal(f, "b")...), uint8(8))
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, cidLength uint8) {
		var all []byte
		for record, rest := Next(b, int(cidLength)); record != nil; record, rest = Next(rest, int(cidLength)) {
			if len(record) < headerSize {
				t.Fatalf("a record of %d bytes", len(record))
			}
			_, _ = Epoch(record), sequence(record)
			all = append(all, record...)
		}
		if !bytes.HasPrefix(b, all) {
			t.Errorf("%x is cut into %x", b, all)
		}
	})
}

// What can be read is written as it was.
func FuzzState(f *testing.F) {
	for _, cid := range cids() {
		b, err := someState(cid).MarshalBinary()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s, again State
		if err := s.UnmarshalBinary(b); err != nil {
			if !reflect.DeepEqual(s, State{}) {
				t.Error("a refused state is half read")
			}
			return
		}
		written, err := s.MarshalBinary()
		if err != nil || !bytes.Equal(written, b) {
			t.Fatalf("MarshalBinary() = %x, %v, want %x", written, err, b)
		}
		if err := again.UnmarshalBinary(written); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("UnmarshalBinary() = %v", err)
		}
	})
}
