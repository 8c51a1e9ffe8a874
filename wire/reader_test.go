package wire

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/google/go-cmp/cmp"
)

// plain is a dialect with integer keys: 1 to 9 are known, 100 and more are passed over, 1000 is refused at once, all else
// must be understood. Its invalid is not 4.00, so that a test sees which code was meant.
type plain struct{}

func (plain) Name(key uint64) string       { return fmt.Sprintf("k%d", key) }
func (plain) Invalid() dots.Code           { return dots.CodeUnprocessable }
func (plain) Key(w *Walker) (uint64, bool) { return w.Uint() }
func (plain) Stray(key uint64) (_ bool, err error) {
	if key == 1000 {
		return false, dots.Refuse(dots.CodeForbidden, "k1000")
	}
	return key < 100, nil
}

type (
	m map[any]any
	a []any
)

// read returns a Reader of a value.
func read(t testing.TB, v any, lenient bool) *Reader {
	t.Helper()
	r, err := NewReader(NewChecker(), plain{}, marshal(t, v), lenient)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

// failed checks code and text of a refusal; no text means that there must be none.
func failed(t *testing.T, err error, code dots.Code, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	var e *dots.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Text, text) {
		t.Errorf("got %v, want %v %s", err, code, text)
	}
}

func TestNewReaderChecks(t *testing.T) {
	for _, payload := range [][]byte{nil, {0xa1}, {0x01, 0x01}, {0xa2, 1, 0, 1, 0}} {
		if _, err := NewReader(NewChecker(), plain{}, payload, true); err == nil {
			t.Errorf("%x is read", payload)
		}
	}
}

func TestReadScalars(t *testing.T) {
	const key = 7
	type reads = map[string]func(r *Reader) (any, error)
	all := reads{
		"uint":  func(r *Reader) (any, error) { return r.ReadUint(key, 200) },
		"enum":  func(r *Reader) (any, error) { return r.ReadEnum(key, 3) },
		"mid":   func(r *Reader) (any, error) { v, err := r.ReadMID(key, math.MaxInt32); return v.Value, err },
		"bool":  func(r *Reader) (any, error) { return r.ReadBool(key) },
		"text":  func(r *Reader) (any, error) { return r.ReadText(key, CheckName) },
		"array": func(r *Reader) (any, error) { return r.ReadArray(key) },
		"life":  func(r *Reader) (any, error) { v, err := r.ReadLifetime(key, math.MaxInt32); return v.Value, err },
		"count": func(r *Reader) (any, error) {
			var v dots.Maybe[uint64]
			err := r.ReadCounter(key, &v)
			if v.Set != (err == nil) {
				t.Errorf("counter %v with error %v", v, err)
			}
			return v.Value, err
		},
	}
	for _, tt := range []struct {
		read        string
		item        any
		want        any
		strict, lax string // what is wrong, or nothing
	}{
		{"uint", 200, uint64(200), "", ""},
		{"uint", 201, nil, "k7: out of range", "k7: out of range"},
		{"uint", -1, nil, "k7: not an unsigned integer", "k7: not an unsigned integer"},
		{"uint", nil, nil, "k7: not an unsigned integer", "k7: not an unsigned integer"},
		{"enum", 1, uint8(1), "", ""},
		{"enum", 3, uint8(3), "", ""},
		{"enum", 0, nil, "k7: out of range", "k7: out of range"},
		{"enum", 4, nil, "k7: out of range", "k7: out of range"},
		{"enum", "x", nil, "k7: not an unsigned", "k7: not an unsigned"},
		{"mid", math.MaxInt32, uint32(math.MaxInt32), "", ""},
		{"mid", math.MaxInt32 + 1, nil, "k7: out of range", "k7: out of range"},
		{"bool", true, true, "", ""},
		{"bool", false, false, "", ""},
		{"bool", 1, nil, "k7: not a boolean", "k7: not a boolean"},
		{"bool", nil, nil, "k7: not a boolean", "k7: not a boolean"},
		{"text", "a.example", "a.example", "", ""},
		{"text", "a b", "a b", "k7: not a domain name", ""},
		{"text", "", nil, "k7: empty", "k7: empty"},
		{"text", "a\nb", nil, "k7: not a domain name", "k7: control character"},
		{"text", []byte("a"), nil, "k7: not a text string", "k7: not a text string"},
		{"array", a{1}, 1, "", ""},
		{"array", a{}, 0, "k7: empty", ""},
		{"array", m{}, nil, "k7: not an array", "k7: not an array"},
		// RFC 9132, Section 4.4.1: a lifetime is -1 or from 1 on.
		{"life", 1, dots.Lifetime(1), "", ""},
		{"life", -1, dots.Indefinite, "", ""},
		{"life", 0, dots.Lifetime(0), "k7: out of range", ""},
		{"life", -2, nil, "k7: out of range", "k7: out of range"},
		{"life", math.MaxInt32, dots.Lifetime(math.MaxInt32), "", ""},
		{"life", math.MaxInt32 + 1, nil, "k7: out of range", "k7: out of range"},
		{"life", uint64(math.MaxUint64), nil, "k7: not an integer", "k7: not an integer"},
		{"life", 1.0, nil, "k7: not an integer", "k7: not an integer"},
		{"count", uint64(math.MaxUint64), uint64(math.MaxUint64), "", ""},
		{"count", -1, nil, "k7: not an unsigned", "k7: not an unsigned"},
	} {
		t.Run(fmt.Sprintf("%s %v", tt.read, tt.item), func(t *testing.T) {
			for lenient, text := range map[bool]string{false: tt.strict, true: tt.lax} {
				got, err := all[tt.read](read(t, tt.item, lenient))
				failed(t, err, dots.CodeUnprocessable, text)
				if err == nil && got != tt.want {
					t.Errorf("lenient %v: got %v", lenient, got)
				}
			}
		})
	}
}

