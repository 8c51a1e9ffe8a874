package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/internal/carry"
	"github.com/dotsgate/dotsgate/internal/coap"
	"github.com/dotsgate/dotsgate/wire"
)

// Entry is one request in the simulated server's journal, with its answer. In a journal it is a line of JSON.
type Entry struct {
	Time      time.Time `json:"time"`
	Session   uint64    `json:"session"`
	Transport string    `json:"transport"` // dtls or tls
	Identity  string    `json:"identity"`  // a name of the client's certificate, or its PSK identity
	Profile   string    `json:"profile,omitempty"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Query     []string  `json:"query,omitempty"`
	HopLimit  *uint32   `json:"hop_limit,omitempty"`
	Observe   *uint32   `json:"observe,omitempty"`
	IfMatch   bool      `json:"if_match,omitempty"`
	Non       bool      `json:"non,omitempty"` // over UDP: not confirmable
	Bytes     int       `json:"bytes"`         // of the body

	// Op says what was asked for, such as "put mitigation"; empty where the request could not be read.
	Op   string  `json:"op,omitempty"`
	CUID string  `json:"cuid,omitempty"`
	CDID string  `json:"cdid,omitempty"`
	MID  *uint32 `json:"mid,omitempty"`
	SID  *uint64 `json:"sid,omitempty"`
	Body *Body   `json:"body,omitempty"`

	// Answer is the code, such as "2.01"; empty where nothing was answered.
	Answer     string         `json:"answer,omitempty"`
	Lifetime   *dots.Lifetime `json:"lifetime,omitempty"` // granted, in seconds
	Reports    int            `json:"reports,omitempty"`  // mitigations in the answer
	Diagnostic string         `json:"diagnostic,omitempty"`
}

// Body is the decoded body of a request.
type Body struct {
	Prefixes     []string       `json:"prefixes,omitempty"`
	Ports        []string       `json:"ports,omitempty"`
	Protocols    []int          `json:"protocols,omitempty"`
	FQDNs        []string       `json:"fqdns,omitempty"`
	URIs         []string       `json:"uris,omitempty"`
	Aliases      []string       `json:"aliases,omitempty"`
	Lifetime     *dots.Lifetime `json:"lifetime,omitempty"` // seconds
	OnSignalLoss bool           `json:"on_signal_loss,omitempty"`
	Attack       int            `json:"attack_status,omitempty"`
	Optional     []uint64       `json:"optional,omitempty"` // keys of comprehension-optional attributes
	PeerHB       *bool          `json:"peer_hb,omitempty"`
	// Heartbeat is the interval that a configuration asks for while idle, in seconds.
	Heartbeat *uint16 `json:"heartbeat_interval,omitempty"`
}

// newEntry notes what is known of a request before it is read.
func newEntry(now time.Time, ex *coap.Exchange) Entry {
	m := ex.Request()
	methods := map[coap.Code]string{coap.GET: "GET", coap.PUT: "PUT", coap.POST: "POST", coap.DELETE: "DELETE"}
	method, ok := methods[m.Code]
	if !ok {
		method = m.Code.String()
	}
	e := Entry{
		Time: now, Session: ex.Session().ID(), Transport: "dtls", Method: method, Path: "/" + strings.Join(m.Options.Path(), "/"),
		Query: m.Options.Query(), HopLimit: pointer(carry.Uint(m.Options, coap.HopLimit)), IfMatch: m.Options.Has(coap.IfMatch),
		Observe: pointer(carry.Uint(m.Options, coap.Observe)), Non: m.NonConfirmable, Bytes: len(m.Payload),
	}
	if ex.Session().Reliable() {
		e.Transport, e.Non = "tls", false
	}
	return e
}

// decoded notes what was asked for.
func (e *Entry) decoded(req wire.Request) {
	e.Op, e.CUID, e.CDID = opName(req.Op), req.CUID, req.CDID
	e.MID, e.SID = pointer(req.MID), pointer(req.SID)
	switch req.Op {
	case wire.PutMitigation:
		e.Body = mitigationBody(req.Mitigation)
	case wire.PutHeartbeat:
		e.Body = &Body{PeerHB: &req.PeerHB}
	case wire.PutConfig:
		e.Body = &Body{Heartbeat: pointer(req.Config.Idle.HeartbeatInterval.Current)}
	}
}

// answered notes the answer.
func (e *Entry) answered(resp wire.Response) {
	e.Answer, e.Diagnostic, e.Reports = resp.Code.String(), resp.Diagnostic, len(resp.Reports)
	if resp.Granted.Set {
		e.Lifetime = &resp.Granted.Value.Lifetime
	}
}

func opName(op wire.Op) string {
	names := map[wire.Op]string{
		wire.PutMitigation: "put mitigation", wire.GetMitigations: "get mitigations", wire.DeleteMitigation: "delete mitigation",
		wire.PutConfig: "put config", wire.GetConfig: "get config", wire.DeleteConfig: "delete config",
		wire.PutHeartbeat: "heartbeat", wire.PutRedirect: "redirect",
	}
	return names[op]
}

func mitigationBody(m dots.Request) *Body {
	b := &Body{
		FQDNs: m.Target.FQDNs, URIs: m.Target.URIs, Aliases: m.Target.Aliases, Lifetime: pointer(m.Lifetime),
		OnSignalLoss: m.OnSignalLoss, Attack: int(m.Attack),
	}
	for _, p := range m.Target.Prefixes {
		b.Prefixes = append(b.Prefixes, p.String())
	}
	for _, p := range m.Target.Ports {
		b.Ports = append(b.Ports, fmt.Sprintf("%d-%d", p.Lower, p.Upper))
	}
	for _, p := range m.Target.Protocols {
		b.Protocols = append(b.Protocols, int(p))
	}
	for _, o := range m.Optional {
		b.Optional = append(b.Optional, o.Key)
	}
	return b
}

func pointer[T any](m dots.Maybe[T]) *T {
	if !m.Set {
		return nil
	}
	return &m.Value
}

// Journal writes entries as lines of JSON, each with one write, so that nothing of it is lost when the process dies. Safe
// for concurrent use.
type Journal struct {
	mu  sync.Mutex
	to  io.Writer
	err error
}

// NewJournal makes a journal that writes to w.
func NewJournal(w io.Writer) *Journal { return &Journal{to: w} }

// Write writes one line. After a failed write nothing is written any more: Err tells why.
func (j *Journal) Write(line any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return
	}
	b, err := json.Marshal(line)
	if err == nil {
		_, err = j.to.Write(append(b, '\n'))
	}
	if err != nil {
		j.err = fmt.Errorf("writing the journal: %w", err)
	}
}

// Err returns why the journal is incomplete, or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// ReadJournal reads a server's journal back. A last line that is cut off is passed over: its writer died.
func ReadJournal(r io.Reader) ([]Entry, error) { return readEntries[Entry](r) }

// readLines reads a file of lines of JSON.
func readLines[E any](name string) ([]E, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	defer f.Close()
	return readEntries[E](f)
}

// readEntries reads lines of JSON, as far as they are whole.
func readEntries[E any](r io.Reader) ([]E, error) {
	var entries []E
	d := json.NewDecoder(r)
	for {
		var e E
		err := d.Decode(&e)
		switch {
		case err == nil:
			entries = append(entries, e)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return entries, nil
		default:
			return entries, fmt.Errorf("reading the journal: %w", err)
		}
	}
}
