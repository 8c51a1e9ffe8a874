package dots_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dotsgate/dotsgate/dots"
)

func TestRefuse(t *testing.T) {
	got := dots.Refuse(dots.CodeBadRequest, "target outside the domain")
	if diff := cmp.Diff(&dots.Error{Code: dots.CodeBadRequest, Text: "target outside the domain"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got.Error() != "4.00 target outside the domain" {
		t.Errorf("Error is %q", got.Error())
	}
}

// TestAsErrorFindsTheRefusal: wherever it is in the chain, whole, and the same value.
func TestAsErrorFindsTheRefusal(t *testing.T) {
	refusal := &dots.Error{
		Code: dots.CodeUnavailable, Text: "busy", MaxAge: 30 * time.Second, Keys: []uint64{49},
		Conflict: dots.Some(dots.Conflict{Status: dots.ConflictOtherActive, RetryTimer: 120}),
		Redirect: dots.Some(dots.Redirect{Server: "other.example"}),
	}
	for name, err := range map[string]error{
		"itself":       refusal,
		"wrapped":      fmt.Errorf("admitting: %w", refusal),
		"wrapped deep": fmt.Errorf("answering: %w", fmt.Errorf("admitting: %w", refusal)),
		"joined":       errors.Join(context.Canceled, refusal),
		"beside":       fmt.Errorf("%w and %w", errors.New("other"), refusal),
	} {
		if got := dots.AsError(err); got != refusal {
			t.Errorf("%s: got %v, want the refusal itself", name, got)
		}
	}
}

// TestAsErrorTakesTheOutermost: who wraps one refusal in another has the last word.
func TestAsErrorTakesTheOutermost(t *testing.T) {
	inner, outer := dots.Refuse(dots.CodeConflict, "inner"), dots.Refuse(dots.CodeUnavailable, "outer")
	if got := dots.AsError(errors.Join(outer, inner)); got != outer {
		t.Errorf("got %v, want the first", got)
	}
}

// TestAsErrorHidesWhatFailedInside: paths, addresses and names of others do not leave by a diagnostic.
func TestAsErrorHidesWhatFailedInside(t *testing.T) {
	for _, err := range []error{
		errors.New("open /var/lib/dotsgate/store.db: no space left on device"),
		fmt.Errorf("dialling uplink b at 203.0.113.9: %w", context.DeadlineExceeded),
		errors.New("4.00 only looks like a refusal"),
	} {
		got := dots.AsError(err)
		if diff := cmp.Diff(&dots.Error{Code: dots.CodeInternal, Text: "internal error"}, got); diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		if len(got.Text) > dots.MaxDiagnostic || strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%v: shows %q", err, got.Error())
		}
	}
}

// TestAsErrorOfNothing: the nil must be one that a caller can compare.
func TestAsErrorOfNothing(t *testing.T) {
	if got := dots.AsError(nil); got != nil {
		t.Errorf("got %v, want nil", got)
	}
}

func TestErrorIsFoundByErrorsAs(t *testing.T) {
	err := fmt.Errorf("routing: %w", dots.Refuse(dots.CodeLoop, "gw1 gw2"))
	var found *dots.Error
	if !errors.As(err, &found) || found.Code != dots.CodeLoop || !strings.HasSuffix(err.Error(), "5.08 gw1 gw2") {
		t.Errorf("got %v in %v", found, err)
	}
}
