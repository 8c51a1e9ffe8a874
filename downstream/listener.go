package downstream

import (
	"cmp"
	"errors"
	"time"

	"github.com/dotsgate/dotsgate/dots"
)

// ErrNoUnicast says that Attach was given a session of an anycast listener, and the config has no address to send it to.
var ErrNoUnicast = errors.New("no unicast address to redirect to")

// redirectFor is how long a client may keep to the address it was sent to: the Max-Age of a redirect.
const redirectFor = time.Hour

// Listener is what the Server is to know of where a session came in. Its zero value is a listener for whoever is configured,
// in the default dialect.
type Listener struct {
	// Profiles are the names of the dialects spoken, the default one first; none means the first of the config only.
	Profiles []string
	// ClientDomain says that those who come in here are of our own domain: a cdid is nobody's to give, not even a trusted
	// gateway's (RFC 9132, Section 4.4.1.2).
	ClientDomain bool
	// Anycast says that the address is shared with other nodes: a session lasts only as long as the routes do. Whatever is
	// asked is answered with a redirect to Config.Unicast and changes nothing, except that heartbeats are answered
	// (RFC 8811, Section 3.2.4). Its sessions do not count as the client's: their end fires nothing.
	Anycast bool
	// Overflow bounds the sessions that are served; those beyond it are sent on. They do not count as the client's either. Nil: there is no such bound.
	Overflow *Overflow
}

// unicast is where a node's anycast listeners send clients to.
func unicast(cfg Config) dots.Redirect {
	to := dots.Redirect{Server: cmp.Or(cfg.UnicastName, cfg.NodeID)}
	for _, addr := range cfg.Unicast {
		to.Records = append(to.Records, addr.Unmap().String())
	}
	return to
}
