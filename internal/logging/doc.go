// Package logging sets up the gateway's log: one event is one line, whatever a peer puts into it.
//
// Three handlers stand in a row. The cap lets through only so many lines per message and second, and tells how many it
// kept back. The cleaner makes every value a short, printable, single-line string. The last is slog's own text or JSON
// handler. The package imports nothing of ours.
package logging