// The greatest mid and the greatest lifetime are 32 bits long whatever limit is given.
func TestReadLimitsOfTypes(t *testing.T) {
	if v, err := read(t, uint64(math.MaxUint32), false).ReadMID(1, math.MaxUint64); err != nil || v != dots.Some[uint32](math.MaxUint32) {
		t.Errorf("mid %v, %v", v, err)
	}
	_, err := read(t, uint64(math.MaxUint32)+1, false).ReadMID(1, math.MaxUint64)
	failed(t, err, dots.CodeUnprocessable, "out of range")
	_, err = read(t, uint64(math.MaxUint32)+1, false).ReadLifetime(1, math.MaxUint64)
	failed(t, err, dots.CodeUnprocessable, "out of range")
	_, err = read(t, 256, false).ReadEnum(1, 1000)
	failed(t, err, dots.CodeUnprocessable, "out of range")
}

func TestReadTexts(t *testing.T) {
	for _, tt := range []struct {
		item        any
		want        []string
		strict, lax string
	}{
		{a{"a", "b.example"}, []string{"a", "b.example"}, "", ""},
		{a{}, nil, "k7: empty", ""},
		{a{""}, nil, "k7: empty", ""},
		{a{nil, "a", ""}, []string{"a"}, "k7: not a text", ""},
		{a{nil}, nil, "k7: not a text", ""},
		{a{1}, nil, "k7: not a text", "k7: not a text"},
		{a{"a b"}, []string{"a b"}, "k7: not a domain", ""},
		{a{"a", "b\x00"}, nil, "k7: not a domain", "k7: control"},
		{"a", nil, "k7: not an array", "k7: not an array"},
		{nil, nil, "k7: not an array", "k7: not an array"},
	} {
		for lenient, text := range map[bool]string{false: tt.strict, true: tt.lax} {
			r := read(t, tt.item, lenient)
			got, err := r.ReadTexts(7, CheckName)
			failed(t, err, dots.CodeUnprocessable, text)
			if err != nil {
				continue
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || !r.Done() {
				t.Errorf("%v, lenient %v, %d bytes left: %s", tt.item, lenient, r.Rest(), diff)
			}
		}
	}
}

func TestReadListStopsAtTheFirstError(t *testing.T) {
	reads := 0
	_, err := ReadList(read(t, a{1, 2, 3}, false), 7, 1, func() (int, error) {
		reads++
		return 0, errors.New("no")
	})
	if err == nil || reads != 1 {
		t.Errorf("%d elements read, error %v", reads, err)
	}
}

// A list does not allocate for more elements than the bytes behind its head can hold.
func TestRoom(t *testing.T) {
	r := read(t, a{"aaaa", "bbbb"}, false) // eleven bytes
	if _, err := r.ReadArray(7); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ n, smallest, want int }{{2, 5, 2}, {1024, 5, 3}, {1024, 1, 11}, {0, 1, 0}, {1024, 100, 1}} {
		if got := r.Room(tt.n, tt.smallest); got != tt.want {
			t.Errorf("room for %d of %d bytes: %d, want %d", tt.n, tt.smallest, got, tt.want)
		}
	}
}

