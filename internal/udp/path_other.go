//go:build !linux

package udp

import "net"

// tellLocal reports that the system does not say which address of ours a datagram was sent to: answers leave from the one it
// chooses.
func tellLocal(*net.UDPConn, bool) bool { return false }
