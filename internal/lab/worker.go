package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/ctl"
)

// worker makes one request after the other. It owns its mids, and its state outlives sessions.
type worker struct {
	l      *loader
	cuid   string
	mid    uint32
	stride uint32 // to its next mid
	target netip.Prefix
	put    bool // the mitigation was acknowledged
	turn   int  // of the cycle of ModeMixed
}

func (l *loader) worker(session, k int) *worker {
	index := session*l.cfg.InFlight + k
	w := &worker{l: l, cuid: l.cfg.CUID, mid: l.cfg.FirstMID + uint32(index), stride: uint32(l.cfg.Sessions * l.cfg.InFlight)}
	if l.cfg.CUIDPerSession {
		w.cuid = fmt.Sprintf("%s-%d", l.cfg.CUID, session)
	}
	if l.cfg.Prefix.IsValid() {
		w.target = address(l.cfg.Prefix, index)
	}
	return w
}

// address returns the nth address of a prefix as a prefix; it starts anew behind the last.
func address(p netip.Prefix, n int) netip.Prefix {
	host := p.Addr().BitLen() - p.Bits()
	if host < 31 {
		n %= 1 << host
	}
	raw := p.Masked().Addr().AsSlice()
	for i := len(raw) - 1; i >= 0 && n > 0; i-- {
		n += int(raw[i])
		raw[i] = byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(raw) // its length is an address's
	return netip.PrefixFrom(a, a.BitLen())
}

// run makes requests until ctx ends, all are made, or the session is of no use any more.
func (w *worker) run(ctx context.Context, c *ctl.Client) {
	for ctx.Err() == nil && w.l.take() {
		begin := time.Now()
		waiting, cancel := context.WithTimeout(ctx, w.l.cfg.Timeout)
		code, err := w.step(waiting, c)
		cancel()
		var answer *ctl.AnswerError
		switch {
		case errors.As(err, &answer):
			w.l.stats.answered(answer.Code.String(), time.Since(begin))
		case err == nil:
			w.l.stats.answered(code.String(), time.Since(begin))
		case ctx.Err() != nil:
			return // cut off by the end
		default:
			w.l.stats.failed(failure(err))
			_ = c.Session().Close() // the others on it shall not wait either
			return
		}
	}
}

// cycle is how ModeMixed goes on: a put, refreshes and questions by turns, a withdrawal.
const cycle = 8

// step makes the request that is next.
func (w *worker) step(ctx context.Context, c *ctl.Client) (dots.Code, error) {
	mode := w.l.cfg.Mode
	switch {
	case mode == ModeEcho:
		return dots.CodeChanged, c.Heartbeat(ctx, true)
	case !w.put:
		return w.mitigate(ctx, c, "put")
	case mode == ModePutRefresh:
		return w.mitigate(ctx, c, "refresh")
	case mode == ModeGet:
		return w.get(ctx, c)
	}
	w.turn++
	switch {
	case w.turn%cycle == cycle-1:
		return w.withdraw(ctx, c)
	case w.turn%2 == 1:
		return w.mitigate(ctx, c, "refresh")
	}
	return w.get(ctx, c)
}

func (w *worker) record(op string, code string) {
	w.l.cfg.Record(Ack{Time: time.Now(), Op: op, CUID: w.cuid, MID: w.mid, Code: code, Prefix: w.target.String()})
}

func (w *worker) mitigate(ctx context.Context, c *ctl.Client, op string) (dots.Code, error) {
	w.record(op, "")
	resp, err := c.Mitigate(ctx, dots.Request{
		MID: w.mid, Target: dots.Target{Prefixes: []netip.Prefix{w.target}}, Lifetime: dots.Some(dots.Lifetime(w.l.cfg.Lifetime)),
	})
	if err != nil {
		return 0, err
	}
	w.record(op, resp.Code.String())
	w.put = w.put || resp.Code.Success()
	return resp.Code, nil
}

func (w *worker) get(ctx context.Context, c *ctl.Client) (dots.Code, error) {
	resp, err := c.Get(ctx, dots.Some(w.mid))
	return resp.Code, err
}

// withdraw ends the mitigation; the next one has another mid, since mids increase.
func (w *worker) withdraw(ctx context.Context, c *ctl.Client) (dots.Code, error) {
	w.record("withdraw", "")
	resp, err := c.Withdraw(ctx, w.mid)
	if err != nil {
		w.turn-- // once more
		return 0, err
	}
	w.record("withdraw", resp.Code.String())
	w.put, w.turn = false, 0
	w.mid += w.stride
	return resp.Code, nil
}
