// Package udp reads and writes the datagrams of one address in batches, over several sockets, with ClientHellos kept
// apart from everything else by the kernel.
package udp
