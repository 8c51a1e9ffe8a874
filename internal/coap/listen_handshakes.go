package coap

import (
	"container/list"
	"context"
	"sync"
)

// handshakes bounds how many handshakes are under way. A peer that leaves its handshake unfinished, or never was
// there, gives way to newer ones.
type handshakes struct {
	limit   int
	running sync.WaitGroup

	mu    sync.Mutex
	order *list.List // of context.CancelFunc, oldest first
}

func newHandshakes(limit int) *handshakes { return &handshakes{limit: limit, order: list.New()} }

// start runs fn on a goroutine of its own. When the limit is reached the oldest one's context ends.
func (h *handshakes) start(ctx context.Context, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	h.mu.Lock()
	if h.order.Len() >= h.limit {
		oldest := h.order.Front()
		h.order.Remove(oldest)
		oldest.Value.(context.CancelFunc)()
	}
	place := h.order.PushBack(cancel)
	h.mu.Unlock()
	h.running.Go(func() {
		defer func() {
			h.mu.Lock()
			h.order.Remove(place) // does nothing if it had to give way
			h.mu.Unlock()
			cancel()
		}()
		fn(ctx)
	})
}

// len is how many are under way.
func (h *handshakes) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.order.Len()
}

// settle waits for the handshakes until ctx ends, then ends those that are left. Nothing is started meanwhile.
func (h *handshakes) settle(ctx context.Context) {
	stop := context.AfterFunc(ctx, h.endAll)
	defer stop()
	h.running.Wait()
}

// endAll ends all handshakes.
func (h *handshakes) endAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for e := h.order.Front(); e != nil; e = e.Next() {
		e.Value.(context.CancelFunc)()
	}
}

// shutdown ends all handshakes and waits for them. Nothing is started afterwards.
func (h *handshakes) shutdown() {
	h.endAll()
	h.running.Wait()
}
