package front

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"

	"github.com/pion/dtls/v3"
)

// errHandOver says that the library is not as this package knows it: a handshake cannot be handed over to it.
var errHandOver = errors.New("the hand-over to the DTLS library")

// bytesType is what the cookie must be: a slice that is overwritten in place.
var bytesType = reflect.TypeFor[[]byte]()

// checkShape wants the library's connection to have its cookie where liveCookie reads it, and says what is missing. It is the
// weaker guard: that the cookie is also the one that is compared, only SelfTest shows.
func checkShape(conn reflect.Type) error {
	state, ok := conn.FieldByName("state")
	if !ok || state.Type.Kind() != reflect.Struct {
		return fmt.Errorf("%w: %v has no struct named state", errHandOver, conn)
	}
	cookie, ok := state.Type.FieldByName("cookie")
	if !ok || cookie.Type != bytesType {
		return fmt.Errorf("%w: %v has no []byte named cookie", errHandOver, state.Type)
	}
	return nil
}

// liveCookie is the cookie that the library will compare with: its own slice, not a copy. It may be called only on the
// library's handshake goroutine, as under PacketConn.WriteTo of a HelloVerifyRequest: there nobody else uses it.
//
// reflect lends a byte slice out of an unexported field, which is all that is needed; should it stop to, it panics, and this
// is an error as any other.
func liveCookie(conn *dtls.Conn) (cookie []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			cookie, err = nil, fmt.Errorf("%w: %v", errHandOver, v)
		}
	}()
	if err := checkShape(reflect.TypeFor[dtls.Conn]()); err != nil {
		return nil, err
	}
	return reflect.ValueOf(conn).Elem().FieldByName("state").FieldByName("cookie").Bytes(), nil
}

// replaceCookie makes the library expect our cookie in place of its own, which it has just sent.
func replaceCookie(conn *dtls.Conn, sent, ours []byte) error {
	live, err := liveCookie(conn)
	switch {
	case err != nil:
		return err
	case len(live) != cookieSize || !bytes.Equal(live, sent):
		return fmt.Errorf("%w: it sends another cookie than it keeps", errHandOver)
	}
	copy(live, ours)
	return nil
}
