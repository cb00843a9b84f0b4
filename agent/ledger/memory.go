package ledger

import (
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// TrustFile is the name of the file beside the ledger with the pins and approvals.
const TrustFile = "trust.json"

// trustVersion is the setting that counts the commits with a change of pins, approvals or kept
// settings. keptPrefix begins the keys of kept settings.
const (
	trustVersion = "trust"
	keptPrefix   = "trust "
)

// trust keeps the pins, approvals and kept settings outside the ledger. So a lost or restored
// ledger never sees a site for the first time again. The file is written after each commit that
// changes them, and synced: it has no change of a failed commit.
type trust struct {
	path     string
	changed  bool // by the current commit, or by one that could not be written
	restored int  // pins and approvals that Open has put into the ledger
}

// remembered is the content of the file.
type remembered struct {
	Version   int64                `json:"version"`
	Pins      []rememberedPin      `json:"pins"`
	Approvals map[string][]id.Site `json:"approvals"` // null: the first complete proposal
	Settings  map[string]string    `json:"settings,omitempty"`
}

type rememberedPin struct {
	Site         id.Site   `json:"site"`
	Identity     id.Hash   `json:"identity"`
	RecipientKey string    `json:"recipient_key"`
	Version      int       `json:"recipient_version"`
	Statement    id.Hash   `json:"statement"`
	Seen         time.Time `json:"seen"`
	Compared     time.Time `json:"compared,omitzero"`
}

// count returns the version of the ledger's pins and approvals.
func (tx *Tx) count() (int64, error) {
	stored, err := tx.Setting(trustVersion)
	if err != nil || stored == "" {
		return 0, err
	}
	return strconv.ParseInt(stored, 10, 64)
}

// countTrust counts a change in the commit that makes it.
func (tx *Tx) countTrust() error {
	if !tx.trust.changed {
		return nil
	}
	version, err := tx.count()
	if err != nil {
		return err
	}
	return tx.Set(trustVersion, strconv.FormatInt(version+1, 10))
}

// saveTrust writes changed pins and approvals after their commit. After a failure the next commit,
// or the next start, writes them.
func (tx *Tx) saveTrust() {
	if !tx.trust.changed {
		return
	}
	if err := tx.writeTrust(); err == nil {
		tx.trust.changed = false
	}
}

func (tx *Tx) writeTrust() error {
	version, err := tx.count()
	if err != nil {
		return err
	}
	pins, err := tx.Pins()
	if err != nil {
		return err
	}
	out := remembered{Version: version, Pins: []rememberedPin{}, Settings: map[string]string{}}
	if out.Approvals, err = tx.Approvals(); err != nil {
		return err
	}
	err = tx.rows("SELECT key, value FROM setting WHERE key > ? AND key < ?",
		[]any{keptPrefix, keptPrefix + "\x7f"}, func(rows *sql.Rows) error {
			var key, value string
			err := rows.Scan(&key, &value)
			out.Settings[strings.TrimPrefix(key, keptPrefix)] = value
			return err
		})
	if err != nil {
		return err
	}
	for _, p := range pins {
		out.Pins = append(out.Pins, rememberedPin{p.Site, p.Identity, p.RecipientKey, p.Version,
			p.Statement, p.Seen, p.Compared})
	}
	text, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(tx.trust.path, append(text, '\n'), 0o600)
}

// recallTrust compares the file with the ledger at the start. A newer file replaces the pins and
// approvals: the ledger was lost, or an older copy was put back. A file that is missing, damaged or
// older is written again.
func (tx *Tx) recallTrust() error {
	version, err := tx.count()
	if err != nil {
		return err
	}
	var in remembered
	text, err := os.ReadFile(tx.trust.path)
	if err != nil || json.Unmarshal(text, &in) != nil {
		in = remembered{Version: -1}
	}
	if in.Version == version {
		return nil
	}
	if in.Version < version {
		tx.trust.changed = true
		tx.saveTrust()
		return nil
	}
	if err := tx.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = tx.takeTrust(in)
	if err == nil {
		err = tx.commitStamped()
	}
	if err != nil {
		return errors.Join(err, tx.exec("ROLLBACK"))
	}
	tx.trust.changed = false
	tx.trust.restored = len(in.Pins) + len(in.Approvals) + len(in.Settings)
	return nil
}

// Kept returns a value stored by Keep, or the empty string.
func (tx *Tx) Kept(key string) (string, error) { return tx.Setting(keptPrefix + key) }

// Keep stores a value that outlives the ledger, as pins and approvals do.
func (tx *Tx) Keep(key, value string) error {
	tx.trust.changed = true
	return tx.Set(keptPrefix+key, value)
}

// takeTrust replaces the pins, approvals and kept settings of the ledger.
func (tx *Tx) takeTrust(in remembered) error {
	for _, query := range []string{"DELETE FROM pin", "DELETE FROM approval",
		"DELETE FROM setting WHERE key > '" + keptPrefix + "' AND key < '" + keptPrefix + "\x7f'"} {
		if err := tx.exec(query); err != nil {
			return err
		}
	}
	for _, p := range in.Pins {
		if err := tx.SetPin(Pin{Site: p.Site, Identity: p.Identity, RecipientKey: p.RecipientKey,
			Version: p.Version, Statement: p.Statement, Seen: p.Seen,
			Compared: p.Compared}); err != nil {
			return err
		}
	}
	for address, sites := range in.Approvals {
		if err := tx.Approve(address, sites); err != nil {
			return err
		}
	}
	for key, value := range in.Settings {
		if err := tx.Keep(key, value); err != nil {
			return err
		}
	}
	return tx.Set(trustVersion, strconv.FormatInt(in.Version, 10))
}

// Recalled returns the number of pins and approvals that Open has put back into a lost or older
// ledger.
func (l *Ledger) Recalled() int { return l.recalled }

func newTrust(ledger string) *trust {
	return &trust{path: filepath.Join(filepath.Dir(ledger), TrustFile)}
}
