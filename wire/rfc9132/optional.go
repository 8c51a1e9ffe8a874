package rfc9132

import (
	"cmp"
	"errors"
	"slices"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// errOptional says that Optional holds what is no comprehension-optional attribute, or not in order.
var errOptional = errors.New("writing optional attributes: a key is not comprehension-optional, or out of order")

// sortOptional orders attributes by key, as dots wants them and as they are written.
func sortOptional(list []dots.Raw) {
	slices.SortFunc(list, func(a, b dots.Raw) int { return cmp.Compare(a.Key, b.Key) })
}

// checkOptional returns an error where attributes may not be written as they are.
func checkOptional(list []dots.Raw) error {
	last := uint64(0)
	for _, o := range list {
		if o.Key <= last || classOf(o.Key) != classOptional || known(o.Key) || len(o.Value) == 0 {
			return errOptional
		}
		last = o.Key
	}
	return nil
}

// writeOptional writes the attributes from the key first to the key last.
func writeOptional(w *wire.Writer, list []dots.Raw, first, last uint64) {
	for _, o := range list {
		if o.Key >= first && o.Key <= last {
			w.Key(o.Key)
			w.Raw(o.Value)
		}
	}
}

// writeExtensions writes what a scope entry has above key 127, in order: optional attributes
// below those of RFC 9066, these, and optional attributes above.
func writeExtensions(w *wire.Writer, source dots.Source, list []dots.Raw) {
	writeOptional(w, list, firstOptional, firstCHKey-1)
	writeSource(w, source)
	writeOptional(w, list, lastCHKey+1, lastKeyOfAnyKind)
}
