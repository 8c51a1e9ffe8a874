package front

import "github.com/dotsgate/dotsgate/internal/udp"

// gate is what the front does when handshakes cannot be handed over to the library.
type gate struct{}

func newGate() *gate { return &gate{} }

func (g *gate) greet(_ *Front, _ Sender, _ *hello, _ udp.Path) {}
