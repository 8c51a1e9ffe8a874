package front

import (
	"bytes"
	"testing"
)

func plain(kind byte, body ...byte) []byte {
	return append([]byte{kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 7, 0, byte(len(body))}, body...)
}

func protected(kind byte, body ...byte) []byte {
	r := plain(kind, body...)
	r[4] = 1
	return r
}

func withCID(epoch byte, cid string, body ...byte) []byte {
	r := append([]byte{recordTypeCID, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7}, cid...)
	return append(append(r, 0, byte(len(body))), body...)
}

func TestRecordCID(t *testing.T) {
	tests := []struct {
		name string
		in   []byte
		want string
	}{
		{"none", join(plain(22, 1), protected(22, 2)), ""},
		{"first", withCID(1, "abcdefgh", 1), "abcdefgh"},
		{"behind others", join(plain(22, 1), plain(20, 1), withCID(1, "abcdefgh", 1)), "abcdefgh"},
		{"cut short", withCID(1, "abcdefgh", 1)[:21], ""},
	}
	for _, tt := range tests {
		got, ok := recordCID(tt.in)
		if ok != (tt.want != "") || ok && string(got[:]) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, ok, tt.want)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(join(plain(22, 1, 2), withCID(1, "12345678", 1)))
	f.Add(join(protected(23, 1), plain(23, 1)))
	f.Fuzz(func(_ *testing.T, in []byte) {
		recordCID(in)
		holdsProtected(in)
		renumber(bytes.Clone(in), 1)
	})
}

func TestHoldsProtected(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                       nil,
		"plaintext":                     join(plain(22, 2), plain(20, 1)),
		"an alert wrapped by mistake":   withCID(0, "123", 2, 40, 21), // see record.UnwrapAlert
		"cut short before the epoch":    join(plain(20, 1), protected(22, 9)[:4]),
		"a length beyond the datagram":  plain(22, 2, 3)[:14],
		"protected behind what is none": join(plain(22, 2)[:13], []byte{0}),
	} {
		if holdsProtected(b) {
			t.Errorf("%s: holds a protected record", name)
		}
	}
}

// TestRenumber: the numbers of what is in the clear move, and nothing else does.
func TestRenumber(t *testing.T) {
	numbered := func(b []byte, n byte) []byte { return changed(b, 10, n) }
	tests := []struct {
		name     string
		in, want []byte
	}{
		{"nothing", nil, nil},
		{"one", plain(22, 1), numbered(plain(22, 1), 9)},
		{"several", join(plain(22, 1), plain(20, 1)), join(numbered(plain(22, 1), 9), numbered(plain(20, 1), 9))},
		{"protected", protected(22, 1), protected(22, 1)},
		{"mixed", join(plain(20, 1), protected(22, 1)), join(numbered(plain(20, 1), 9), protected(22, 1))},
		{"connection ID of a length unknown", join(plain(20, 1), withCID(1, "1", 7)), join(numbered(plain(20, 1), 9), withCID(1, "1", 7))},
		{"cut short", plain(22, 1, 2)[:14], plain(22, 1, 2)[:14]},
	}
	for _, tt := range tests {
		got := bytes.Clone(tt.in)
		if renumber(got, 2); !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %x, want %x", tt.name, got, tt.want)
		}
	}
}
