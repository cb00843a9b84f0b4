package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sealpost/internal/reason"
)

// steps make the schema, each from the one before. SQLite's user_version counts the steps of a
// ledger. A new ledger runs all of them, and one of a later version is refused. A released step
// never changes.
var steps = []string{tables, trays, order, groups, coded(), follows}

// tables are those of the first version. Hashes and identities are text in their wire form, times
// are milliseconds, and sets are JSON.
const tables = `
CREATE TABLE message (               -- one row for each message that this site sends
  seq             INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of claims
  uid             TEXT    NOT NULL UNIQUE,
  message_id      TEXT    NOT NULL UNIQUE,
  kind            TEXT    NOT NULL,
  day             TEXT    NOT NULL,  -- YYYYMMDD, UTC
  number          INTEGER NOT NULL,
  name            TEXT    NOT NULL,
  type            TEXT    NOT NULL,  -- file folder
  fingerprint_key BLOB    NOT NULL,
  size            INTEGER NOT NULL,  -- with entries, mtime and file: the source's identity ` +
	`at the claim
  entries         INTEGER NOT NULL,  -- 1 for a file; a folder's with itself
  mtime           INTEGER NOT NULL,  -- nanoseconds; the newest in a folder
  file            TEXT    NOT NULL,  -- device and inode, or volume and file id
  executable      INTEGER NOT NULL,
  address         TEXT    NOT NULL,
  dir             TEXT    NOT NULL,  -- the folder under outbox/ in which it was dropped; ` +
	`mostly empty
  claimed         INTEGER NOT NULL,
  due             INTEGER NOT NULL,  -- not sealed before: the tray's hold
  state           TEXT    NOT NULL,  -- claimed taken sealed published delivered failed withdrawn
  filed           INTEGER NOT NULL DEFAULT 0, -- the final rename is done
  envelope_id     TEXT    NOT NULL DEFAULT '',
  digest          TEXT    NOT NULL DEFAULT '',
  reason          TEXT    NOT NULL DEFAULT '', -- for people: why it waits, or why it failed
  finished        INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX message_number ON message (kind, day, number);
CREATE INDEX message_envelope ON message (envelope_id) WHERE envelope_id <> '';
CREATE INDEX message_open ON message (state, address, seq) ` +
	`WHERE state IN ('claimed','taken','sealed','published');
CREATE INDEX message_unfiled ON message (seq) WHERE filed = 0 AND state IN ('delivered','failed');

CREATE TABLE tree (                  -- what is in a folder, while it is being sealed: this ` +
	`is how its entries are sorted
  uid        TEXT    NOT NULL,
  path       TEXT    NOT NULL,       -- begins with the folder's name; slashes
  dir        INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  mtime      INTEGER NOT NULL,
  file       TEXT    NOT NULL,
  executable INTEGER NOT NULL,
  PRIMARY KEY (uid, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE envelope (              -- one row for each ciphertext that this site made
  envelope_id   TEXT    PRIMARY KEY,
  address       TEXT    NOT NULL,
  route_version TEXT    NOT NULL,
  size          INTEGER NOT NULL,
  crc32c        TEXT    NOT NULL,    -- JSON
  file          TEXT    NOT NULL,    -- its name under state/sealed; empty: it was in memory only
  state         TEXT    NOT NULL,    -- sealed published final dropped
  incarnation   TEXT    NOT NULL DEFAULT '',
  sequence      INTEGER NOT NULL DEFAULT 0,
  sealed        INTEGER NOT NULL,
  published     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX envelope_open ON envelope (state, envelope_id) WHERE state IN ('sealed','published');

CREATE TABLE recipient (             -- one row for each recipient of an envelope
  envelope_id TEXT    NOT NULL REFERENCES envelope,
  site        TEXT    NOT NULL,
  key         TEXT    NOT NULL,      -- SHA-256 of the recipient string it was sealed for
  receipt     TEXT    NOT NULL DEFAULT '',
  believed    INTEGER NOT NULL DEFAULT 0,
  doubt       TEXT    NOT NULL DEFAULT '', -- why it is not believed
  time        INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (envelope_id, site)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_doubt ON recipient (site) WHERE doubt <> '';

CREATE TABLE outcome (               -- what became of a message at a recipient, as far as it ` +
	`does not follow from that recipient of its envelope
  uid     TEXT    NOT NULL,
  site    TEXT    NOT NULL,
  outcome TEXT    NOT NULL,          -- delivered refused dead
  code    TEXT    NOT NULL,
  time    INTEGER NOT NULL,
  PRIMARY KEY (uid, site)
) STRICT, WITHOUT ROWID;

CREATE TABLE delivery (              -- one row for each envelope that this site has leased
  envelope_id TEXT    PRIMARY KEY,
  sender      TEXT    NOT NULL,
  attempts    INTEGER NOT NULL,
  receipt     TEXT    NOT NULL DEFAULT '', -- signed once, when every message is final
  target      TEXT    NOT NULL DEFAULT '', -- the delivery to settle, JSON; empty: nothing to settle
  detail      TEXT    NOT NULL DEFAULT '', -- of a refusal; it never leaves this site
  time        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_unsettled ON delivery (envelope_id) WHERE target <> '';

CREATE TABLE received (              -- one row for each message that this site has placed, ` +
	`or is placing
  sender      TEXT    NOT NULL,
  uid         TEXT    NOT NULL,
  message_id  TEXT    NOT NULL,
  envelope_id TEXT    NOT NULL,
  name        TEXT    NOT NULL,      -- as the sender has it
  digest      TEXT    NOT NULL,
  fingerprint TEXT    NOT NULL,
  size        INTEGER NOT NULL,
  sent        INTEGER NOT NULL,
  temp        TEXT    NOT NULL,      -- both relative to the inbox
  path        TEXT    NOT NULL,
  state       TEXT    NOT NULL,      -- placing placed
  time        INTEGER NOT NULL,
  PRIMARY KEY (sender, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX received_placing ON received (sender, uid) WHERE state = 'placing';
CREATE INDEX received_message ON received (message_id);

CREATE TABLE pin (                   -- whom this site encrypts to and believes
  site          TEXT    PRIMARY KEY,
  identity      TEXT    NOT NULL,    -- SHA-256 of its identity public key
  recipient_key TEXT    NOT NULL,    -- empty until its statement was seen
  version       INTEGER NOT NULL,
  statement     TEXT    NOT NULL,    -- hash of the statement's payload, for the successor's prev
  seen          INTEGER NOT NULL,
  trouble       TEXT    NOT NULL DEFAULT '', -- what was offered instead of the pin, for people
  offered       TEXT    NOT NULL DEFAULT ''  -- the identity that was offered
) STRICT, WITHOUT ROWID;

CREATE TABLE approval (
  address TEXT PRIMARY KEY,
  sites   TEXT NOT NULL              -- JSON, sorted; "route": the first complete proposal
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`

