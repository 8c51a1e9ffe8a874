package rfc9132

import (
	"github.com/dotsgate/dotsgate/dots"
	"github.com/dotsgate/dotsgate/wire"
)

// The control of access lists, key 53 (RFC 9133, Section 3.2.2): in a request, a report and a 5.03.

// smallestACL is the encoded length of the shortest control, a name of one letter.
const smallestACL = 5

// acls reads a list of controls. RFC 9133, Section 3.2.2: acl-name is mandatory and the list's key, activation-type may be absent.
func (r *reader) acls() ([]dots.ACLControl, error) {
	list, err := wire.ReadList(&r.Reader, keyControlACLList, smallestACL, r.acl)
	if err == nil && !r.Lenient && wire.Twice(list, func(a dots.ACLControl) string { return a.Name }) {
		err = bad(keyControlACLList, "the same acl-name twice")
	}
	return list, err
}

func (r *reader) acl() (a dots.ACLControl, err error) {
	err = r.Entries(keyControlACLList, func(key uint64) (err error) {
		switch key {
		case keyACLName:
			a.Name, err = r.ReadText(key, wire.CheckText)
		case keyActivationType:
			var v uint8
			v, err = r.ReadEnum(key, uint64(dots.ActivateDeactivate))
			a.Activation = dots.Activation(v)
		default:
			err = r.Stray(key)
		}
		return err
	})
	if err == nil && a.Name == "" {
		err = r.Missing(keyACLName)
	}
	return a, err
}

func writeACLs(w *wire.Writer, list []dots.ACLControl) {
	if len(list) == 0 {
		return
	}
	w.Key(keyControlACLList)
	w.BeginArray()
	for _, a := range list {
		w.Element()
		w.BeginMap()
		w.Key(keyACLName)
		w.Text(a.Name)
		if a.Activation != 0 {
			w.Key(keyActivationType)
			w.Uint(uint64(a.Activation))
		}
		w.EndMap()
	}
	w.EndArray()
}
