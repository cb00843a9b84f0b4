package outbox

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"sealpost/agent/ledger"
	"sealpost/envelope"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/internal/progress"
	"sealpost/internal/reason"
)

// Standing is the state of the messages of a tray, or of the whole site.
type Standing struct {
	// Counts has the messages that are not final, by their states.
	Counts map[ledger.State]int64 `json:"counts"`
	// Settling counts the entries of outbox/ that are taken once they have settled.
	Settling int64 `json:"settling,omitempty"`
	// Unmarked counts the entries of outbox/ that wait for their markers.
	Unmarked Unmarked `json:"unmarked,omitzero"`
	// OwnDisks has those of outbox/ and its folders that are on another disk than sending/.
	OwnDisks []string `json:"own_disks,omitempty"`
	// Queued has the messages that the hub does not have yet, by address.
	Queued map[string]int64 `json:"queued"`
	// Copies has the claimed messages that are copied, or wait for it, from disks of their own.
	Copies []Copy `json:"copies,omitempty"`
	// Blocked has the addresses to which nothing is sent for now.
	Blocked map[string]reason.Reason `json:"blocked"`
	// NotTaken has the entries of outbox/ that are left alone, at most 100 of a tray. A byte of a
	// name that is not UTF-8 is \xXX.
	NotTaken map[string]reason.Reason `json:"not_taken"`
	// Unwatched is the reason that the system does not report new files, so that they are found
	// late.
	Unwatched reason.Reason `json:"unwatched,omitzero"`
	// Explained has messages that wait for a reason of their own.
	Explained []Message `json:"explained"`
	// Uploads has the large envelopes under way.
	Uploads []Upload `json:"uploads"`
	// Waiting has messages at the hub that a recipient has not answered, oldest first.
	Waiting []Message `json:"waiting"`
	// Doubted has messages with a receipt that is not believed, oldest first.
	Doubted []Message `json:"doubted,omitempty"`
	// Delivered and Failed have the messages that ended last, newest first.
	Delivered []Message `json:"delivered"`
	Failed    []Message `json:"failed"`
}

// Status is the state of the sending side of a site, for users and machines.
type Status struct {
	// of all trays; where there are several, not_taken has the tray before the name
	Standing
	Latest []Message    `json:"latest"` // the messages claimed last, newest first
	Trays  []TrayStatus `json:"trays"`  // each by itself
	// trays with unfinished messages that agent.toml no longer has
	Away []Away `json:"away,omitempty"`
}

// TrayStatus is the state of one tray and its messages.
type TrayStatus struct {
	Name  string `json:"name"`
	Dir   string `json:"dir"`
	Route string `json:"route"`
	Kind  string `json:"kind"`
	// how long each message waits so that it can be recalled
	Hold time.Duration `json:"hold_ns,omitempty"`
	Standing

	unmoved int64 // claimed messages that cannot be moved out of outbox/: they are in not_taken
}

// few bounds the lists of the status whose length the caller does not choose.
const few = 10

// Copy is the progress of a copy from a disk of its own to that of sending/.
type Copy struct {
	Message id.Message `json:"message_id"`
	Name    string     `json:"name"` // in outbox/, as in NotTaken
	Done    int64      `json:"done_bytes"`
	Size    int64      `json:"size_bytes"`
	// Reason is why a file that is set aside cannot be copied just now.
	Reason reason.Reason `json:"reason,omitzero"`
}

// Path returns the exact name.
func (c Copy) Path() string { return nameOfKey(c.Name) }

// Progress returns the copied part for users.
func (c Copy) Progress() reason.Reason {
	return reason.New("copied-so-far", "done", reason.Size(c.Done), "size", reason.Size(c.Size))
}

// Says returns the stage for users, with the progress or without.
func (c Copy) Says(progress reason.Reason) reason.Reason {
	return cmp.Or(c.Reason, reason.New("is-copied", "progress", progress))
}

// Upload is the progress of a large envelope.
type Upload struct {
	Envelope id.Envelope `json:"envelope_id"`
	Message  id.Message  `json:"message_id"`
	Name     string      `json:"name"`
	Address  string      `json:"address"`
	Done     int64       `json:"done_bytes"`
	Size     int64       `json:"size_bytes"`
	// of the last seconds; 0: it stands still, or has only begun
	Rate int64 `json:"bytes_per_second"`
	Left int64 `json:"seconds_left"` // at that rate; 0: unknown
	// Sealed reports whether all of it is encrypted.
	Sealed bool `json:"sealed"`
}

