package outbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
)

// secretSize is the size in bytes of the secret from which messages get their identities.
const secretSize = 32

// openSecret reads the secret from which this site's messages get their identities, or makes it. A
// site with a secret may have claimed messages of which its ledger does not know.
func openSecret(state string, l *ledger.Ledger) ([]byte, error) {
	secret, err := readSecret(state)
	if err == nil {
		return secret, l.Update(context.Background(), func(tx *ledger.Tx) error {
			tx.ResumeNumbers(time.Now())
			return nil
		})
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := l.Update(context.Background(), func(tx *ledger.Tx) error {
		tx.BeginNumbers()
		return nil
	}); err != nil {
		return nil, err
	}
	secret = make([]byte, secretSize)
	rand.Read(secret)
	return secret, secretfile.Create(secretPath(state), secret)
}

// CheckSecret returns the error that New would return for the secret of a state folder.
func CheckSecret(state string) error {
	_, err := readSecret(state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // New makes it
	}
	return err
}

func readSecret(state string) ([]byte, error) {
	path := secretPath(state)
	secret, err := secretfile.Read(path, secretSize)
	if err == nil && len(secret) != secretSize {
		err = reason.Err("secret-damaged", "path", path, "got", len(secret), "want", secretSize)
	}
	return secret, err
}

func secretPath(state string) string { return filepath.Join(state, "claims.key") }

// identify fixes the uid and the fingerprint key of a claim. Without the secret they look random.
// This site derives the same ones again for a message in sending/ when its ledger is lost, and
// recipients that have the message know it by them. They are unique: a message id is used once, and
// the source distinguishes messages that have the same id nevertheless.
//
// The uid begins with the day and the number, which are in the message id anyway. 80 bits derived
// from the secret follow. So the ledgers at both ends append to their index, and do not write all
// over it.
func (o *Outbox) identify(m *ledger.Outgoing) {
	source := fmt.Sprintf("%s\x00%s\x00%d\x00%d\x00%d", m.ID, m.Name, m.Source.Size,
		m.Source.Entries, m.Source.ModTime)
	uid := o.derive("uid", source)[:16]
	if day, err := time.Parse("20060102", m.Day); err == nil {
		binary.BigEndian.PutUint16(uid, uint16(day.Unix()/secondsOfDay))
	}
	binary.BigEndian.PutUint32(uid[2:], uint32(m.Number))
	m.UID = id.UID(hex.EncodeToString(uid))
	copy(m.FingerprintKey[:], o.derive("fingerprint key", source))
}

const secondsOfDay = 24 * 60 * 60

func (o *Outbox) derive(label, source string) []byte {
	mac := hmac.New(sha256.New, o.secret)
	mac.Write([]byte(label + "\x00" + source)) // a hash never fails
	return mac.Sum(nil)
}
