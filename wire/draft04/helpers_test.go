package draft04

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

var _ wire.Profile = Profile{}

// m and a build bodies as they stand in the documents.
type (
	m map[any]any
	a []any
)

// encoder is an encoder that is not ours.
var encoder = sync.OnceValue(func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return mode
})

// body encodes a value by an encoder that is not ours.
func body(t testing.TB, v any) []byte {
	t.Helper()
	b, err := encoder().Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// scope wraps one scope entry.
func scope(entry ...any) m { return m{1: m{2: a(entry)}} }

func path(segments ...string) []string { return append([]string{"v1", "dots-signal"}, segments...) }

// put is a PUT of a mitigation with a body.
func put(payload []byte) wire.CoAPRequest {
	return wire.CoAPRequest{
		Method: wire.PUT, Path: path("signal"), Format: dots.Some[uint16](60), Payload: payload,
	}
}

func putConfig(payload []byte) wire.CoAPRequest {
	r := put(payload)
	r.Path = path("config")
	return r
}

// refused decodes a request that must be refused, and returns the refusal.
func refused(t *testing.T, r wire.CoAPRequest) *dots.Error {
	t.Helper()
	got, err := New().DecodeRequest(r)
	var e *dots.Error
	if !errors.As(err, &e) {
		t.Fatalf("accepted as %+v, error %v", got, err)
	}
	if e.Text == "" || len(wire.Diagnostic(e.Code, e.Text)) > dots.MaxDiagnostic {
		t.Errorf("diagnostic %q", e.Text)
	}
	return e
}

// isRefused checks code and text of a refusal.
func isRefused(t *testing.T, r wire.CoAPRequest, code dots.Code, text string) {
	t.Helper()
	if e := refused(t, r); e.Code != code || !strings.Contains(e.Text, text) {
		t.Errorf("got %v, want %v %s", e, code, text)
	}
}

func accepted(t testing.TB, r wire.CoAPRequest) wire.Request {
	t.Helper()
	got, err := New().DecodeRequest(r)
	if err != nil {
		t.Fatalf("refused: %v", err)
	}
	return got
}

func encoded(t testing.TB, req wire.Request) wire.CoAPRequest {
	t.Helper()
	got, err := New().EncodeRequest(req)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	return got
}

func answered(t testing.TB, req wire.Request, resp wire.Response) wire.CoAPResponse {
	t.Helper()
	got, err := New().EncodeResponse(req, resp)
	if err != nil {
		t.Fatalf("encoding: %v", err)
	}
	return got
}

func understood(t testing.TB, req wire.Request, resp wire.CoAPResponse) wire.Response {
	t.Helper()
	got, err := New().DecodeResponse(req, resp)
	if err != nil {
		t.Fatalf("decoding: %v", err)
	}
	return got
}

// equal compares values; netip's are comparable.
func equal(t testing.TB, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) { // by far the faster, and most are
		return
	}
	if diff := cmp.Diff(want, got, byValue()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func byValue() cmp.Option {
	return cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, prefix(s))
	}
	return p
}

// decodeAny reads a body by a decoder that is not ours.
func decodeAny(t testing.TB, b []byte) any {
	t.Helper()
	var v any
	if err := cbor.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
