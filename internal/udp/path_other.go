//go:build !linux

package udp

import (
	"net"
	"net/netip"
)

// tellLocal reports that the system does not say which address of ours a datagram was sent to: answers leave from the one it
// chooses.
func tellLocal(*net.UDPConn, bool) bool { return false }

func controlRoom() int { return 0 }

func localIn([]byte) netip.Addr { return netip.Addr{} }

type source struct{}

func newSource(bool) source { return source{} }

func (source) from(netip.Addr) []byte { return nil }
