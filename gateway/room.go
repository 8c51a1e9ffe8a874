package gateway

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// room is memory for what nearly every step says one of.
type room struct {
	records ones[store.Record]
	undo    ones[func(*Ready)]
	wants   ones[dots.Leg]
	replies ones[Reply]
	notes   ones[Note]
	waiters ones[waiter]
}

// ones makes short lists. Most have one element, so that these are cut from a longer piece, and not allocated for each: a list has room for that
// one, and goes elsewhere if it grows. The piece lives as long as one of its lists does.
type ones[T any] struct{ rest []T }

// onesAtATime is how many lists are cut from a piece.
const onesAtATime = 32

// add appends to a list.
func (o *ones[T]) add(list []T, v T) []T {
	if list == nil {
		if len(o.rest) == 0 {
			o.rest = make([]T, onesAtATime)
		}
		list, o.rest = o.rest[:0:1], o.rest[1:]
	}
	return append(list, v)
}
