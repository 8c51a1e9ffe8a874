package ctl

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestJoin(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	tests := []struct {
		name string
		errs []error
		want string // "" is no error
	}{
		{"none", nil, ""},
		{"nothing but nil", []error{nil, nil}, ""},
		{"one", []error{nil, one}, "one"},
		{"two", []error{one, nil, two}, "one; two"},
		{"joined before", []error{fmt.Errorf("dialling: %w", errors.Join(one, two)), one}, "dialling: one; two; one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := join(tt.errs...)
			if got := fmt.Sprint(err); err != nil && got != tt.want || err == nil && tt.want != "" {
				t.Errorf("join() = %q, want %q", got, tt.want)
			}
			for _, e := range tt.errs {
				if e != nil && !errors.Is(err, e) {
					t.Errorf("join() = %v is not %v", err, e)
				}
			}
		})
	}
}

func TestSilence(t *testing.T) {
	err := lost(fmt.Errorf("waiting: %w", context.DeadlineExceeded), time.Now().Add(-30*time.Second))
	if got := err.Error(); got != "no answer in time: the server was silent for 30s" {
		t.Errorf("Error() = %q", got)
	}
	if !errors.Is(err, ErrNoSession) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%#v is neither without a session nor after a deadline", err)
	}
	if err := lost(context.Canceled, time.Now()); err.Error() != "no session: context canceled" {
		t.Errorf("after the end: %v", err)
	}
}
