package gateway

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// Question is something that the core must ask of the outside: a Resolve or a Consult. The set of questions is closed.
type Question interface {
	// client is the client entry on whose behalf it is asked.
	client() string
	// unanswered is the event for a question to which there is no answer.
	unanswered() Event
}

// Resolve asks for a name's addresses. The answer is a Resolved.
type Resolve struct {
	Name   string
	Client string // the client entry that brought the name
}

// Consult asks the AAA server whether a request may be granted. The answer is a Consulted with the same Key and Seq.
type Consult struct {
	Key    dots.MitigationKey // whose request, with the client
	Seq    uint64
	Domain string
	// Request is what would be granted: without aliases, its lifetime clamped. Its slices are not to be changed.
	Request dots.Request
}

func (q Resolve) client() string    { return q.Client }
func (q Resolve) unanswered() Event { return Resolved{Name: q.Name, Failed: true} }

func (q Consult) client() string    { return q.Key.Client.Name }
func (q Consult) unanswered() Event { return q.ruled(policy.Ruling{Failed: true}) }

// ruled is the answer to the question.
func (q Consult) ruled(r policy.Ruling) Event {
	return Consulted{Key: q.Key, Seq: q.Seq, Ruling: r}
}
