package ledger

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sealpost/internal/id"
)

// The parts of an origin come in their order. A later attempt replaces them, and they end with the
// envelope's row.
func TestOrigins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	first, second := id.Random128[id.Envelope](), id.Random128[id.Envelope]()
	parts := func(e id.Envelope) (text string) {
		view(t, l, func(tx *Tx) error {
			for at := -1; ; {
				var data []byte
				var err error
				if at, data, err = tx.OriginAfter(e, at); errors.Is(err, ErrNotFound) {
					return nil
				} else if err != nil {
					return err
				}
				text += string(data)
			}
		})
		return text
	}
	update(t, l, func(tx *Tx) error {
		for _, e := range []id.Envelope{first, second} {
			if _, err := tx.Begin(e, "FL-LAB", time.Now()); err != nil {
				return err
			}
			for part, data := range map[int]string{1000: "c", 0: "a", 1: "b", 1001: "d"} {
				if err := tx.OriginPart(e, part, []byte(data)); err != nil {
					return err
				}
			}
		}
		return errors.Join(tx.OriginPart(first, 1, []byte("B")),
			tx.OriginPart("no such envelope", 0, []byte("x")))
	})
	l.Close()
	l = open(t, path)
	if got := parts(first) + parts(second) + parts("no such envelope"); got != "aBcdabcd" {
		t.Errorf("got %q", got)
	}
	update(t, l, func(tx *Tx) error { return tx.DropOrigin(first) })
	update(t, l, func(tx *Tx) error {
		return tx.exec("DELETE FROM delivery WHERE envelope_id = ?", second)
	})
	if got := parts(first) + parts(second); got != "" {
		t.Errorf("after they were removed: %q", got)
	}
	view(t, l, func(tx *Tx) error {
		var left int
		err := tx.row("SELECT count(*) FROM origin", nil, &left)
		if left != 0 {
			t.Errorf("%d parts outlive their envelope", left)
		}
		return err
	})
}
