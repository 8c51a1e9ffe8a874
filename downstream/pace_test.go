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
		{"changed after the answer", func(p *pace) { p.ask(); p.sent(at(0), true); p.changed = true }, at(3)},
		{"changed while inactive", func(p *pace) { p.ask(); p.sent(at(0), false); p.changed = true }, at(3)},
		{"changed while asking", func(p *pace) { p.ask(); p.changed = true }, none},
		{"changed while asking, then sent", func(p *pace) { p.ask(); p.changed = true; p.sent(at(5), false) }, at(8)},
		{"changed before asking is in what is sent", func(p *pace) {
			p.changed = true
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

// A period shorter than the gap is stretched to it.
func TestPacePeriodNotBelowGap(t *testing.T) {
	p := pace{gap: 3 * time.Second, every: time.Second}
	p.sent(time.Unix(10, 0), true)
	if got, _ := p.next(); !got.Equal(time.Unix(13, 0)) {
		t.Errorf("next() = %v; want 13 s", got)
	}
}