// trays adds the name of its tray to each message. Before there was one tray, outbox.
const trays = `
ALTER TABLE message ADD COLUMN tray TEXT NOT NULL DEFAULT 'outbox';
DROP INDEX message_open;
CREATE INDEX message_open ON message (state, address, seq, tray) ` +
	`WHERE state IN ('claimed','taken','sealed','published');
DROP INDEX message_unfiled;
CREATE INDEX message_unfiled ON message (tray, seq) ` +
	`WHERE filed = 0 AND state IN ('delivered','failed');
DROP INDEX IF EXISTS message_final;
DROP INDEX IF EXISTS message_explained;
`

// order gives rows the order of their arrival. So a row is written after the last one, and not
// between existing ones, which was most of its cost. Receipts, of up to 48 KiB, are last in their
// rows and in no tree with key search: there SQLite reads a whole row to compare its key. The
// number of a message follows from its id.
const order = `
CREATE TABLE arrival (               -- one row for each message that this site has placed, ` +
	`or is placing
  seq         INTEGER PRIMARY KEY,   -- the order of arrival
  sender      TEXT    NOT NULL,
  uid         TEXT    NOT NULL,
  message_id  TEXT    NOT NULL,
  envelope_id TEXT    NOT NULL,
  name        TEXT    NOT NULL,      -- as the sender has it
  digest      TEXT    NOT NULL,
  fingerprint TEXT    NOT NULL,
  size        INTEGER NOT NULL,
  sent        INTEGER NOT NULL,
  temp        TEXT    NOT NULL,      -- both relative to the inbox
  path        TEXT    NOT NULL,
  state       TEXT    NOT NULL,      -- placing placed
  time        INTEGER NOT NULL
) STRICT;
INSERT INTO arrival (sender, uid, message_id, envelope_id, name, digest, fingerprint, size, ` +
	`sent, temp, path, state, time)
  SELECT sender, uid, message_id, envelope_id, name, digest, fingerprint, size, sent, temp, ` +
	`path, state, time FROM received ORDER BY time;
DROP TABLE received;
ALTER TABLE arrival RENAME TO received;
CREATE UNIQUE INDEX received_identity ON received (uid, sender);
CREATE INDEX received_placing ON received (seq) WHERE state = 'placing';
CREATE INDEX received_message ON received (message_id);
DROP INDEX message_number;

CREATE TABLE answering (             -- one row for each recipient of an envelope
  seq         INTEGER PRIMARY KEY,
  envelope_id TEXT    NOT NULL REFERENCES envelope,
  site        TEXT    NOT NULL,
  key         TEXT    NOT NULL,      -- SHA-256 of the recipient string it was sealed for
  believed    INTEGER NOT NULL DEFAULT 0,
  doubt       TEXT    NOT NULL DEFAULT '', -- why it is not believed
  time        INTEGER NOT NULL DEFAULT 0,
  receipt     TEXT    NOT NULL DEFAULT ''
) STRICT;
INSERT INTO answering (envelope_id, site, key, believed, doubt, time, receipt)
  SELECT envelope_id, site, key, believed, doubt, time, receipt FROM recipient;
DROP TABLE recipient;
ALTER TABLE answering RENAME TO recipient;
CREATE UNIQUE INDEX recipient_envelope ON recipient (envelope_id, site);
CREATE INDEX recipient_doubt ON recipient (site) WHERE doubt <> '';

CREATE TABLE leased (                -- one row for each envelope that this site has leased
  seq         INTEGER PRIMARY KEY,
  envelope_id TEXT    NOT NULL,
  sender      TEXT    NOT NULL,
  attempts    INTEGER NOT NULL,
  target      TEXT    NOT NULL DEFAULT '', -- the delivery to settle, JSON; empty: nothing to settle
  detail      TEXT    NOT NULL DEFAULT '', -- of a refusal; it never leaves this site
  time        INTEGER NOT NULL,
  receipt     TEXT    NOT NULL DEFAULT ''  -- signed once, when every message is final
) STRICT;
INSERT INTO leased (envelope_id, sender, attempts, target, detail, time, receipt)
  SELECT envelope_id, sender, attempts, target, detail, time, receipt FROM delivery ORDER BY time;
DROP TABLE delivery;
ALTER TABLE leased RENAME TO delivery;
CREATE UNIQUE INDEX delivery_envelope ON delivery (envelope_id);
CREATE INDEX delivery_unsettled ON delivery (envelope_id) WHERE target <> '';
`

