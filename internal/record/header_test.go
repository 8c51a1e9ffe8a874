package record

import (
	"bytes"
	"testing"
)

// RFC 6347, Section 4.1.1: a datagram may hold several records; each is of a kind and length of its own.
func TestNext(t *testing.T) {
	plain := append([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2}, "ab"...)
	empty := []byte{23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0}
	cid := append([]byte{25, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 'c', 'i', 'd', 0, 3}, "abc"...)
	datagram := bytes.Join([][]byte{plain, cid, empty, plain}, nil)
	rest := datagram
	for i, want := range [][]byte{plain, cid, empty, plain} {
		var record []byte
		if record, rest = Next(rest, 3); !bytes.Equal(record, want) {
			t.Fatalf("record %d is %x, want %x", i, record, want)
		}
		if got := Epoch(record); got != uint16(want[4]) {
			t.Errorf("record %d: Epoch() = %d", i, got)
		}
		if cap(record) != len(record) {
			t.Errorf("record %d can grow into the next", i)
		}
	}
	if record, rest := Next(rest, 3); record != nil || rest != nil {
		t.Errorf("Next() = %x, %x at the end", record, rest)
	}
	for _, whole := range [][]byte{plain, cid, empty} {
		for n := range whole {
			if record, rest := Next(whole[:n], 3); record != nil || rest != nil {
				t.Errorf("Next(%x) = %x, %x", whole[:n], record, rest)
			}
		}
	}
}
