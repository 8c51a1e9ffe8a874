package record

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
)

// suite is what a cipher suite with AES-GCM says of its keys (RFC 5288, Section 3; RFC 5289, Section 3.2; RFC 5487, Section 2).
type suite struct {
	key int // bytes
	prf func() hash.Hash
}

// suiteOf returns false for a suite that is not done here.
func suiteOf(id uint16) (suite, bool) {
	switch dtls.CipherSuiteID(id) {
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		dtls.TLS_PSK_WITH_AES_128_GCM_SHA256:
		return suite{16, sha256.New}, true
	case dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, dtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:
		return suite{32, sha512.New384}, true
	}
	return suite{}, false
}

// Supports reports whether the cipher suite of this number is done here.
func Supports(id uint16) bool {
	_, ok := suiteOf(id)
	return ok
}

const (
	saltSize          = 4 // the part of the nonce that the handshake gives (RFC 5288, Section 3)
	explicitNonceSize = 8 // the part that each record carries
	tagSize           = 16
)

// half is what one direction is sealed or opened with.
type half struct {
	aead cipher.AEAD
	// nonce begins with the salt. It and aad are filled anew for each record; they stand here because what is handed to an
	// interface would be allocated for each call. A connection ID that does not fit is one of the peer's choice, and costs an allocation.
	nonce [saltSize + explicitNonceSize]byte
	aad   [aadSize]byte
}

func newHalf(key, salt []byte) (half, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return half{}, fmt.Errorf("preparing AES: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return half{}, fmt.Errorf("preparing GCM: %w", err)
	}
	h := half{aead: aead}
	copy(h.nonce[:], salt)
	return h, nil
}

// halves derives both directions' keys (RFC 5246, Section 6.3).
func halves(s State) (out, in half, err error) {
	suite, ok := suiteOf(s.Suite)
	if !ok {
		return half{}, half{}, ErrSuite
	}
	keys, err := prf.GenerateEncryptionKeys(s.MasterSecret, s.ClientRandom[:], s.ServerRandom[:], 0, suite.key, saltSize, suite.prf)
	if err != nil {
		return half{}, half{}, fmt.Errorf("deriving the keys: %w", err)
	}
	outKey, outSalt, inKey, inSalt := keys.ServerWriteKey, keys.ServerWriteIV, keys.ClientWriteKey, keys.ClientWriteIV
	if s.IsClient {
		outKey, outSalt, inKey, inSalt = inKey, inSalt, outKey, outSalt
	}
	if out, err = newHalf(outKey, outSalt); err != nil {
		return half{}, half{}, err
	}
	in, err = newHalf(inKey, inSalt)
	return out, in, err
}
