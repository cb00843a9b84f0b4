package outbox

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/tray"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	// addressNote is a file beside a message under way with its address. Otherwise the ledger alone
	// would know the address.
	addressNote = ".sealpost-address"
	maxAddress  = 4096
)

// adopt adopts the messages in sending/ that a lost or restored ledger does not know. Each gets its
// former identity, so that recipients that have it only sign a receipt again.
func (t *box) adopt(ctx context.Context) error {
	h, err := t.open()
	if err != nil {
		return nil // the sweep reports it
	}
	defer h.Close()
	if err := t.findDelivered(ctx, h); err != nil {
		return err
	}
	dir, err := h.Dir(tray.SendingPart)
	if err != nil {
		return nil
	}
	strange := map[string]reason.Reason{}
	var failed error
	dir.Each(func(entries []fs.DirEntry) error { //nolint:errcheck // the sweep reports it
		failed = t.adoptAll(ctx, h, entries, strange)
		return errors.Join(failed, ctx.Err())
	})
	if failed != nil {
		return failed
	}
	for name, why := range strange {
		t.tellAlone(name, why)
	}
	return nil
}

// adoptAll writes the rows of unknown messages, in one commit.
func (t *box) adoptAll(ctx context.Context, h *handles, entries []fs.DirEntry,
	strange map[string]reason.Reason) error {
	unknown, err := t.strangers(ctx, entries)
	if err != nil || len(unknown) == 0 {
		return err
	}
	var list []ledger.Outgoing
	for _, name := range unknown {
		claimed, err := h.describeClaims(ctx, name)
		h.Relax()
		if errors.Is(err, errLedger) {
			return err
		}
		list = append(list, claimed...)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && len(strange) < maxNotes {
			strange[tray.SendingPart+"/"+name] = tray.Plain(err)
		}
	}
	return t.ledger.Update(ctx, func(tx *ledger.Tx) error {
		for i := range list {
			if !tx.CanBeOurs(list[i]) { // or later messages would get numbers above its own
				if len(strange) < maxNotes {
					strange[folderAt(list[i])] = reason.Of(tray.ErrStrange)
				}
				continue
			}
			added, err := tx.Adopt(&list[i])
			if errors.Is(err, ledger.ErrForgotten) {
				if len(strange) < maxNotes {
					strange[folderAt(list[i])] = reason.Of(tray.ErrStrange)
				}
				continue
			}
			if err != nil {
				return err
			}
			if added {
				t.log.Warn("taken up again", "message", list[i].ID, "uid", list[i].UID, "reason",
					"the ledger did not know of it")
			}
		}
		return nil
	})
}

