package gateway

import (
	"log/slog"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/store"
)

// Ready is what a Step wants done. Records are to be committed as batch Seq, in the order of Seq; everything else but
// Questions and Notes waits for the commit that After names, and is released in the order of the steps.
type Ready struct {
	// Seq numbers the batch; 0: there are no Records.
	Seq     uint64
	Records []store.Record
	// Reserve: the batch only withdraws and may use the space kept back for that.
	Reserve bool
	// After is the batch that must be durable before the rest becomes visible; 0: none.
	After uint64

	Wants   []dots.Leg    // levels, in order
	Forgets []dots.LegKey // keys that need nothing more
	// Stated says that with Wants the whole wanted set was stated once since the start. It is never said if their commit fails: then
	// nothing that stands is taken for unwanted.
	Stated  bool
	Replies []Reply              // to waiting callers
	Changed []dots.MitigationKey // mitigations whose report changed

	// Live and Over are mitigations that came to life and that ended, for whoever must tell a refresh from a new request.
	Live, Over []dots.MitigationKey

	// Activity says which client entries have active mitigations now, or none any more. It waits for no commit: only how their sessions are kept
	// depends on it.
	Activity []Activity

	// Questions are for the outside; they need no commit.
	Questions []Question
	// Notes are lines for the log, one per decision.
	Notes []Note

	room *room // of the step in progress; nil: it is over
}

// Reply answers a waiting caller: a Mitigate with Answer, an Inspect with Reports, any of them with Err (a *dots.Error).
type Reply struct {
	Ticket  Ticket
	Answer  dots.Answer
	Reports []dots.Report
	Err     error
}

// Note is a line for the log, as data, since the core writes none.
type Note struct {
	Level slog.Level
	Text  string
	Attrs []slog.Attr
	// later makes the attributes where the line is written: of what comes often most lines are not. nil: they are Attrs. It reads the core, so it is
	// called before the next step.
	later func() []slog.Attr
}

// All returns the attributes of the line. It is called before the core's next step.
func (n Note) All() []slog.Attr {
	if n.later != nil {
		return n.later()
	}
	return n.Attrs
}

// LogValue is all attributes, as a group.
func (n Note) LogValue() slog.Value { return slog.GroupValue(n.All()...) }

// empty reports whether there is nothing to do.
func (r *Ready) empty() bool {
	return r.Seq == 0 && len(r.Wants) == 0 && len(r.Forgets) == 0 && !r.Stated && len(r.Replies) == 0 && len(r.Changed) == 0
}

// want states a leg's level.
func (r *Ready) want(l dots.Leg) { r.Wants = r.room.wants.add(r.Wants, l) }

// reply answers a ticket; nobody waits behind ticket 0.
func (r *Ready) reply(t Ticket, a dots.Answer) {
	if t != 0 {
		r.Replies = r.room.replies.add(r.Replies, Reply{Ticket: t, Answer: a})
	}
}

// refuse answers a ticket with an error.
func (r *Ready) refuse(t Ticket, err *dots.Error) {
	if t != 0 {
		r.Replies = append(r.Replies, Reply{Ticket: t, Err: err})
	}
}

// note adds a line for the log.
func (r *Ready) note(level slog.Level, text string, attrs ...slog.Attr) {
	r.Notes = append(r.Notes, Note{Level: level, Text: text, Attrs: attrs})
}

// noteLater adds a line whose attributes are made only if it is written.
func (r *Ready) noteLater(level slog.Level, text string, attrs func() []slog.Attr) {
	r.Notes = r.room.notes.add(r.Notes, Note{Level: level, Text: text, later: attrs})
}

// wait makes the Ready's visible part wait for batch seq.
func (r *Ready) wait(seq uint64) { r.After = max(r.After, seq) }
