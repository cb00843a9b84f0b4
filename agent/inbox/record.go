package inbox

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sealpost/envelope"
	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// recordSuffix ends the name of a message's record, also of the one that lies beside its content in the temporary folder.
const recordSuffix = ".json"

// Record is what a program at the site may want to know of a message that was placed: one JSON file each, in the inbox
// under .sealpost/<sender>/<message id>.json. It is written once. sealpost reads it only where its ledger does not know the
// message: see memory.go.
type Record struct {
	Message  id.Message    `json:"message_id"`
	UID      id.UID        `json:"uid"`
	Sender   id.Site       `json:"sender_id"`
	Sent     time.Time     `json:"sent_timestamp"`
	Content  RecordContent `json:"content"`
	Path     string        `json:"path"` // relative to the inbox, with slashes
	Received time.Time     `json:"received_time"`
	Signer   id.Hash       `json:"verified_signer"` // the fingerprint of the sender's identity key, pinned and verified
}

// RecordContent is what was sent.
type RecordContent struct {
	Name   string  `json:"name"`             // as the sender has it
	Type   string  `json:"type"`             // file or folder
	Size   int64   `json:"size"`             // bytes; of all files in a folder
	SHA256 id.Hash `json:"sha256,omitempty"` // of a file
	Digest id.Hash `json:"digest"`           // over the entries, as the sender signed it
}

// records is the folder of the records of one sender's messages.
func (b *Inbox) records(sender id.Site) string {
	return filepath.Join(b.cfg.Dir, ".sealpost", string(sender))
}

func (b *Inbox) record(p *placement) ([]byte, error) {
	kind := envelope.TypeFolder
	if p.file {
		kind = envelope.TypeFile
	}
	text, err := json.MarshalIndent(Record{
		Message: p.ID, UID: p.UID, Sender: p.Sender, Sent: p.Sent, Path: filepath.ToSlash(p.Path), Received: p.Time, Signer: p.signer,
		Content: RecordContent{Name: p.Name, Type: kind, Size: p.Size, SHA256: p.sha256, Digest: p.Digest},
	}, "", "  ")
	return append(text, '\n'), err
}

// writeRecord puts the record beside the content, to be synced with it.
func (b *Inbox) writeRecord(p *placement) error {
	text, err := b.record(p)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.cfg.Dir, p.Temp+recordSuffix), text, 0o644)
}

// correctRecord writes the record anew, because the place has changed. After a crash there is nothing to write it from,
// and it keeps the place that was chosen first.
func (b *Inbox) correctRecord(p *placement) error {
	if p.signer == "" {
		return nil
	}
	text, err := b.record(p)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(b.cfg.Dir, p.Temp+recordSuffix), text, 0o644)
}

// placeRecord moves the record to its place; one that is not beside the content any more was moved before. A message id is
// only a label: the record of another message with the same one stays.
func (b *Inbox) placeRecord(p *placement) error {
	temp := filepath.Join(b.cfg.Dir, p.Temp+recordSuffix)
	err := fs.ErrExist
	for _, name := range recordNames(p.ID, p.UID) {
		if errors.Is(err, fs.ErrExist) {
			err = durable.RenameNoReplace(temp, filepath.Join(b.records(p.Sender), name))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return localError{err}
	}
	return nil
}
