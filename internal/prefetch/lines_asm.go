//go:build amd64 || arm64

package prefetch

import "unsafe"

// lines asks for the lines that p+from to p+to lie in. It reads nothing: any address will do.
//
//go:noescape
func lines(p unsafe.Pointer, from, to uintptr)
