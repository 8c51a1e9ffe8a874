package gateway

import (
	"encoding/base64"
	"net/netip"
	"strconv"

	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/policy"
)

// recordWriter writes the JSON of a mitigation's record as encoding/json does, byte by byte, but for a tenth of the cost: it is written down anew at
// each refresh. What is rare is left to encoding/json.
type recordWriter struct{ b []byte }

// encodeMitigation makes a mitigation record's value.
func encodeMitigation(v *mitigationRecord) []byte {
	w := recordWriter{make([]byte, 0, 512)}
	w.b = append(w.b, `{"Client":{"Name":`...)
	w.text(v.Client.Name)
	w.b = append(w.b, `,"CUID":`...)
	w.text(v.Client.CUID)
	w.optional("CDID", v.Client.CDID)
	w.b = append(w.b, `},"MID":`...)
	w.b = strconv.AppendUint(w.b, uint64(v.MID), 10)
	w.b = append(w.b, `,"Asked":`...)
	w.request(&v.Asked)
	w.b = append(w.b, `,"Grant":`...)
	w.grant(&v.Grant)
	w.b = append(w.b, `,"HopLimit":`...)
	w.b = strconv.AppendUint(w.b, uint64(v.HopLimit), 10)
	w.b = append(w.b, `,"Lifetime":`...)
	w.b = strconv.AppendInt(w.b, int64(v.Lifetime), 10)
	if v.Expires != 0 {
		w.b = append(w.b, `,"Expires":`...)
		w.b = strconv.AppendInt(w.b, v.Expires, 10)
	}
	if v.Start != 0 {
		w.b = append(w.b, `,"Start":`...)
		w.b = strconv.AppendUint(w.b, v.Start, 10)
	}
	w.rest("Refused", v.Refused, len(v.Refused))
	w.optional("OwnCDID", v.OwnCDID)
	w.flag("Fired", v.Fired)
	w.b = append(w.b, `,"Period":`...)
	w.b = strconv.AppendInt(w.b, int64(v.Period), 10)
	w.flag("Recursed", v.Recursed)
	w.optional("To", v.To)
	w.flag("ByHand", v.ByHand)
	w.b = append(w.b, '}')
	return w.b
}

func (w *recordWriter) grant(g *grantRecord) {
	w.b = append(w.b, `{"Domain":`...)
	w.text(g.Domain)
	if g.Request != nil {
		w.b = append(w.b, `,"Request":`...)
		w.request(g.Request)
	}
	w.expanded(g.Expanded)
	if g.Outside != nil {
		w.rest("Outside", g.Outside, 1)
	}
	w.rest("Supersedes", g.Supersedes, len(g.Supersedes))
	w.rest("Deactivates", g.Deactivates, len(g.Deactivates))
	w.rest("Watch", g.Watch, len(g.Watch))
	w.b = append(w.b, '}')
}

// expanded writes what a target covers, which is left out where it is nothing.
func (w *recordWriter) expanded(e policy.Expanded) {
	switch {
	case e.Names != nil || e.URIs != nil || e.Aliases != nil:
		w.rest("Expanded", e, 1)
	case e.Prefixes != nil:
		w.b = append(w.b, `,"Expanded":{"Prefixes":`...)
		w.prefixes(e.Prefixes)
		w.b = append(w.b, `,"Names":null,"URIs":null,"Aliases":null}`...)
	}
}

func (w *recordWriter) request(r *requestRecord) {
	w.b = append(w.b, '{')
	begin := len(w.b)
	if len(r.Prefixes) > 0 {
		w.b = append(w.b, `,"Prefixes":`...)
		w.prefixes(r.Prefixes)
	}
	if len(r.Ports) > 0 {
		w.b = append(w.b, `,"Ports":`...)
		w.ports(r.Ports)
	}
	if len(r.Protocols) > 0 {
		w.b = append(w.b, `,"Protocols":"`...)
		w.b = base64.StdEncoding.AppendEncode(w.b, r.Protocols)
		w.b = append(w.b, '"')
	}
	w.rest("FQDNs", r.FQDNs, len(r.FQDNs))
	w.rest("URIs", r.URIs, len(r.URIs))
	w.rest("Aliases", r.Aliases, len(r.Aliases))
	if r.Lifetime != nil {
		w.b = append(w.b, `,"Lifetime":`...)
		w.b = strconv.AppendInt(w.b, int64(*r.Lifetime), 10)
	}
	w.flag("OnSignalLoss", r.OnSignalLoss)
	w.rest("ACLs", r.ACLs, len(r.ACLs))
	if r.Source != nil {
		w.rest("Source", r.Source, 1)
	}
	w.rest("Optional", r.Optional, len(r.Optional))
	if len(w.b) > begin { // the first member's comma
		w.b = append(w.b[:begin], w.b[begin+1:]...)
	}
	w.b = append(w.b, '}')
}

// prefixes writes a list.
func (w *recordWriter) prefixes(list []netip.Prefix) {
	w.b = append(w.b, '[')
	for i, p := range list {
		w.next(i)
		w.b = append(w.b, '"')
		if p.IsValid() {
			w.b = p.AppendTo(w.b)
		}
		w.b = append(w.b, '"')
	}
	w.b = append(w.b, ']')
}

func (w *recordWriter) ports(list []dots.PortRange) {
	w.b = append(w.b, '[')
	for i, p := range list {
		w.next(i)
		w.b = append(w.b, `{"Lower":`...)
		w.b = strconv.AppendUint(w.b, uint64(p.Lower), 10)
		w.b = append(w.b, `,"Upper":`...)
		w.b = strconv.AppendUint(w.b, uint64(p.Upper), 10)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, ']')
}

// next separates the elements of a list.
func (w *recordWriter) next(i int) {
	if i > 0 {
		w.b = append(w.b, ',')
	}
}

// flag writes a member that is left out where it is false, optional a text that is left out where it is empty.
func (w *recordWriter) flag(name string, v bool) {
	if v {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *recordWriter) optional(name, v string) {
	if v != "" {
		w.name(name)
		w.text(v)
	}
}

// rest leaves a member of n elements to encoding/json; there is none where n is 0.
func (w *recordWriter) rest(name string, v any, n int) {
	if n > 0 {
		w.name(name)
		w.b = append(w.b, encode(v)...)
	}
}

func (w *recordWriter) name(name string) {
	w.b = append(w.b, `,"`...)
	w.b = append(w.b, name...)
	w.b = append(w.b, `":`...)
}

// text writes a string. What encoding/json would escape is left to it.
func (w *recordWriter) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			w.b = append(w.b, encode(s)...)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}
