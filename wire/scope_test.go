package wire

import (
	"bytes"
	"math"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/google/go-cmp/cmp"
)

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		name        string
		item        any
		bare        bool // a scope may be one entry without an array
		entries     int
		code        dots.Code
		strict, lax string
	}{
		{"one", m{1: m{2: a{7}}}, false, 1, 0, "", ""},
		{"two", m{1: m{2: a{7, 7}}}, false, 2, 0, "", ""},
		{"three", m{1: m{2: a{7, 7, 7}}}, false, 0, dots.CodeUnprocessable, "k2: more than one entry", "k2: more than one entry"},
		{"none", m{1: m{2: a{}}}, false, 0, dots.CodeUnprocessable, "k2: empty", ""},
		{"no scope", m{1: m{}}, false, 0, dots.CodeBadRequest, "k2: missing", ""},
		{"null scope", m{1: m{2: nil}}, false, 0, dots.CodeUnprocessable, "k2: not an array", ""},
		{"no mitigation-scope", m{}, false, 0, dots.CodeBadRequest, "k1: missing", "k1: missing"},
		{"map", m{1: m{2: m{}}}, false, 0, dots.CodeUnprocessable, "k2: not an array", "k2: not an array"},
		{"bare entry", m{1: m{2: m{}}}, true, 1, 0, "", ""},
		{"list though bare would do", m{1: m{2: a{m{}, m{}}}}, true, 2, 0, "", ""},
		{"number", m{1: m{2: 7}}, true, 0, dots.CodeUnprocessable, "k2: not an array", "k2: not an array"},
		{"stray beside", m{1: m{2: a{7}, 300: 1}, 300: 1}, false, 1, 0, "", ""},
		{"unknown beside", m{1: m{2: a{7}, 30: 1}}, false, 1, dots.CodeUnprocessable, "unknown keys: 30", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for lenient, text := range map[bool]string{false: tt.strict, true: tt.lax} {
				r := read(t, tt.item, lenient)
				r.BareScope = tt.bare
				entries, announced := 0, 0
				err := r.Scopes(2, func(n int) { announced = n }, func() error { entries++; r.Skip(); return nil })
				failed(t, err, tt.code, text)
				if err == nil && (entries != tt.entries || announced != tt.entries || !r.Done()) {
					t.Errorf("lenient %v: %d entries of %d announced, %d bytes left", lenient, entries, announced, r.Rest())
				}
			}
		})
	}
}

func TestScopeWritten(t *testing.T) {
	var w Writer
	w.BeginScope()
	for range 30 {
		w.Element()
		w.Uint(5)
	}
	w.EndScope()
	list := make(a, 30)
	for i := range list {
		list[i] = 5
	}
	if want := marshal(t, m{1: m{2: list}}); !bytes.Equal(w.Bytes(), want) {
		t.Errorf("written as %x, want %x", w.Bytes(), want)
	}
}

// reportKeys are unlike those of any profile.
func reportKeys() ReportKeys {
	return ReportKeys{MID: 9, Lifetime: 8, Status: 7, MostMID: 100, MostLifetime: 1000}
}

func TestReadReport(t *testing.T) {
	field := func(r *Reader) func(uint64, *dots.Report) error {
		return func(key uint64, into *dots.Report) error {
			if key != 7 {
				return r.Stray(key)
			}
			v, err := r.ReadEnum(key, 8)
			into.Status = dots.Status(v)
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		item   any
		filter Filter
		want   dots.Report
		text   string
	}{
		{"all", m{9: 100, 8: 1000, 7: 2}, FilterAll, dots.Report{MID: 100, Lifetime: 1000, Status: 2}, ""},
		{"indefinite", m{9: 0, 8: -1, 7: 8}, FilterAll, dots.Report{Lifetime: -1, Status: 8}, ""},
		{"nothing remains", m{9: 1, 8: 0, 7: 6}, FilterAll, dots.Report{MID: 1, Status: 6}, ""},
		{"no mid", m{8: 1, 7: 2}, FilterAll, dots.Report{}, "k9: missing"},
		{"no lifetime", m{9: 1, 7: 2}, FilterAll, dots.Report{}, "k8: missing"},
		{"no status", m{9: 1, 8: 2}, FilterAll, dots.Report{}, "k7: missing"},
		{"no lifetime, filtered", m{9: 1, 7: 2}, FilterNonConfig, dots.Report{MID: 1, Status: 2}, ""},
		{"no status, filtered", m{9: 1, 8: 2}, FilterConfig, dots.Report{MID: 1, Lifetime: 2}, ""},
		{"no lifetime, other filter", m{9: 1, 7: 2}, FilterConfig, dots.Report{}, "k8: missing"},
		{"no status, other filter", m{9: 1, 8: 2}, FilterNonConfig, dots.Report{}, "k7: missing"},
		{"no mid, filtered", m{8: 1, 7: 2}, FilterNonConfig, dots.Report{}, "k9: missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got dots.Report
			r := read(t, tt.item, true)
			failed(t, r.ReadReport(reportKeys(), tt.filter, &got, field(r)), dots.CodeBadRequest, tt.text)
			if tt.text == "" && !cmp.Equal(got, tt.want) {
				t.Errorf("got %+v", got)
			}
		})
	}
	for _, item := range []any{m{9: 101, 8: 1, 7: 1}, m{9: 1, 8: 1001, 7: 1}, m{9: 1, 8: 1, 7: 9}} {
		var got dots.Report
		r := read(t, item, true)
		failed(t, r.ReadReport(reportKeys(), FilterAll, &got, field(r)), dots.CodeUnprocessable, "out of range")
	}
}

