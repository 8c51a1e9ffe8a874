package downstream

import (
	"testing"
	"time"
)

// RFC 9132, Section 4.4.2.1: told on a change and periodically while active, never twice within the gap.
func TestPace(t *testing.T) {
	const gap, every = 3 * time.Second, time.Minute
	at := func(s int) time.Time { return time.Unix(1000+int64(s), 0) }
	none := time.Time{}
	tests := []struct {
		name string
		do   func(p *pace)
		want time.Time
	}{
		{"new and being asked for", func(p *pace) { p.ask() }, none},
		{"answered and inactive", func(p *pace) { p.ask(); p.sent(at(0), false) }, none},
		{"answered and active", func(p *pace) { p.ask(); p.sent(at(0), true) }, at(60)},
		{"changed after the answer", func(p *pace) { p.ask(); p.sent(at(0), true); p.change(at(0)) }, at(3)},
		{"changed while inactive", func(p *pace) { p.ask(); p.sent(at(0), false); p.change(at(0)) }, at(3)},
		{"changed while asking", func(p *pace) { p.ask(); p.change(at(0)) }, none},
		{"changed while asking, then sent", func(p *pace) { p.ask(); p.change(at(0)); p.sent(at(5), false) }, at(8)},
		{"changed before asking is in what is sent", func(p *pace) {
			p.change(at(0))
			p.ask()
			p.sent(at(5), false)
		}, none},
		{"failed", func(p *pace) { p.ask(); p.sent(at(0), true); p.ask(); p.failed(at(60)) }, at(63)},
		{"ended activity", func(p *pace) { p.ask(); p.sent(at(0), true); p.ask(); p.sent(at(60), false) }, none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pace{gap: gap, every: every}
			tt.do(&p)
			got, ok := p.next()
			if !got.Equal(tt.want) || ok != !tt.want.IsZero() {
				t.Errorf("next() = %v, %v; want %v", got, ok, tt.want)
			}
		})
	}
}

// Observers are told of one change one after the other, within a tenth of the gap, also where the gap is what they have waited for.
func TestPacePhase(t *testing.T) {
	const gap = 3 * time.Second
	if got := phaseOf(0, gap); got != 0 {
		t.Errorf("the first has to wait %v", got)
	}
	seen := make(map[time.Duration]bool)
	for n := range uint64(phases) {
		phase := phaseOf(n, gap)
		if seen[phase] || phase >= gap/10 || phaseOf(n+phases, gap) != phase {
			t.Errorf("observer %d waits %v", n, phase)
		}
		seen[phase] = true
	}
	begin := time.Unix(1000, 0)
	p := pace{gap: gap, every: time.Minute, phase: 100 * time.Millisecond}
	p.ask()
	p.sent(begin, false)
	for _, step := range []struct{ changed, want time.Duration }{
		{10 * time.Second, 10100 * time.Millisecond}, // out of a calm
		{11 * time.Second, 13200 * time.Millisecond}, // within the gap
		{16250 * time.Millisecond, 16350 * time.Millisecond},
	} {
		p.change(begin.Add(step.changed))
		p.change(begin.Add(step.changed + time.Second)) // the first one counts
		at, ok := p.next()
		if got := at.Sub(begin); !ok || got != step.want {
			t.Errorf("changed at %v: told at %v, want %v", step.changed, got, step.want)
		}
		p.ask()
		p.sent(at, false)
	}
}

// A period shorter than the gap is stretched to it.
func TestPacePeriodNotBelowGap(t *testing.T) {
	p := pace{gap: 3 * time.Second, every: time.Second}
	p.sent(time.Unix(10, 0), true)
	if got, _ := p.next(); !got.Equal(time.Unix(13, 0)) {
		t.Errorf("next() = %v; want 13 s", got)
	}
}
