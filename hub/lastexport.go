package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/secretfile"
	"sealpost/internal/strictjson"
)

// exportedFile, in the state folder, holds the time and the digest of the last export.
const exportedFile = "exported.json"

// LastExport compares the last export with the present directory.
type LastExport struct {
	Made    time.Time `json:"made,omitzero"` // zero: never
	Changed bool      `json:"changed"`       // an export of now would differ
}

type exportedNote struct {
	Made   time.Time `json:"made"`
	Digest id.Hash   `json:"digest"` // of the text without its time
}

// digest returns the SHA-256 of the text without its time.
func (e export) digest() (id.Hash, error) {
	e.Made = time.Time{}
	text, err := e.text()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return id.Hash(hex.EncodeToString(sum[:])), nil
}

func (h *Hub) noteExport(e export) error {
	digest, err := e.digest()
	if err != nil {
		return err
	}
	text, err := strictjson.Marshal(exportedNote{Made: e.Made, Digest: digest})
	if err != nil {
		return err
	}
	return secretfile.Write(filepath.Join(h.config.State, exportedFile), text)
}

// lastExport reports whether a new hub that is restored now would be as this one. An empty network
// needs no export.
func (h *Hub) lastExport(context.Context, Nothing) (LastExport, error) {
	now := h.directoryNow()
	digest, err := now.digest()
	if err != nil {
		return LastExport{}, err
	}
	text, err := secretfile.Read(filepath.Join(h.config.State, exportedFile), 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return LastExport{Changed: len(now.Site)+len(now.Queue) > 0}, nil
	}
	if err != nil {
		return LastExport{}, err
	}
	var note exportedNote
	if err := strictjson.Unmarshal(text, &note); err != nil {
		return LastExport{Changed: true}, nil // damaged, and the next export replaces it
	}
	return LastExport{Made: note.Made, Changed: note.Digest != digest}, nil
}
