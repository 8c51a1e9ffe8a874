package record

import (
	"bytes"
	"testing"
)

func inClear(kind byte, body ...byte) []byte {
	return append([]byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, byte(len(body))}, body...)
}

func protected(kind byte, body ...byte) []byte {
	r := inClear(kind, body...)
	r[4] = 1
	return r
}

func withCID(epoch byte, cid string, body ...byte) []byte {
	r := append([]byte{byte(ConnectionID), 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7}, cid...)
	return append(append(r, 0, byte(len(body))), body...)
}

func join(records ...[]byte) []byte { return bytes.Join(records, nil) }

func TestForLibrary(t *testing.T) {
	hello, ccs, alert := inClear(22, 1, 2, 3), inClear(20, 1), inClear(21, 2, 40)
	data, finished, cid := inClear(23, 'x'), protected(22, 9), withCID(1, "12345678", 7)
	tests := []struct {
		name             string
		in               []byte
		shaking, settled []byte
	}{
		{"nothing", nil, nil, nil},
		{"hello", hello, hello, nil},
		{"alert", alert, alert, nil},
		{"data in the clear", data, nil, nil},
		{"unknown type in the clear", inClear(42, 1), nil, nil},
		{"connection ID in the clear", withCID(0, "12345678", 7), nil, nil},
		{"last flight", join(hello, ccs, finished), join(hello, ccs, finished), finished},
		{"last flight with connection ID", join(hello, ccs, cid), join(hello, ccs, cid), cid},
		{"data behind protected", join(finished, data), finished, finished},
		{"data in the middle", join(finished, data, cid), join(finished, cid), join(finished, cid)},
		{"cut short", join(finished, hello[:14]), finished, finished},
		{"header cut short", hello[:12], nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for settled, want := range map[bool][]byte{false: tt.shaking, true: tt.settled} {
				if got := ForLibrary(bytes.Clone(tt.in), settled, 8); !bytes.Equal(got, want) {
					t.Errorf("settled = %v: got %x, want %x", settled, got, want)
				}
			}
		})
	}
}

func TestUnwrapAlert(t *testing.T) {
	alert := inClear(21, 2, 42)
	tests := []struct {
		name     string
		in, want []byte
	}{
		{"wrapped", withCID(0, "12345678", 2, 42, 21), alert},
		{"wrapped with a short ID", withCID(0, "12", 2, 42, 21), alert},
		{"protected", withCID(1, "12345678", 2, 42, 21), withCID(1, "12345678", 2, 42, 21)},
		{"plain", alert, alert},
		{"empty", nil, nil},
	}
	for _, tt := range tests {
		if got := UnwrapAlert(tt.in); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, got, tt.want)
		}
	}
}

func FuzzForLibrary(f *testing.F) {
	f.Add(join(inClear(22, 1, 2), withCID(1, "12345678", 1)))
	f.Add(join(protected(23, 1), inClear(23, 1)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(UnwrapAlert(in)) > len(in) {
			t.Error("an alert grew")
		}
		for _, cid := range []int{0, 8} {
			for _, settled := range []bool{false, true} {
				once := ForLibrary(bytes.Clone(in), settled, cid)
				if len(once) > len(in) {
					t.Error("the datagram grew")
				}
				for len(once) > 0 {
					var r []byte
					if r, once = Next(once, cid); r == nil {
						t.Fatal("a broken record is left")
					}
					if Epoch(r) == 0 && (settled || !isOfHandshake(ContentType(r[0]))) {
						t.Errorf("a plain record of type %d is left", r[0])
					}
				}
			}
		}
	})
}
