package outbox

import (
	"path/filepath"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// Tray is the folder whose parts show a person where each message stands.
type Tray struct{ Dir string }

// Outbox holds what is not yet taken.
func (t Tray) Outbox() string { return filepath.Join(t.Dir, "outbox") }

// Sending holds what is under way, in one folder per message id.
func (t Tray) Sending() string { return filepath.Join(t.Dir, "sending") }

// Delivered holds what every recipient has signed for.
func (t Tray) Delivered() string { return filepath.Join(t.Dir, "delivered") }

// Failed holds what did not reach everybody, each beside a WHY.txt.
func (t Tray) Failed() string { return filepath.Join(t.Dir, "failed") }

// Make makes the four folders where they are missing.
func (t Tray) Make() error {
	for _, dir := range []string{t.Outbox(), t.Sending(), t.Delivered(), t.Failed()} {
		if err := durable.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return nil
}

func (t Tray) dropped(m ledger.Outgoing) string {
	return filepath.Join(t.Outbox(), filepath.FromSlash(m.Dir), m.Name)
}

func (t Tray) folder(m ledger.Outgoing) string { return filepath.Join(t.Sending(), string(m.ID)) }
func (t Tray) source(m ledger.Outgoing) string { return filepath.Join(t.folder(m), m.Name) }

// used tells whether a folder of this message id is in the tray already, from a ledger that was lost.
func (t Tray) used(m id.Message) bool {
	for _, dir := range []string{t.Sending(), t.Delivered(), t.Failed()} {
		if exists(filepath.Join(dir, string(m))) {
			return true
		}
	}
	return false
}
