//go:build race

package front

// underRace: the race detector makes pools forget, so that what takes from them allocates.
const underRace = true
