// Package admin is the operator's way in: a small HTTP API on a Unix socket, and the client of it behind dotsgate's commands.
package admin
