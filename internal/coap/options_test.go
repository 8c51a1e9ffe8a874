package coap

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsAddKeepsOrder(t *testing.T) {
	var o Options
	o.AddString(UriQuery, "q")
	o.AddString(UriPath, "a")
	o.AddUint(HopLimit, 16)
	o.AddString(UriPath, "b")
	o.Add(IfMatch, nil)
	want := Options{{IfMatch, nil}, {UriPath, []byte("a")}, {UriPath, []byte("b")}, {UriQuery, []byte("q")}, {HopLimit, []byte{16}}}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Fatal(diff)
	}
}

func TestOptionsReading(t *testing.T) {
	o := Options{{UriPath, []byte("a")}, {UriPath, []byte("b/c")}, {UriQuery, []byte("c=n")}, {Size1, []byte{0, 1, 2}}}
	if diff := cmp.Diff([]string{"a", "b/c"}, o.Path()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"c=n"}, o.Query()); diff != "" {
		t.Error(diff)
	}
	if !o.Has(UriQuery) || o.Has(IfMatch) || o.Has(Size2) {
		t.Error("Has is wrong")
	}
	if v, ok := o.Get(UriPath); !ok || string(v) != "a" {
		t.Errorf("Get: %q %v", v, ok)
	}
	if _, ok := o.Get(Accept); ok {
		t.Error("Get finds what is not there")
	}
	if v := o.All(UriPath); len(v) != 2 || string(v[1]) != "b/c" {
		t.Errorf("All: %q", v)
	}
	if v := o.All(Accept); v != nil {
		t.Errorf("All of nothing: %q", v)
	}
	if v, ok := o.Uint(Size1); !ok || v != 258 {
		t.Errorf("Uint: %d %v", v, ok)
	}
}

// RFC 7252, Section 3.2.
func TestOptionsUint(t *testing.T) {
	for _, tc := range []struct {
		value []byte
		want  uint32
		ok    bool
	}{
		{nil, 0, true},
		{[]byte{0}, 0, true},
		{[]byte{5}, 5, true},
		{[]byte{1, 15}, 271, true},
		{[]byte{0, 0, 0, 7}, 7, true},
		{[]byte{255, 255, 255, 255}, 1<<32 - 1, true},
		{[]byte{0, 0, 0, 0, 1}, 0, false},
	} {
		got, ok := Options{{MaxAge, tc.value}}.Uint(MaxAge)
		if got != tc.want || ok != tc.ok {
			t.Errorf("%x: %d %v", tc.value, got, ok)
		}
	}
	if _, ok := (Options{}).Uint(MaxAge); ok {
		t.Error("an absent option has a value")
	}
}

func TestOptionsChanging(t *testing.T) {
	var o Options
	o.SetPath("x", "y")
	o.SetPath(".well-known", "dots", "hb")
	o.SetUint(ContentFormat, 271)
	o.SetUint(ContentFormat, 0)
	o.Set(ETag, []byte{1})
	o.Set(ETag, []byte{2})
	o.Remove(Accept)
	want := Options{
		{ETag, []byte{2}},
		{UriPath, []byte(".well-known")},
		{UriPath, []byte("dots")},
		{UriPath, []byte("hb")},
		{ContentFormat, []byte{}},
	}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Fatal(diff)
	}
	o.Remove(UriPath)
	if len(o) != 2 || o.Path() != nil {
		t.Fatalf("after Remove: %v", o)
	}
}

func TestUintBytes(t *testing.T) {
	for v, want := range map[uint32]string{0: "", 1: "\x01", 271: "\x01\x0f", 1 << 16: "\x01\x00\x00", 1<<32 - 1: "\xff\xff\xff\xff"} {
		if got := string(uintBytes(v)); got != want {
			t.Errorf("%d: %x, want %x", v, got, want)
		}
	}
}

func TestMessageClone(t *testing.T) {
	m := put([]byte("body"), "a")
	c := m.Clone()
	if diff := cmp.Diff(m, c); diff != "" {
		t.Fatal(diff)
	}
	c.Payload[0], c.Options[0].Value[0] = 'X', 'X'
	if string(m.Payload) != "body" || m.Options.Path()[0] != "a" {
		t.Fatal("the clone shares bytes")
	}
	if (*Message)(nil).Clone() != nil {
		t.Fatal("a clone of nothing is something")
	}
}

func TestMessageWithLeavesTheOriginal(t *testing.T) {
	m := get("a", "b")
	c := m.with()
	c.Options.Set(ETag, []byte{1})
	c.Options.SetPath("z")
	if diff := cmp.Diff(get("a", "b"), m); diff != "" {
		t.Fatal(diff)
	}
}

func TestDiagnosticIsShort(t *testing.T) {
	m := diagnostic(BadRequest, string(pattern(200)))
	if m.Code != BadRequest || len(m.Payload) != 64 {
		t.Fatalf("%s with %d bytes", m.Code, len(m.Payload))
	}
}

func TestCode(t *testing.T) {
	for _, tc := range []struct {
		code              Code
		text              string
		request, response bool
		success           bool
	}{
		{Empty, "0.00", false, false, false},
		{GET, "0.01", true, false, false},
		{DELETE, "0.04", true, false, false},
		{Code(31), "0.31", true, false, false},
		{Code(32), "1.00", false, false, false},
		{Created, "2.01", false, true, true},
		{Continue, "2.31", false, true, true},
		{AlternateServer, "3.00", false, true, false},
		{Conflict, "4.09", false, true, false},
		{UnprocessableEntity, "4.22", false, true, false},
		{HopLimitReached, "5.08", false, true, false},
		{Code(6 << 5), "6.00", false, false, false},
		{codeCSM, "7.01", false, false, false},
		{codeAbort, "7.05", false, false, false},
	} {
		c := tc.code
		if c.String() != tc.text || c.IsRequest() != tc.request || c.IsResponse() != tc.response || c.Success() != tc.success {
			t.Errorf("%s: request %v response %v success %v", c, c.IsRequest(), c.IsResponse(), c.Success())
		}
	}
}
