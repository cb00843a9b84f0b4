package ledger

import (
	"errors"
	"path/filepath"
	"reflect"
	"testing"

	"sealpost/internal/reason"
	"sealpost/internal/testkit"
)

// The progress of an envelope survives a restart of the ledger.
func TestSegmentsOfAnEnvelope(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l := open(t, path)
	e := sealed(t, l, taken(t, l, "large"), "CA-RC")
	update(t, l, func(tx *Tx) error { return tx.EndSeal(e, nil, "") }) // it has only begun
	other := sealed(t, l, taken(t, l, "small"), "CA-RC")
	start := Segment{Checkpoint: "{}"}
	first := Segment{Number: 1, Checkpoint: `{"at":9}`, CRC32C: []uint32{1, 1<<32 - 1}}
	second := Segment{Number: 2, Checkpoint: "{}", CRC32C: []uint32{3}}
	expect := func(want ...Segment) {
		t.Helper()
		update(t, l, func(tx *Tx) error {
			got, err := tx.Segments(e)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if others, _ := tx.Segments(other); len(others) > 0 {
				t.Errorf("the other one has %+v", others)
			}
			streams, _ := tx.Streams()
			if len(want) > 0 && (len(streams) != 1 || streams[0].Envelope != e ||
				streams[0].Segments != len(want)-1 || streams[0].IsSealed) {
				t.Errorf("sealed on their way are %+v", streams)
			}
			return err
		})
	}
	for _, s := range []Segment{start, first, second} {
		update(t, l, func(tx *Tx) error { return tx.AddSegment(e, s) })
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	expect(start, first, second)
	update(t, l, func(tx *Tx) error { return tx.DropSegments(e, 1) })
	expect(start, first)
	update(t, l, func(tx *Tx) error { return tx.EndSeal(e, []uint32{1, 2}, "its digest") })
	update(t, l, func(tx *Tx) error {
		row, err := tx.Envelope(e)
		messages, _ := tx.InEnvelope(e)
		if streams, _ := tx.Streams(); len(streams) != 1 || !streams[0].IsSealed {
			t.Errorf("sealed to the end is %+v", streams)
		}
		if !reflect.DeepEqual(row.CRC32C, []uint32{1, 2}) || messages[0].Digest != "its digest" {
			t.Errorf("it is %+v, %+v", row, messages)
		}
		return err
	})
	update(t, l, func(tx *Tx) error { return tx.DropSegments(e, -1) })
	expect()
	update(t, l, func(tx *Tx) error {
		testkit.Must(t, tx.Drop(e, reason.Reason{}))
		if err := tx.AddSegment(e, start); !errors.Is(err, ErrNotFound) {
			t.Errorf("a dropped one makes progress: %v", err)
		}
		return nil
	})
}
