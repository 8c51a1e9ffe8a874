//go:build race

package record

// underRace: the race detector makes everything some ten times slower.
const underRace = true
