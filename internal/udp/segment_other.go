//go:build !linux

package udp

import "net"

// Segments is false: only Linux makes many datagrams of one piece.
func Segments(*net.UDPConn) bool { return false }

// Segment is of Linux.
func Segment(int) []byte { return nil }

// SetSegment is of Linux.
func SetSegment([]byte, int) {}
