package gateway

import (
	"sync"

	"github.com/dotsgate/dotsgate/dots"
)

// liveKeys are the keys of the live mitigations: their PUTs are refreshes. It is read by whoever brings a request. The zero value is empty; it is safe for
// concurrent use.
type liveKeys struct {
	mu   sync.RWMutex
	keys map[dots.MitigationKey]struct{}
}

func (n *liveKeys) has(k dots.MitigationKey) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.keys[k]
	return ok
}

func (n *liveKeys) put(k dots.MitigationKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.keys == nil {
		n.keys = map[dots.MitigationKey]struct{}{}
	}
	n.keys[k] = struct{}{}
}

func (n *liveKeys) drop(k dots.MitigationKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.keys, k)
}
