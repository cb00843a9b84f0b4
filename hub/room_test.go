package hub

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"sealpost/spool"
)

// fullStore is a store whose disk has too little room to change anything.
type fullStore struct{ Store }

func (s fullStore) Info(ctx context.Context) (spool.Info, error) {
	info, err := s.Store.Info(ctx)
	info.DiskFree, info.Reserve = 700<<20, 5<<30
	return info, err
}

func (s fullStore) Put(ctx context.Context, kind, key string, version uint64,
	value []byte) (uint64, error) {
	return 0, spool.ErrFull
}

// A hub below its reserve names the free space, the configured sizes and the file to change. It
// does so in its log and in its answer.
func TestAHubWithoutRoomSaysWhatToChange(t *testing.T) {
	q := newHeadquarters(t)
	q.wrap = func(s Store) Store { return fullStore{s} }
	q.start()
	t.Cleanup(q.stop)
	var log bytes.Buffer
	h := &Hub{spool: q.hub.spool, log: slog.New(slog.NewTextHandler(&log, nil))}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it looks once
	if err := h.watchRoom(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"700.0 MiB are free", "the reserve of 5.0 GiB in hub.toml",
		"smaller sizes under [spool] in hub.toml"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q: %s", want, log.String())
		}
	}
	_, err := tryAsk[Invited](q, ControlInvite, InviteRequest{Site: "FL-LAB", Role: "send"})
	if err == nil || !strings.Contains(err.Error(),
		"nothing was changed: the hub's disk has 700.0 MiB free") ||
		!strings.Contains(err.Error(), "[spool]") {
		t.Errorf("the invitation ends with %v", err)
	}
}
