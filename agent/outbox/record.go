package outbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// Record is a message with the data that only this site and its recipients know. With them and the
// content, an auditor can compute the fingerprint in a receipt.
type Record struct {
	Message
	FingerprintKey string  `json:"fingerprint_key"` // 32 bytes in hexadecimal
	Digest         id.Hash `json:"digest"`          // of the entries; empty: not sealed yet
	Place          string  `json:"place"`           // of the content, unless a user has removed it
}

// Record returns one message by its message id or uid; ledger.ErrNotFound when there is none.
func (o *Outbox) Record(ctx context.Context, name string) (r Record, err error) {
	err = o.ledger.View(ctx, func(tx *ledger.Tx) error {
		row, err := tx.Message(name)
		if err != nil {
			return err
		}
		r = Record{FingerprintKey: hex.EncodeToString(row.FingerprintKey[:]), Digest: row.Digest}
		r.Place = o.whereabouts(row)
		r.Message, err = describe(tx, row)
		return err
	})
	return r, err
}

// whereabouts returns the path of a message's content, or its expected path. It is empty if
// agent.toml no longer has the tray.
func (o *Outbox) whereabouts(m ledger.Outgoing) (place string) {
	t := o.tray(m.Tray)
	if t == nil {
		return ""
	}
	h, err := t.open()
	if err == nil {
		defer h.Close()
	}
	failed, delivered := m, m
	failed.State, delivered.State = ledger.Failed, ledger.Delivered
	for _, folder := range []string{folderAt(m), placeAt(failed), placeAt(delivered)} {
		place = in(t.Dir, filepath.FromSlash(folder+"/"+m.Name))
		if h != nil && h.Exists(folder+"/"+m.Name) {
			break
		}
	}
	return place
}

// WriteEntries writes the entries of FORMAT.md for the file or folder at place, sent under name.
// Their SHA-256 is the message's digest if nothing has changed since. The paths of a folder are
// held in memory.
func WriteEntries(w io.Writer, place, name string) error {
	place, err := filepath.Abs(place)
	if err != nil {
		return err
	}
	d, err := beneath.Open(filepath.Dir(place))
	if err != nil {
		return err
	}
	defer d.Close()
	return writeEntries(w, d, filepath.Base(place), name)
}

func writeEntries(w io.Writer, d *beneath.Dir, base, name string) error {
	type found struct {
		path string
		info beneath.Info
		sum  [sha256.Size]byte
	}
	var list []found
	visit := func(d *beneath.Dir, rel string, info beneath.Info) (err error) {
		f := found{path: path.Join(name, rel), info: info}
		if !info.IsDir() {
			f.sum, err = sumFile(d, info.Name)
		}
		list = append(list, f)
		return err
	}
	info, err := d.Lstat(base)
	switch {
	case err != nil:
	case info.IsDir():
		err = tray.Walk(d, base, visit)
	default:
		err = visit(d, "", info)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b found) int { return strings.Compare(a.path, b.path) })
	for _, f := range list {
		source := sourceOf(f.info)
		line := envelope.AppendEntry(nil, f.path, f.info.IsDir(), source.Executable,
			time.Unix(0, source.ModTime), f.info.Size, f.sum)
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func sumFile(d *beneath.Dir, name string) (sum [sha256.Size]byte, err error) {
	f, _, err := d.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}
