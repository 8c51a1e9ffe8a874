package wire

import (
	"errors"
	"testing"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/fxamacker/cbor/v2"
)

// marshal encodes a value by an encoder that is not ours.
func marshal(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// isBadRequest checks that an error is a 4.00 with a text.
func isBadRequest(t *testing.T, err error) {
	t.Helper()
	var e *dots.Error
	if !errors.As(err, &e) || e.Code != dots.CodeBadRequest || e.Text == "" || len(e.Text) > dots.MaxDiagnostic {
		t.Errorf("error %v", err)
	}
}
