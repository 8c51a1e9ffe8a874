package coap

import (
	"testing"
	"time"
)

// RFC 9132, Section 4.5.2.
func TestDefaultParameters(t *testing.T) {
	want := Parameters{2 * time.Second, 1.5, 3, 5, 3 * time.Second}
	if got := (Parameters{}).withDefaults(); got != want {
		t.Fatalf("got %+v", got)
	}
	odd := Parameters{time.Second, 1, 7, 9, time.Minute}
	if got := odd.withDefaults(); got != odd {
		t.Fatalf("set fields were changed: %+v", got)
	}
}

// RFC 7252, Section 4.8.2: its own defaults give 45 s, 247 s and 145 s.
func TestDerivedTimes(t *testing.T) {
	for _, tc := range []struct {
		p                       Parameters
		span, exchange, nonLife time.Duration
	}{
		{Parameters{MaxRetransmit: 4}, 45 * time.Second, 247 * time.Second, 145 * time.Second},
		{Parameters{}, 21 * time.Second, 223 * time.Second, 121 * time.Second},
		{Parameters{MaxRetransmit: -1}, 0, 202 * time.Second, 100 * time.Second},
		{Parameters{AckTimeout: time.Second, AckRandomFactor: 1, MaxRetransmit: 1}, time.Second, 202 * time.Second, 101 * time.Second},
	} {
		if got := tc.p.MaxTransmitSpan(); got != tc.span {
			t.Errorf("%+v: span %v", tc.p, got)
		}
		if got := tc.p.ExchangeLifetime(); got != tc.exchange {
			t.Errorf("%+v: exchange %v", tc.p, got)
		}
		if got := tc.p.NonLifetime(); got != tc.nonLife {
			t.Errorf("%+v: non %v", tc.p, got)
		}
	}
}

func TestAckDelay(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{
		2 * time.Second: 200 * time.Millisecond, 400 * time.Millisecond: 100 * time.Millisecond,
	} {
		if got := (Parameters{AckTimeout: timeout}).ackDelay(); got != want {
			t.Errorf("%v: %v, want %v", timeout, got, want)
		}
	}
}

func TestLimitsDefaults(t *testing.T) {
	got := Limits{}.withDefaults()
	want := Limits{
		1186, 16384, 16384, 262144, 4, 247 * time.Second, 256, 64, 1024, 512, 3 * time.Second, 10 * time.Second, 10 * time.Second,
	}
	if got != want {
		t.Fatalf("got %+v", got)
	}
	if got := (Limits{NotifyInterval: -1}).withDefaults().NotifyInterval; got != -1 {
		t.Fatalf("negative interval became %v", got)
	}
}

func TestCountersValues(t *testing.T) {
	var c Counters
	c.RecordsIn.Add(1)
	c.Panics.Add(2)
	c.SessionsRefused.Add(3)
	c.Retransmissions.Add(4)
	want := CounterValues{RecordsIn: 1, Panics: 2, SessionsRefused: 3, Retransmissions: 4}
	if got := c.Values(); got != want {
		t.Fatalf("got %+v", got)
	}
}