func TestReadReports(t *testing.T) {
	r := read(t, m{1: m{2: a{3, 1, 2}}}, true)
	list, err := r.ReadReports(func(into *dots.Report) error {
		v, err := r.ReadMID(5, 100)
		into.MID = v.Value
		return err
	})
	want := []dots.Report{{MID: 3}, {MID: 1}, {MID: 2}}
	if err != nil || !cmp.Equal(list, want) {
		t.Errorf("got %+v, %v", list, err)
	}
	r = read(t, m{1: m{2: a{3, "x"}}}, true)
	list, err = r.ReadReports(func(*dots.Report) error { _, err := r.ReadMID(5, 100); return err })
	if err == nil || list != nil {
		t.Errorf("half a list: %+v, %v", list, err)
	}
}

// RFC 9132, Section 4.4.2: the list has every mitigation of the cuid, however many these are. What a client sends, and every
// other array, keeps its bound; so has the list of a server that means harm.
func TestReadLongLists(t *testing.T) {
	for _, tt := range []struct {
		name    string
		n       int
		inner   int
		lenient bool
		ok      bool
	}{
		{"list at the bound of requests", MaxArray, 1, true, true},
		{"list beyond", MaxArray + 1, 1, true, true},
		{"long list", 20000, 1, true, true},
		{"list at its own bound", MaxReports, 0, true, true},
		{"list beyond its own bound", MaxReports + 1, 0, true, false},
		{"array inside at the bound", 1, MaxArray, true, true},
		{"array inside beyond", 1, MaxArray + 1, true, false},
		{"list of a client", MaxArray + 1, 1, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, inner := make(a, tt.n), make(a, tt.inner)
			for i := range inner {
				inner[i] = i
			}
			for i := range list {
				list[i] = inner
			}
			r, err := NewReader(NewChecker(), plain{}, marshal(t, m{1: m{2: list}}), tt.lenient)
			var got []dots.Report
			if err == nil {
				got, err = r.ReadReports(func(into *dots.Report) error {
					n, err := r.ReadArray(5)
					for range n {
						r.Skip()
					}
					into.MID = uint32(n)
					return err
				})
			}
			if (err == nil) != tt.ok || tt.ok && (len(got) != tt.n || got[tt.n-1].MID != uint32(tt.inner)) {
				t.Errorf("%d reports, %v", len(got), err)
			}
		})
	}
}

func TestCounters(t *testing.T) {
	want := dots.Counters{
		BytesDropped: dots.Some[uint64](1), BytesPerSecond: dots.Some[uint64](0), PktsPerSecond: dots.Some[uint64](math.MaxUint64),
	}
	var w Writer
	w.BeginMap()
	w.Counters(20, want)
	w.EndMap()
	if encoded := marshal(t, m{20: 1, 21: 0, 23: uint64(math.MaxUint64)}); !bytes.Equal(w.Bytes(), encoded) {
		t.Errorf("written as %x", w.Bytes())
	}
	var got dots.Counters
	r := read(t, m{20: 1, 21: 0, 23: uint64(math.MaxUint64)}, true)
	err := r.Entries(0, func(key uint64) error { return r.ReadCounter(key, Counter(key, 20, &got)) })
	if err != nil || got != want {
		t.Errorf("read as %+v, %v", got, err)
	}
	for _, key := range []uint64{0, 19, 24, math.MaxUint64} {
		if Counter(key, 20, &got) != nil {
			t.Errorf("a counter under %d", key)
		}
	}
}

func TestPassEpoch(t *testing.T) {
	for _, tt := range []struct {
		payload []byte
		text    string
	}{
		{[]byte{5}, ""},
		{[]byte{0xc1, 5}, ""},
		{[]byte{0xc2, 5}, "k4: unexpected tag"},
		{[]byte{0xd8, 0x64, 5}, "k4: unexpected tag"},
	} {
		r, err := NewReader(NewChecker(), plain{}, tt.payload, true)
		if err != nil {
			t.Fatal(err)
		}
		failed(t, r.PassEpoch(4), dots.CodeUnprocessable, tt.text)
		if v, ok := r.Uint(); !ok || v != 5 {
			t.Errorf("%x: %d is next", tt.payload, v)
		}
	}
}
