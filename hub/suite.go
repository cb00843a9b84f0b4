package hub

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"sealpost/config"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/statement"
)

// suiteFile, in the state folder, holds the suite with which the network was made.
const suiteFile = "suite"

// MadeWith returns the suite with which a network was made, or "" for an older hub without that
// file.
func MadeWith(state string) (string, error) {
	text, err := secretfile.Read(filepath.Join(state, suiteFile), 100)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// CheckSuite returns an error if hub.toml has another suite than the network was made with. Sites
// that have joined would refuse each other's keys.
func CheckSuite(state, suite string) error {
	made, err := MadeWith(state)
	if err != nil || made == "" || made == suite {
		return err
	}
	return reason.Err("hub-suite-changed", "suite", suite, "made", made)
}

func noteSuite(state, suite string) error {
	return secretfile.Write(filepath.Join(state, suiteFile), []byte(suite+"\n"))
}

// keepSuite refuses a changed suite. An older hub without the file compares it with the keys of its
// sites, and makes the file.
func (h *Hub) keepSuite() error {
	made, err := MadeWith(h.config.State)
	if err != nil {
		return err
	}
	if made != "" {
		return CheckSuite(h.config.State, h.config.Suite)
	}
	for _, s := range h.dir.view().sites {
		signed, err := statement.Open[statement.RecipientKey](s.Statement, h.verifier, h.now())
		if err != nil {
			continue // no statement, or one whose certificate has ended
		}
		made = config.SuiteX25519
		if strings.HasPrefix(signed.Payload.Recipient, hybridPrefix) {
			made = config.SuiteHybrid
		}
		if made != h.config.Suite {
			return reason.Err("hub-suite-changed", "suite", h.config.Suite, "made", made)
		}
	}
	return noteSuite(h.config.State, h.config.Suite)
}
