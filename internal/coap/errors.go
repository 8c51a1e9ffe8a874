package coap

import "errors"

// What ends a session or a request. Errors of the package wrap one of these.
var (
	ErrClosed       = errors.New("session closed")                 // by our own Close
	ErrClosedByPeer = errors.New("session closed by peer")         // close_notify, FIN or Release
	ErrAborted      = errors.New("session aborted by peer")        // the peer sent Abort
	ErrProtocol     = errors.New("protocol error")                 // the peer broke the framing or the signalling
	ErrTimeout      = errors.New("no acknowledgement")             // all retransmissions of a CON were used up
	ErrReset        = errors.New("rejected by peer")               // the peer answered with RST
	ErrBadResponse  = errors.New("unusable response")              // a response the request cannot be finished with
	ErrTooLarge     = errors.New("message too large")              // a body over a limit, ours or the peer's
	ErrBusy         = errors.New("too many requests under way")    // Limits.MaxCalls
	ErrBadMessage   = errors.New("message cannot be sent")         // not a request, or an option too long
	ErrIncomplete   = errors.New("block-wise transfer incomplete") // the body changed or was forgotten too often
	errMalformed    = errors.New("malformed message")
)
