package inbox

import (
	"context"
	"errors"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
	"sealpost/statement"
)

// plan decides whether to place each message, or it is known, or refused for a reused identity.
func (b *Inbox) plan(ctx context.Context, f *folders,
	group []*delivery) (list []*placement, err error) {
	type identity struct {
		sender id.Site
		uid    id.UID
	}
	seen := map[identity]id.Hash{}
	err = b.ledger.View(ctx, func(tx *ledger.Tx) error {
		for _, d := range group {
			rows, err := receivedRows(tx, d)
			if err != nil {
				return err
			}
			old, err := tx.Known(d.Sender, uids(d))
			if err != nil {
				return err
			}
			for _, m := range d.messages {
				p := &placement{isFile: m.Type == envelope.TypeFile, isSynced: m.isSynced,
					sha256: m.SHA256, signer: d.signer, Received: ledger.Received{
						Sender: d.Sender, UID: m.UID, ID: m.ID, Envelope: d.Envelope, Name: m.Name,
						Digest: m.Digest, Fingerprint: m.Fingerprint, Size: m.Size, Sent: m.Sent,
						Temp: joinTemp(d.dir, m.temp),
						Time: time.Now().UTC().Truncate(time.Millisecond),
					}, from: d.dir, item: m.temp, former: d.former[m.UID]}
				digest, known := seen[identity{d.Sender, m.UID}]
				if mark, isOld := old[m.UID]; isOld && !known {
					if known = true; mark.IsOf(m.Digest) {
						digest = m.Digest
					}
				}
				if !known {
					if digest, known, err = f.findEarlier(rows, p); err != nil {
						f.fail(p, err)
					}
				}
				switch {
				case known && digest != m.Digest:
					p.code = statement.CodeUIDReused
				case known:
					p.isKnown = true
				case m.refused != nil:
					p.refuse(m.refused)
				default:
					seen[identity{d.Sender, m.UID}] = m.Digest
				}
				list = append(list, p)
			}
		}
		return nil
	})
	return list, err
}

// isNever reports whether a disk can never take an entry as it is. It is too large, or its name is
// refused. All other errors may heal.
func isNever(err error) bool {
	return trouble.IsTooLarge(err) || trouble.IsNameRefused(err) || errors.Is(err, errNeverFits)
}

// refuse refuses a message that this disk can never take. The codes are those of the format, known
// to every hub and lab.
func (p *placement) refuse(err error) {
	p.code, p.never = statement.CodeNameUnusable, err
	if trouble.IsTooLarge(err) || errors.Is(err, errNeverFits) {
		p.code = statement.CodeTooLarge
	}
}

// receivedRows returns the ledger's rows of a delivery's messages, by identity.
func receivedRows(tx *ledger.Tx, d *delivery) (map[id.UID]ledger.Received, error) {
	list, err := tx.ReceivedOf(d.Sender, uids(d))
	rows := make(map[id.UID]ledger.Received, len(list))
	for _, r := range list {
		rows[r.UID] = r
	}
	return rows, err
}

// errHalfPlaced means that the message is half placed from another envelope.
var errHalfPlaced = reason.Err("half-placed")

// findEarlier returns the digest of the message placed under the same identity, from the ledger or
// the records.
func (f *folders) findEarlier(rows map[id.UID]ledger.Received,
	p *placement) (digest id.Hash, known bool, err error) {
	if row, known := rows[p.UID]; known {
		if !row.Placed && p.former == "" {
			// another envelope with it stopped half way after this one was opened
			return row.Digest, false, errHalfPlaced
		}
		return row.Digest, row.Placed || row.Digest != p.Digest, nil
	}
	r, known, err := f.findRecord(p.Sender, p.ID, p.UID)
	if known && r.Content.Digest == p.Digest {
		p.earlier = &r
	}
	return r.Content.Digest, known, err
}
