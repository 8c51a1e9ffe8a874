package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

type identity struct {
	kind Kind
	key  string
}

func (i identity) compare(o identity) int {
	if c := strings.Compare(string(i.kind), string(o.kind)); c != 0 {
		return c
	}
	return strings.Compare(i.key, o.key)
}

// Memory is a Store without a disk, for tests and dry runs: it keeps its promise only as long as the process
// lives. Its size is bounded by nothing but its users. Make one with NewMemory.
type Memory struct {
	mu      sync.Mutex
	records map[identity][]byte
	closed  bool
}

// NewMemory returns an empty store in memory.
func NewMemory() *Memory {
	return &Memory{records: make(map[identity][]byte)}
}

// Reopen returns a new store that holds what a restart would find: everything committed until now. The old store
// lives on by itself, open or closed as it was.
func (m *Memory) Reopen() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Memory{records: maps.Clone(m.records)}
}

// Load implements Store. It shows the records as they are when it is called.
func (m *Memory) Load(ctx context.Context, visit func(Record) error) error {
	records, err := m.snapshot()
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(r); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *Memory) snapshot() ([]Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	ids := slices.SortedFunc(maps.Keys(m.records), identity.compare)
	records := make([]Record, len(ids))
	for i, id := range ids {
		records[i] = Record{Kind: id.kind, Key: id.key, Value: copyValue(m.records[id])}
	}
	return records, nil
}

// Commit implements Store.
func (m *Memory) Commit(ctx context.Context, b Batch) error {
	if err := Check(b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, r := range b.Records {
		id := identity{r.Kind, r.Key}
		if r.Value == nil {
			delete(m.records, id)
			continue
		}
		m.records[id] = copyValue(r.Value)
	}
	return nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// copyValue never returns nil, since a nil value means a deletion.
func copyValue(v []byte) []byte {
	return append(make([]byte, 0, len(v)), v...)
}
