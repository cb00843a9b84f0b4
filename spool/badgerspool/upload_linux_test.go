package badgerspool

import (
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/internal/id"
	"sealpost/spool"
	"sealpost/spool/badgerspool/disk"
)

// TestAnUploadTakesOnlyItsParts: an announced size takes no blocks. Only durable parts keep them,
// also if a part is cut or the process ends in its middle. The look-ahead is kept free for it.
func TestAnUploadTakesOnlyItsParts(t *testing.T) {
	dir := t.TempDir()
	sm, free := fullness()
	opts := Options{Reserve: 1000 * mib}
	s := mustOpen(t, dir, opts, sm)
	part := filler(spool.PartSize)
	up := spool.Upload{Sender: "FL-LAB", Envelope: id.Random128[id.Envelope](),
		Size: 1000 * spool.PartSize}
	free.Store(1000*mib + spool.LookAhead - 1)
	_, err := s.Stage(t.Context(), up)
	expectFull(t, "stage without room for the look-ahead", err)
	free.Store(1000*mib + spool.LookAhead)
	st, err := s.Stage(t.Context(), up)
	expectRoom(t, "stage", err)
	u := st.(*staging).u
	expectBlocks(t, u, 0)
	free.Add(-1)
	expectFull(t, "publish into the look-ahead", publishAny(t.Context(), s, testEnvelope(filler(9)),
		nil))
	expectFull(t, "a part beyond it", putPart(t.Context(), st, 0, part))
	expectBlocks(t, u, 0)
	free.Store(1 << 40)
	expectRoom(t, "a part", putPart(t.Context(), st, 7, part))
	expectBlocks(t, u, 1)
	if err := putPart(t.Context(), st, 9, part[:5*mib]); err == nil {
		t.Fatal("a cut part was taken")
	}
	expectBlocks(t, u, 1)
	// as a killed process leaves it
	must(t, disk.Disk(disk.Real).Allocate(u.path, 0, 3*spool.PartSize))
	must(t, s.Close())
	s = mustOpen(t, dir, opts, sm)
	expectBlocks(t, u, 1)
	mustAudit(t, s)
}

// expectBlocks expects the blocks of so many parts in an upload's file.
func expectBlocks(t *testing.T, u *upload, parts int64) {
	t.Helper()
	var info unix.Stat_t
	must(t, unix.Stat(u.path, &info))
	if got := info.Blocks * 512; got < parts*spool.PartSize || got > parts*spool.PartSize+mib {
		t.Errorf("its file has %d bytes of blocks, want %d parts", got, parts)
	}
}
