package ledger

import (
	"database/sql"
	"strconv"
	"time"

	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// Follow records that a claimed message has the rest of another one. Covers is the state of the
// other's content that is sent with it.
func (tx *Tx) Follow(m Outgoing) error {
	return tx.exec("UPDATE message SET follows = ?, follows_size = ?, follows_entries = ?, "+
		"follows_mtime = ? WHERE uid = ?", m.Follows, m.Covers.Size, m.Covers.Entries,
		m.Covers.ModTime, m.UID)
}

// byFollows finds messages that follow others. See byOpen.
const byFollows = "message INDEXED BY message_follows WHERE follows <> '' AND "

// FollowUps lists the messages that follow one, newest first, without withdrawn ones.
func (tx *Tx) FollowUps(of id.Message) ([]Outgoing, error) {
	return tx.outgoingFrom(byFollows+"follows = ? AND state <> 'withdrawn' ORDER BY seq DESC", of)
}

// newest is how many of the latest messages are looked through for those that were filed lately.
const newest = 20_000

// FiledSince lists messages of a tray that were moved to delivered/ since a time, or have a reason.
// It is for the start, since it looks through all folders that were ever sent. It returns at most
// limit folders, at most limit of the latest messages, and those with a later message that follows
// them.
func (tx *Tx) FiledSince(tray string, since time.Time, waits reason.Reason,
	limit int) (list []Outgoing, err error) {
	const (
		delivered = "state = 'delivered' AND filed = 1 AND tray = ? AND "
		recent    = "(filed_at > ? OR reason = ?) "
	)
	for _, from := range []string{
		"message INDEXED BY message_folders WHERE type = 'folder' AND " + delivered +
			recent + "ORDER BY filed_at DESC LIMIT ?",
		"message WHERE " + delivered + recent + "AND seq > (SELECT MAX(seq) FROM message) - " +
			strconv.Itoa(newest) + " ORDER BY seq DESC LIMIT ?",
		"message WHERE " + delivered + "message_id IN (SELECT follows FROM " + byFollows +
			"claimed > ? AND ? <> '') LIMIT ?",
	} {
		part, err := tx.outgoingFrom(from, tray, millis(since), stored(waits), limit)
		if err != nil {
			return nil, err
		}
		list = append(list, part...)
	}
	return list, nil
}

// Numbered lists messages by their places in the order of claims.
func (tx *Tx) Numbered(seqs []int64) ([]Outgoing, error) {
	return tx.outgoing("seq IN (SELECT value FROM json_each(?))", list(seqs))
}

// LatestNames visits the latest delivered messages, oldest first. It sets only Seq, Tray, Address
// and Name.
func (tx *Tx) LatestNames(limit int, visit func(Outgoing)) error {
	return tx.names("(SELECT seq, tray, address, name FROM message WHERE state = 'delivered' "+
		"AND filed = 1 ORDER BY seq DESC LIMIT ?) ORDER BY seq", limit, visit)
}

// OpenNames visits messages that are not final. It sets the same fields.
func (tx *Tx) OpenNames(limit int, visit func(Outgoing)) error {
	return tx.names(byOpen+"TRUE LIMIT ?", limit, visit)
}

func (tx *Tx) names(from string, limit int, visit func(Outgoing)) error {
	return tx.rows("SELECT seq, tray, address, name FROM "+from, []any{limit},
		func(rows *sql.Rows) error {
			var m Outgoing
			err := rows.Scan(&m.Seq, &m.Tray, &m.Address, &m.Name)
			visit(m)
			return err
		})
}

// NextTree returns the first message behind another, in the order of their identities, that has a
// list of entries. It returns "" if there is none.
func (tx *Tx) NextTree(after id.UID) (id.UID, error) {
	var next sql.NullString
	err := tx.row("SELECT MIN(uid) FROM tree WHERE uid > ?", []any{after}, &next)
	return id.UID(next.String), err
}

// TreeOf lists those entries of some messages that have one of these paths.
func (tx *Tx) TreeOf(messages []id.UID, paths []string) (entries []TreeEntry, err error) {
	err = tx.rows("SELECT path, dir, size, mtime FROM tree WHERE uid IN (SELECT value FROM "+
		"json_each(?)) AND path IN (SELECT value FROM json_each(?))",
		[]any{list(messages), list(paths)}, func(rows *sql.Rows) error {
			e := TreeEntry{Source: Source{Entries: 1}}
			err := rows.Scan(&e.Path, &e.Dir, &e.Source.Size, &e.Source.ModTime)
			entries = append(entries, e)
			return err
		})
	return entries, err
}