// strangers lists the entries that the ledger does not know. A shared folder is always listed: its
// messages are looked up when its note is read.
func (t *box) strangers(ctx context.Context, entries []fs.DirEntry) (names []string, err error) {
	err = t.o.view(ctx, func(tx *ledger.Tx) error {
		names = nil
		for _, e := range entries {
			if tray.NatureOf(e.Name()) == tray.Litter {
				continue
			}
			_, err := tx.Message(e.Name())
			if errors.Is(err, ledger.ErrNotFound) {
				names = append(names, e.Name())
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	return names, err
}

// describeClaims rebuilds the rows of the messages in a folder of sending/.
func (h *handles) describeClaims(ctx context.Context, folder string) ([]ledger.Outgoing, error) {
	if _, _, _, _, err := id.ParseGroup(folder); err == nil {
		return h.strangersIn(ctx, folder)
	}
	m, err := h.describeClaim(ctx, folder)
	if err != nil {
		return nil, err
	}
	return []ledger.Outgoing{m}, nil
}

// describeClaim rebuilds the row of a message with a folder of its own. It removes an empty folder:
// the file is still in outbox/.
func (h *handles) describeClaim(ctx context.Context, folder string) (m ledger.Outgoing, err error) {
	message, site, err := id.ParseMessage(folder)
	if err != nil || site != h.t.o.site {
		return m, tray.ErrStrange
	}
	m = h.t.claimOf(message)
	if !isClaimable(m) {
		return m, tray.ErrStrange
	}
	if m.Name, err = h.onlyEntry(ctx, m); err != nil {
		return m, err
	}
	if m.Dir, m.Address, err = h.readAddress(m); err != nil {
		return m, err
	}
	if m.Source, m.Folder, err = h.adoptable(sourceAt(m)); err != nil {
		return m, err
	}
	h.t.o.identify(&m)
	return m, nil
}

// claimOf begins the row of a message that a lost ledger has claimed, from its message id.
func (t *box) claimOf(message id.Message) ledger.Outgoing {
	now := time.Now().UTC().Truncate(time.Millisecond)
	m := ledger.Outgoing{ID: message, Tray: t.Name, Claimed: now, Due: now.Add(t.Hold),
		Reason: reason.New(reason.LedgerLost)}
	parts := strings.Split(string(message), "_")
	m.Kind, m.Day = parts[1], parts[2]
	m.Number, _ = strconv.ParseInt(parts[3], 10, 64) //nolint:errcheck // at most 18 digits
	return m
}

// isClaimable reports whether a claim of this site can have given this day. Other accounts can make
// a folder of any name.
func isClaimable(m ledger.Outgoing) bool {
	day, err := time.Parse("20060102", m.Day)
	return err == nil && day.Before(time.Now().Add(24*time.Hour))
}

// onlyEntry returns the name of the only entry in a message's folder.
func (h *handles) onlyEntry(ctx context.Context, m ledger.Outgoing) (name string, err error) {
	dir, err := h.Dir(folderAt(m))
	if err != nil {
		return "", err
	}
	err = dir.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			switch {
			case e.Name() == addressNote:
			case name != "":
				return tray.ErrStrange
			default:
				name = e.Name()
			}
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if name == "" {
		h.emptied(ctx, m)
		return "", fs.ErrNotExist
	}
	return name, nil
}

// noteAddress writes the address of a message into its folder, if it is not the tray's own.
func (h *handles) noteAddress(m ledger.Outgoing) error {
	if m.Dir == "" {
		return nil
	}
	return h.WriteNote(folderAt(m)+"/"+addressNote, []byte(m.Dir+"\n"))
}

// forgetAddress removes the address note. An error leaves a small file behind, and does no other
// harm.
func (h *handles) forgetAddress(folder string) {
	h.Remove(folder + "/" + addressNote) //nolint:errcheck // see above
}

// readAddress returns the folder under outbox/ from which a message came, and its address.
func (h *handles) readAddress(m ledger.Outgoing) (dir, address string, err error) {
	text, err := h.ReadOwn(folderAt(m)+"/"+addressNote, maxAddress)
	if errors.Is(err, fs.ErrNotExist) {
		address, err = h.t.addressOf(".")
		return "", address, err
	}
	if err != nil {
		return "", "", err
	}
	dir = strings.TrimSuffix(string(text), "\n")
	// an empty note was cut off, and does not mean all sites
	if address, err = h.t.addressIn(dir); err != nil || dir == "" {
		return "", "", noteDamaged(addressNote)
	}
	return dir, address, nil
}

// addressIn returns the address in a note: that of files dropped into outbox/ or a folder in it.
func (t *box) addressIn(dir string) (string, error) {
	if dir == "" {
		return t.addressOf(".")
	}
	if !tray.IsAddress(dir) {
		return "", tray.ErrStrange
	}
	return t.addressOf(dir)
}

// reasonToKeep returns the part of a claim's reason that still applies once the message is queued.
func reasonToKeep(why reason.Reason) reason.Reason {
	if why.Code == reason.LedgerLost || why.Code == reason.LostByHub {
		return why
	}
	return reason.Reason{}
}
