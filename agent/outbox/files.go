package outbox

import (
	"os"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/internal/beneath"
)

// A folder that is finished fits into an envelope.
const (
	_ uint = tray.MaxPath - envelope.MaxPath
	_ uint = envelope.MaxPath - tray.MaxPath
	_ uint = tray.MaxDepth - envelope.MaxDepth
	_ uint = envelope.MaxDepth - tray.MaxDepth
	_ uint = tray.MaxEntries - envelope.MaxEntries
	_ uint = envelope.MaxEntries - tray.MaxEntries
)

// handles are folders of a tray, held open for one piece of work by one goroutine: see
// tray.Handles.
type handles struct {
	*tray.Handles
	t *box
}

// open opens the tray for one piece of work, which ends with Close.
func (t *box) open() (*handles, error) {
	if t.silent.Load() {
		return nil, errSilent
	}
	return t.openAny()
}

// openAny opens the tray even if it has not answered yet.
func (t *box) openAny() (*handles, error) {
	h, err := t.files.Open()
	if err != nil {
		return nil, err
	}
	return &handles{h, t}, nil
}

// The functions below are those of package tray with the sources of the ledger.

// sourceOf returns the source of a file for its claim.
func sourceOf(info beneath.Info) ledger.Source { return ledger.Source(tray.SourceOf(info)) }

// same reports whether two observations are of one unchanged source.
func same(a, b ledger.Source) bool { return tray.Same(tray.Source(a), tray.Source(b)) }

// openSource opens a claimed file for sealing, if it is the one that was claimed.
func openSource(d *beneath.Dir, name string, want ledger.Source) (*os.File, error) {
	return tray.OpenSource(d, name, tray.Source(want))
}

func (h *handles) finished(rel string, settle tray.Settling,
	now time.Time) (ledger.Source, bool, error) {
	source, folder, err := h.Finished(rel, settle, now)
	return ledger.Source(source), folder, err
}

func (h *handles) observe(rel string) (ledger.Source, error) {
	source, err := h.Observe(rel)
	return ledger.Source(source), err
}

func (h *handles) adoptable(rel string) (ledger.Source, bool, error) {
	source, folder, err := h.Adoptable(rel)
	return ledger.Source(source), folder, err
}

// changed identifies the entry in sending/ in the place of a claimed one, once it is finished.
func (h *handles) changed(m ledger.Outgoing, settle tray.Settling) (ledger.Source, error) {
	source, err := h.Changed(sourceAt(m), settle)
	return ledger.Source(source), err
}
