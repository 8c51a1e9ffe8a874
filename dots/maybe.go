package dots

// Maybe is a value that a message may leave out. The zero Maybe is absent.
type Maybe[T any] struct {
	Value T
	Set   bool
}

// Some returns a present value.
func Some[T any](v T) Maybe[T] { return Maybe[T]{Value: v, Set: true} }

// Or returns the value, or def where it is absent.
func (m Maybe[T]) Or(def T) T {
	if m.Set {
		return m.Value
	}
	return def
}
