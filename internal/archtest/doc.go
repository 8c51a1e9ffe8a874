// Package archtest holds the house's import arrows as data and finds every import that goes another way.
//
// It reads import clauses only, so a package that does not compile is checked all the same. The rules are in
// rooms.go (our own packages) and modules.go (what comes from outside); a new arrow is added there, with its
// reason, in the commit that needs it. The package is used by its own test alone.
package archtest
