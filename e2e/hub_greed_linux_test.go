package e2e

import (
	"context"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// An admitted site announces large uploads as fast as it can, and sends no byte of them. It gets
// its share, and its removal gives that back, also across a kill.
func TestAGreedySiteFillsNoDisk(t *testing.T) {
	t.Parallel()
	f := newFlood(t)
	bad := f.Caller(f.Join("PA-LAB", "send"), "127.0.1.1")
	const uploads = 8
	must(t, f.hub.ask(hub.ControlQuota, hub.QuotaRequest{Site: "PA-LAB",
		Send: spool.Quota{Uploads: uploads}}, &hub.SiteUsage{}))
	const parts = 640 // of 16 MiB
	var refused atomic.Int64
	f.Under("announced uploads", 4, func(ctx context.Context, n int) {
		client := bad.Client()
		client.Transport.(*http.Transport).DisableKeepAlives = false
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			status, err := bad.Post(ctx, client, api.PathUploads, api.UploadRequest{
				Envelope: id.Random128[id.Envelope](), Size: parts * spool.PartSize})
			if err == nil && status == http.StatusInsufficientStorage {
				refused.Add(1)
			}
		}
	}, func() bool { return refused.Load() > 100 })
	got := f.held("PA-LAB")
	if want := (spool.Usage{Uploads: uploads, Reserved: uploads * spool.LookAhead}); got != want {
		t.Errorf("it holds %+v, want %+v", got, want)
	}
	if taken := f.staged(); taken > mib {
		t.Errorf("it has taken %d KiB of the disk", taken/kib)
	}
	f.hub.Kill()
	f.hub.Start()
	if now := f.held("PA-LAB"); now != got {
		t.Errorf("after a kill it holds %+v", now)
	}
	var removed hub.Removed
	must(t, f.hub.ask(hub.ControlRemove, hub.RemoveRequest{Site: "PA-LAB"}, &removed))
	if removed.Uploads != uploads {
		t.Errorf("removed: %+v", removed)
	}
	f.hub.Kill()
	f.hub.Start()
	if left := f.held(""); left != (spool.Usage{}) {
		t.Errorf("after its removal and a kill the hub holds %+v", left)
	}
	f.Audit()
}

// staged returns the bytes on the disk of the hub's uploads.
func (f *flood) staged() (bytes int64) {
	f.t.Helper()
	entries, err := os.ReadDir(f.hub.at("state", "spool", "staging"))
	must(f.t, err)
	for _, e := range entries {
		var info unix.Stat_t
		must(f.t, unix.Stat(f.hub.at("state", "spool", "staging", e.Name()), &info))
		bytes += info.Blocks * 512
	}
	return bytes
}

// held returns the counts of a site; empty: of all.
func (f *flood) held(site id.Site) spool.Usage {
	f.t.Helper()
	var out hub.UsageAnswer
	must(f.t, f.hub.ask(hub.ControlUsage, hub.Nothing{}, &out))
	if site == "" {
		return out.Hub.Used
	}
	for _, s := range out.Sites {
		if s.Site == site && s.Send != nil {
			return s.Send.Used
		}
	}
	return spool.Usage{}
}