// Status returns how the trays stand, with the latest messages.
func (o *Outbox) Status(ctx context.Context, latest int) (Status, error) {
	s := Status{Standing: newStanding()}
	for _, t := range o.trays {
		s.Trays = append(s.Trays, t.standing())
	}
	blocked := o.blocked(ctx)
	s.Blocked = blocked.addresses
	measured := o.measured(ctx)
	err := o.view(ctx, func(tx *ledger.Tx) error {
		err := errors.Join(s.count(tx), s.readUploads(tx, measured))
		for i := range s.Trays {
			err = errors.Join(err, s.Trays[i].read(tx))
		}
		list, failed := tx.Latest(latest)
		if failed == nil {
			s.Latest, failed = describeAll(tx, list)
		}
		return errors.Join(err, failed)
	})
	for i := range s.Trays {
		o.expiring(s.Trays[i].Waiting)
	}
	o.expiring(s.Latest)
	for i, m := range s.Latest {
		s.Latest[i].Reason = cmp.Or(m.Reason, blocked.of(m))
	}
	s.add()
	if err == nil {
		err = o.addHolds(ctx, s.waitingLists()...)
	}
	return s, err
}

// standing returns the part of a tray's state that the ledger does not have.
func (t *box) standing() TrayStatus {
	s := TrayStatus{Name: t.Name, Dir: t.Dir, Route: t.Address.String(), Kind: t.Kind,
		Hold: t.Hold, Standing: newStanding()}
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, why := range t.notes {
		s.NotTaken[keyOf(name)] = why
	}
	for rel, why := range t.unmoved {
		if t.copies[rel] == nil {
			addNote(s.NotTaken, keyOf(rel), why)
			s.unmoved++
		}
	}
	for rel, c := range t.copies {
		one := Copy{Message: c.message, Name: keyOf(rel), Size: c.size, Reason: c.why}
		if c.done != nil {
			one.Done = c.done.Load()
		}
		s.Copies = append(s.Copies, one)
		delete(s.NotTaken, keyOf(rel)) // a note of the sweep before
	}
	slices.SortFunc(s.Copies, func(a, b Copy) int { return cmp.Compare(a.Message, b.Message) })
	s.OwnDisks, s.Unwatched = t.disks.own(), t.whyLate
	s.Settling, s.Unmarked = t.settling, t.needed(t.unmarked)
	if t.silent.Load() {
		s.NotTaken[t.Dir] = reason.Of(errSilent)
	}
	return s
}

// addHolds adds the reasons of their wait to messages at the hub.
func (o *Outbox) addHolds(ctx context.Context, lists ...[]Message) error {
	shutOut, err := o.trust.ShutOut(ctx)
	for _, list := range lists {
		for i := range list {
			o.held.add(&list[i])
			for j := range list[i].Recipients {
				r := &list[i].Recipients[j]
				if at := shutOut[r.Site]; r.Outcome == "" {
					r.ShutOut, r.Roster = at.Ground, at.Roster
				}
			}
		}
	}
	return err
}

// waitingLists returns the lists with messages that may wait at the hub.
func (s *Status) waitingLists() [][]Message {
	lists := [][]Message{s.Waiting, s.Latest}
	for _, t := range s.Trays {
		lists = append(lists, t.Waiting)
	}
	return lists
}

func newStanding() Standing {
	return Standing{Counts: map[ledger.State]int64{}, Queued: map[string]int64{},
		Blocked: map[string]reason.Reason{}, NotTaken: map[string]reason.Reason{}}
}