func TestEntries(t *testing.T) {
	for _, tt := range []struct {
		name        string
		item        any
		want        map[uint64]uint64
		strict, lax string
	}{
		{"none", m{}, map[uint64]uint64{}, "", ""},
		{"two", m{1: 10, 2: 20}, map[uint64]uint64{1: 10, 2: 20}, "", ""},
		{"no map", a{}, nil, "k5: not a map", "k5: not a map"},
		{"null", nil, nil, "k5: not a map", "k5: not a map"},
		{"name", m{1: 10, "x": a{1}}, map[uint64]uint64{1: 10}, "k5: a key of a wrong type", ""},
		{"negative", m{1: 10, -1: m{}}, map[uint64]uint64{1: 10}, "k5: a key of a wrong type", ""},
		{"null value", m{1: 10, 2: nil}, map[uint64]uint64{1: 10}, "k2: not an unsigned", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for lenient, text := range map[bool]string{false: tt.strict, true: tt.lax} {
				got := map[uint64]uint64{}
				r := read(t, tt.item, lenient)
				err := r.Entries(5, func(key uint64) (err error) {
					got[key], err = r.ReadUint(key, math.MaxUint64)
					return err
				})
				failed(t, err, dots.CodeUnprocessable, text)
				if err == nil && (!cmp.Equal(got, tt.want) || !r.Done()) {
					t.Errorf("lenient %v: got %v, %d left", lenient, got, r.Rest())
				}
			}
		})
	}
}

func TestBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		item   any
		code   dots.Code
		strict string
		lax    string
	}{
		{"there", m{3: 1}, 0, "", ""},
		{"there, with what is passed over", m{3: 1, 200: m{}}, 0, "", ""},
		{"missing", m{}, dots.CodeBadRequest, "k3: missing", "k3: missing"},
		{"missing, others there", m{200: 1}, dots.CodeBadRequest, "k3: missing", "k3: missing"},
		{"unknown", m{3: 1, 50: a{}, 51: 1}, dots.CodeUnprocessable, "unknown keys: 50, 51", ""},
		// RFC 9132, Section 6: what is unknown is told before what is missing.
		{"missing and unknown", m{50: a{}}, dots.CodeUnprocessable, "unknown keys: 50", ""},
		{"refused at once", m{3: 1, 50: 1, 1000: 1}, dots.CodeForbidden, "k1000", ""},
		{"no map", 3, dots.CodeUnprocessable, "k0: not a map", "k0: not a map"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for lenient, text := range map[bool]string{false: tt.strict, true: tt.lax} {
				r := read(t, tt.item, lenient)
				members := 0
				err := r.Body(3, func() error { members++; _, err := r.ReadUint(3, 9); return err })
				code := tt.code
				if lenient && tt.name == "missing and unknown" {
					code, text = dots.CodeBadRequest, "k3: missing"
				}
				failed(t, err, code, text)
				if err == nil && members != 1 {
					t.Errorf("lenient %v: read %d times", lenient, members)
				}
			}
		})
	}
}

// The keys that fit are named, the others are only counted.
func TestUnknownKeysAreNamedAsFarAsTheyFit(t *testing.T) {
	for n := 1; n < 90; n++ {
		body := m{3: 1}
		for key := 10; key < 10+n; key++ {
			body[key] = 0
		}
		r := read(t, body, false)
		err := r.Body(3, func() error { r.Skip(); return nil })
		var e *dots.Error
		if !errors.As(err, &e) || len(e.Keys) != n || len(e.Text) > dots.MaxDiagnostic {
			t.Fatalf("%d keys: %v, %d bytes", n, e, len(e.Text))
		}
		want := "unknown keys: 10"
		for key := 11; key < 10+n && len(want)+len(", 11") <= dots.MaxDiagnostic; key++ {
			want += fmt.Sprintf(", %d", key)
		}
		if e.Text != want {
			t.Errorf("%d keys: %q, want %q", n, e.Text, want)
		}
	}
}

func TestIncomplete(t *testing.T) {
	for lenient, want := range map[bool]bool{false: true, true: false} {
		r := read(t, m{50: 1}, lenient)
		_ = r.Entries(0, r.Stray)
		if r.Incomplete() != want || !r.Done() {
			t.Errorf("lenient %v: incomplete %v", lenient, r.Incomplete())
		}
	}
}