// groups gives messages that were claimed together one folder in their tray.
const groups = `
ALTER TABLE message ADD COLUMN group_first INTEGER NOT NULL DEFAULT 0; -- the number of the ` +
	`first message in its folder, and
ALTER TABLE message ADD COLUMN group_last  INTEGER NOT NULL DEFAULT 0; -- of the last; 0: it ` +
	`has a folder of its own
`

// follows links a message to another one whose content was changed after it was sent.
const follows = `
-- The message id of the other one, and the state of its content that is sent with this one.
ALTER TABLE message ADD COLUMN follows         TEXT    NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN follows_size    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN follows_entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN follows_mtime   INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_follows ON message (follows, claimed) WHERE follows <> '';
-- When it was moved to its final folder; 0: unknown.
ALTER TABLE message ADD COLUMN filed_at        INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_folders ON message (tray, filed_at)
  WHERE state = 'delivered' AND type = 'folder';
`

// additions are later indexes, those for questions of users, and later tables. They are made where
// they are missing, also in a ledger of an earlier version. Earlier versions ignore them.
const additions = `
CREATE INDEX IF NOT EXISTS message_large ON message (address, seq) ` +
	`WHERE state = 'taken' AND (size > 786432 OR type = 'folder');
CREATE INDEX IF NOT EXISTS message_held ON message (due) WHERE state = 'taken' AND due > claimed;
CREATE INDEX IF NOT EXISTS message_ended ON message (tray, state, finished) ` +
	`WHERE state IN ('delivered','failed');
CREATE INDEX IF NOT EXISTS message_waiting ON message (tray, seq) ` +
	`WHERE reason <> '' AND state IN ('claimed','taken');
CREATE INDEX IF NOT EXISTS outcome_dead ON outcome (site) WHERE outcome = 'dead';
CREATE INDEX IF NOT EXISTS received_time ON received (time);
CREATE INDEX IF NOT EXISTS delivery_refused ON delivery (time) WHERE detail <> '';

-- The dropped envelopes of a message with a receipt of it.
CREATE TABLE IF NOT EXISTS earlier (
  uid         TEXT NOT NULL,
  envelope_id TEXT NOT NULL,
  PRIMARY KEY (uid, envelope_id)
) STRICT, WITHOUT ROWID;

-- The newest recipient key of a site after its first one, and when the hub showed it first.
CREATE TABLE IF NOT EXISTS rekeyed (
  site      TEXT    PRIMARY KEY,
  statement TEXT    NOT NULL,
  shown     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The key before the present one of a site, for which this site seals while it holds that one, and
-- until when an envelope that is sealed for it may be published.
CREATE TABLE IF NOT EXISTS overlap (
  site  TEXT    PRIMARY KEY,
  key   TEXT    NOT NULL,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When a user compared the fingerprint of a site's pinned identity; 0: never.
CREATE TABLE IF NOT EXISTS comparison (
  site     TEXT    PRIMARY KEY,
  identity TEXT    NOT NULL,         -- an earlier version changes the pin alone
  compared INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS earlier_envelope ON earlier (envelope_id);

-- For the deletion of old rows: see forget.go.
CREATE INDEX IF NOT EXISTS message_withdrawn ON message (claimed) WHERE state = 'withdrawn';
CREATE INDEX IF NOT EXISTS envelope_dropped ON envelope (sealed) WHERE state = 'dropped';
CREATE INDEX IF NOT EXISTS delivery_time ON delivery (time);

-- Delivered messages whose content was removed from their tray, or still lies there.
CREATE TABLE IF NOT EXISTS removal (
  seq  INTEGER PRIMARY KEY,           -- of the message
  tray TEXT    NOT NULL,
  time INTEGER NOT NULL,              -- of the removal, or of the last look
  kept TEXT    NOT NULL               -- why it lies there; empty: it is removed
) STRICT;
CREATE INDEX IF NOT EXISTS removal_kept ON removal (tray, time) WHERE kept <> '';

-- The received messages whose rows were deleted.
CREATE TABLE IF NOT EXISTS known_sender (
  number INTEGER PRIMARY KEY,
  site   TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS known (
  sender INTEGER NOT NULL,
  uid    BLOB    NOT NULL,
  digest BLOB    NOT NULL,            -- its beginning
  PRIMARY KEY (sender, uid)
) STRICT, WITHOUT ROWID;

-- The highest number among the deleted messages of each day and kind.
CREATE TABLE IF NOT EXISTS used (
  day    TEXT    NOT NULL,            -- YYYYMMDD, UTC
  kind   TEXT    NOT NULL,
  number INTEGER NOT NULL,
  PRIMARY KEY (day, kind)
) STRICT, WITHOUT ROWID;

-- The proof of an envelope's sender, which ends with its receipt: see origin.go.
CREATE TABLE IF NOT EXISTS origin (
  delivery INTEGER NOT NULL,         -- the seq of the envelope
  part     INTEGER NOT NULL,
  data     BLOB    NOT NULL,
  PRIMARY KEY (delivery, part)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS origin_ends AFTER DELETE ON delivery BEGIN
  DELETE FROM origin WHERE delivery = OLD.seq;
END;

-- The progress of an envelope that is sealed and uploaded at the same time. Row 0 is its start, and
-- row n its first n segments: all their parts are durable at the hub.
CREATE TABLE IF NOT EXISTS segment (
  envelope_id TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  checkpoint  TEXT    NOT NULL,      -- where the sealing goes on, JSON
  crc32c      TEXT    NOT NULL,      -- of the parts of segment n, JSON
  PRIMARY KEY (envelope_id, number)
) STRICT, WITHOUT ROWID;
`

// ErrNewer means that a newer program has written the ledger.
var ErrNewer = errors.New("newer ledger")

type newerError struct{ error }

func (e *newerError) Is(target error) bool { return target == ErrNewer }

// migrate runs the missing steps, and makes missing indexes and tables.
func migrate(conn *sql.Conn) error {
	ctx := context.Background()
	have, err := formatOf(conn)
	if err != nil {
		return err
	}
	for ; have < len(steps); have++ {
		// A step and its number are one transaction, so that a crash repeats all of it or nothing.
		_, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+steps[have]+
			fmt.Sprintf("PRAGMA user_version = %d; COMMIT;", have+1))
		if err != nil {
			_, undo := conn.ExecContext(ctx, "ROLLBACK")
			return errors.Join(reason.Err("ledger-format", "n", have+1, "why", err), undo)
		}
	}
	_, err = conn.ExecContext(ctx, additions)
	return err
}

// formatOf returns the format of a ledger, or ErrNewer.
func formatOf(conn *sql.Conn) (have int, err error) {
	err = conn.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&have)
	if err == nil && have > len(steps) {
		err = &newerError{reason.Err("ledger-newer", "have", have, "known", len(steps))}
	}
	return have, err
}