func (s *Status) tray(name string) *TrayStatus {
	i := slices.IndexFunc(s.Trays, func(t TrayStatus) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Trays[i]
}

// count fills in the numbers of messages of each tray, and of the trays that are away.
func (s *Status) count(tx *ledger.Tx) error {
	backlogs, err := tx.Backlogs()
	if err != nil {
		return err
	}
	for _, b := range backlogs {
		s.Counts[b.State] += b.Count
		queued := b.State == ledger.Taken || b.State == ledger.Sealed
		if queued {
			s.Queued[b.Address] += b.Count
		}
		if t := s.tray(b.Tray); t != nil {
			t.Counts[b.State] += b.Count
			if queued {
				t.Queued[b.Address] += b.Count
			}
		}
	}
	maps.DeleteFunc(s.Blocked, func(address string, _ reason.Reason) bool {
		return s.Queued[address] == 0 // the last of them was recalled
	})
	for i := range s.Trays {
		t := &s.Trays[i]
		t.lessUnmoved(s.Counts)
		for address, why := range s.Blocked {
			if t.Queued[address] > 0 {
				t.Blocked[address] = why
			}
		}
	}
	s.Away, err = awayTrays(tx, backlogs, func(name string) bool { return s.tray(name) != nil })
	return err
}

// lessUnmoved subtracts claimed messages that cannot be moved from the counts of the tray and the
// site. NotTaken has them instead.
func (t *TrayStatus) lessUnmoved(all map[ledger.State]int64) {
	less := min(t.unmoved, t.Counts[ledger.Claimed])
	for _, counts := range []map[ledger.State]int64{t.Counts, all} {
		if counts[ledger.Claimed] -= less; counts[ledger.Claimed] == 0 {
			delete(counts, ledger.Claimed)
		}
	}
}

// readUploads lists the large envelopes under way, and gives each to its tray. Those that nothing
// moves yet after a restart have the progress of the ledger.
func (s *Status) readUploads(tx *ledger.Tx, measured map[id.Envelope]progress.State) error {
	streams, err := tx.Streams()
	for _, e := range streams {
		list, err := tx.InEnvelope(e.Envelope)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			continue
		}
		now, isMeasured := measured[e.Envelope]
		if !isMeasured {
			now.Done = min(int64(e.Segments)*envelope.SegmentParts*api.PartSize, e.Size)
		}
		u := Upload{Envelope: e.Envelope, Message: list[0].ID, Name: list[0].Name,
			Address: list[0].Address, Done: now.Done, Size: e.Size, Rate: now.Rate,
			Left: int64(now.Left.Seconds()), Sealed: e.IsSealed}
		s.Uploads = append(s.Uploads, u)
		if t := s.tray(list[0].Tray); t != nil {
			t.Uploads = append(t.Uploads, u)
		}
	}
	return err
}

// OnTheWay counts the messages that are encrypted on their way to the hub. Their state is sealed.
func (s Standing) OnTheWay() (n int64) {
	for _, u := range s.Uploads {
		if !u.Sealed {
			n++
		}
	}
	return n
}

// read fills in the lists of a tray's messages.
func (t *TrayStatus) read(tx *ledger.Tx) error {
	for _, part := range []struct {
		into *[]Message
		list func() ([]ledger.Outgoing, error)
	}{
		{&t.Explained, func() ([]ledger.Outgoing, error) { return tx.Explained(t.Name, few) }},
		{&t.Waiting, func() ([]ledger.Outgoing, error) { return t.waiting(tx) }},
		{&t.Doubted, func() ([]ledger.Outgoing, error) { return tx.InDoubt(t.Name, few) }},
		{&t.Delivered, func() ([]ledger.Outgoing, error) {
			return tx.LatestFinal(t.Name, ledger.Delivered, few)
		}},
		{&t.Failed, func() ([]ledger.Outgoing, error) {
			return tx.LatestFinal(t.Name, ledger.Failed, few)
		}},
	} {
		list, err := part.list()
		if err == nil {
			*part.into, err = describeAll(tx, list)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add joins the trays' lists to those of the site.
func (s *Status) add() {
	for _, t := range s.Trays {
		for name, why := range t.NotTaken {
			if len(s.Trays) > 1 {
				name = t.Name + ": " + name
			}
			s.NotTaken[name] = why
		}
		s.Unwatched = cmp.Or(s.Unwatched, t.Unwatched)
		s.Settling += t.Settling
		s.OwnDisks, s.Copies = append(s.OwnDisks, t.OwnDisks...), append(s.Copies, t.Copies...)
		s.Unmarked = Unmarked{s.Unmarked.Count + t.Unmarked.Count,
			cmp.Or(s.Unmarked.Name, t.Unmarked.Name), cmp.Or(s.Unmarked.Marker, t.Unmarked.Marker)}
		s.Explained = append(s.Explained, t.Explained...)
		s.Waiting = append(s.Waiting, t.Waiting...)
		s.Doubted = append(s.Doubted, t.Doubted...)
		s.Delivered = append(s.Delivered, t.Delivered...)
		s.Failed = append(s.Failed, t.Failed...)
	}
	for _, list := range []*[]Message{&s.Explained, &s.Waiting, &s.Doubted} {
		slices.SortStableFunc(*list, func(a, b Message) int { return a.Claimed.Compare(b.Claimed) })
	}
	for _, list := range []*[]Message{&s.Delivered, &s.Failed} {
		slices.SortStableFunc(*list, func(a, b Message) int {
			return b.Finished.Compare(a.Finished)
		})
	}
	for _, list := range []*[]Message{&s.Explained, &s.Waiting, &s.Doubted, &s.Delivered,
		&s.Failed} {
		*list = (*list)[:min(few, len(*list))]
	}
}
