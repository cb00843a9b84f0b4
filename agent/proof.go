package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/agent/outbox"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/strictjson"
)

// Proof is the evidence that a site has received a message. It holds the receipts and the input of
// the fingerprint: all that a third party needs.
type Proof struct {
	Record   outbox.Record `json:"record"`
	Sender   id.Site       `json:"sender"`
	Network  id.Hash       `json:"network"`
	Root     string        `json:"root"` // its certificate, PEM
	Receipts []Receipt     `json:"receipts"`
}

// provenMessage is message.json of a proof: the message as its envelopes describe it. Each receipt
// names its envelope.
type provenMessage struct {
	Network id.Hash    `json:"network"`
	Sender  id.Site    `json:"sender_id"`
	Message id.Message `json:"message_id"`
	UID     id.UID     `json:"uid"`
	Name    string     `json:"name"`
	// in hexadecimal, for the commands of the README
	FingerprintKey string  `json:"fingerprint_key"`
	Digest         id.Hash `json:"digest"`
}

//go:embed verify-a-receipt.md
var proofReadme []byte

// ErrContent means that the content at hand differs from the sent one.
var ErrContent = reason.Err("content-differs")

func (a *Agent) proof(ctx context.Context, in MessageRequest) (p Proof, err error) {
	r, err := a.receipts(ctx, in)
	if err != nil {
		return p, err
	}
	p = Proof{Sender: a.site, Network: a.network, Receipts: r.Receipts}
	p.Root = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE",
		Bytes: a.identity.Chain()[2].Raw}))
	p.Record, err = a.outbox.Record(ctx, string(r.Message.UID))
	return p, err
}

// Write makes the folder dir, which must be missing, with everything that a third party needs. It
// returns the sites whose receipts are in it. content is the file or folder that was sent, if it
// lies elsewhere than in the tray; it is read and not copied.
func (p Proof) Write(dir, content string) ([]id.Site, error) {
	if content == "" {
		content = p.Record.Place
	}
	var sites []id.Site
	for _, r := range p.Receipts {
		if r.Verified {
			sites = append(sites, r.Site)
		}
	}
	if len(sites) == 0 {
		return nil, reason.Err("not-verified-yet", "message", p.Record.ID)
	}
	var entries bytes.Buffer
	err := outbox.WriteEntries(&entries, content, p.Record.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, reason.Err("content-gone", "message", p.Record.ID, "place", content)
	}
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(entries.Bytes()); hex.EncodeToString(sum[:]) != string(
		p.Record.Digest) {
		return nil, reason.Err("content-is-other", "place", content,
			"message", p.Record.ID, "why", ErrContent)
	}
	return sites, p.write(dir, entries.Bytes())
}

func (p Proof) write(dir string, entries []byte) error {
	message, err := strictjson.Marshal(provenMessage{Network: p.Network,
		Sender: p.Sender, Message: p.Record.ID, UID: p.Record.UID, Name: p.Record.Name,
		FingerprintKey: p.Record.FingerprintKey, Digest: p.Record.Digest})
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	files := map[string][]byte{"README.md": proofReadme, "root.pem": []byte(p.Root),
		"message.json": message, "entries": entries}
	for _, r := range p.Receipts {
		if r.Verified {
			files[string(r.Site)+".jws"] = []byte(r.JWS)
		}
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
