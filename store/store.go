// Package store keeps small durable records for the parts of the gateway that must survive a crash.
//
// A store knows nothing of what its records mean. Its one promise is that a batch whose Commit returned nil is
// found again, whole, after a crash or a power cut, and that a record whose deletion was committed stays gone.
package store

import "context"

// Kind says which family a record belongs to, for example "mitigation" or "leg". The user of the store chooses a
// small set of kinds; each is 1 to MaxKind bytes of the letters a to z and the hyphen.
type Kind string

// Limits of one batch. They keep a mistake from filling the disk or the memory; a batch outside of them is
// refused with ErrInvalid before anything is written.
const (
	MaxKind  = 32      // bytes of a kind
	MaxKey   = 1024    // bytes of a key
	MaxValue = 1 << 20 // bytes of a value
	MaxBatch = 1 << 16 // records of a batch
)

// Record is one durable value. Its identity is (Kind, Key); a key is 1 to MaxKey bytes, any bytes. A nil Value
// means that the record is deleted, an empty one is a value like any other.
type Record struct {
	Kind  Kind
	Key   string
	Value []byte
}

// Batch is a set of changes that become durable together or not at all. Where two records of one batch have the
// same identity, the later one wins. Deleting a record that does not exist is not an error.
type Batch struct {
	Records []Record

	// Reserve marks a batch that only withdraws: it may use the space kept back for withdrawals when the disk
	// is full. False means that a full disk refuses the batch with ErrFull.
	Reserve bool
}

// Store keeps records durably. All methods may be called at the same time from several goroutines.
type Store interface {
	// Load calls visit for every live record in ascending (Kind, Key) order, compared byte by byte. The visitor
	// owns the Value it is given and may call Commit. A batch committed while Load runs may be seen or not. Load
	// ends with the first error of visit, which it returns as it is, or with the error of ctx.
	Load(ctx context.Context, visit func(Record) error) error

	// Commit makes the batch durable; it blocks for as long as the disk takes. It does not keep or change the
	// records. ctx is heeded only until the batch is begun: a commit under way is finished, so that its outcome
	// is known. An error means that Load does not show the batch, not even in part; after an error of the
	// disk itself, a crash that follows may still bring the whole batch back. The errors are ErrInvalid,
	// ErrFull, ErrClosed, ErrCorrupt, the error of ctx, or one of the disk.
	Commit(ctx context.Context, b Batch) error

	// Close waits for a commit under way and releases the store. Everything later is answered with ErrClosed;
	// closing twice is harmless.
	Close() error
}
