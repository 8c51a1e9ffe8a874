package store

import "fmt"

// Check returns an error that wraps ErrInvalid when the batch is outside the limits of this package, else nil.
// Every store calls it before it writes. An empty batch is valid.
func Check(b Batch) error {
	if len(b.Records) > MaxBatch {
		return fmt.Errorf("%w: %d records, at most %d", ErrInvalid, len(b.Records), MaxBatch)
	}
	for i, r := range b.Records {
		if err := checkRecord(r); err != nil {
			return fmt.Errorf("%w: record %d: %w", ErrInvalid, i, err)
		}
	}
	return nil
}

func checkRecord(r Record) error {
	if !validKind(r.Kind) {
		return fmt.Errorf("kind %.40q is not 1 to %d letters a-z or hyphens", string(r.Kind), MaxKind)
	}
	if len(r.Key) == 0 || len(r.Key) > MaxKey {
		return fmt.Errorf("key of %d bytes, want 1 to %d", len(r.Key), MaxKey)
	}
	if len(r.Value) > MaxValue {
		return fmt.Errorf("value of %d bytes, at most %d", len(r.Value), MaxValue)
	}
	return nil
}

func validKind(k Kind) bool {
	if len(k) == 0 || len(k) > MaxKind {
		return false
	}
	for i := range len(k) {
		if c := k[i]; c != '-' && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
