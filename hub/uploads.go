package hub

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"sealpost/hub/api"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/spool"
)

// maxUploads bounds the open uploads of one site in memory. The oldest is forgotten first. Its
// parts stay on disk, and a repeated open resumes it.
const maxUploads = 64

// partRoom is the intake's budget for one part: it streams to disk and is never whole in memory.
const partRoom = 1 << 20

// uploads holds the open stagings by site and envelope, since HTTP requests carry no handle.
type uploads struct {
	mu   sync.Mutex // guards open
	open map[id.Site]map[id.Envelope]upload
}

type upload struct {
	staging spool.Staging
	size    int64
	used    time.Time
}

func newUploads() *uploads { return &uploads{open: map[id.Site]map[id.Envelope]upload{}} }

// put registers an upload. At the limit it drops the one of the site that is unused for longest.
func (u *uploads) put(site id.Site, envelope id.Envelope, up upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ofSite := u.open[site]
	if ofSite == nil {
		ofSite = map[id.Envelope]upload{}
		u.open[site] = ofSite
	}
	ofSite[envelope] = up
	for len(ofSite) > maxUploads {
		oldest := envelope
		for e, up := range ofSite {
			if up.used.Before(ofSite[oldest].used) {
				oldest = e
			}
		}
		delete(ofSite, oldest)
	}
}

// get returns an open upload and records its use.
func (u *uploads) get(site id.Site, envelope id.Envelope, now time.Time) (upload, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up, found := u.open[site][envelope]
	if found {
		up.used = now
		u.open[site][envelope] = up
	}
	return up, found
}

func (u *uploads) drop(site id.Site, envelope id.Envelope) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if delete(u.open[site], envelope); len(u.open[site]) == 0 {
		delete(u.open, site)
	}
}

// forget drops the uploads of a removed site.
func (u *uploads) forget(site id.Site) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.open, site)
}

// openUpload opens or reopens the upload of a large envelope. It holds the directory, so that a
// removal of the caller finds the upload.
func (c *call) openUpload(in api.UploadRequest) error {
	if _, err := id.Parse128[id.Envelope](string(in.Envelope)); err != nil {
		return err
	}
	if in.Size > spool.MaxSize {
		return tooLarge(in.Size)
	}
	if in.Size <= spool.SmallSize {
		return problem(api.CodeInvalid, "an envelope of at most %d bytes is published in one "+
			"request", spool.SmallSize)
	}
	t, release := c.hub.dir.hold()
	defer release()
	if err := c.stillAdmitted(t); err != nil {
		return err
	}
	staging, err := c.hub.spool.Stage(c.r.Context(),
		spool.Upload{Sender: c.caller.Name, Envelope: in.Envelope, Size: in.Size})
	if err != nil {
		return err
	}
	missing := staging.Missing()
	c.hub.uploads.put(c.caller.Name, in.Envelope, upload{staging, in.Size, c.hub.now()})
	c.log.Info("upload opened", "envelope", in.Envelope, "size", in.Size, "missing", len(missing))
	return c.reply(api.UploadState{Missing: append([]int{}, missing...)})
}

// putPart streams one part from the line to the disk.
func (c *call) putPart() error {
	if err := c.caller.held(); err != nil {
		return err
	}
	envelope, err := id.Parse128[id.Envelope](c.r.PathValue("envelope"))
	if err != nil {
		return err
	}
	up, found := c.hub.uploads.get(c.caller.Name, envelope, c.hub.now())
	if !found {
		return problem(api.CodeNotFound, "this upload is not open; open it (again)")
	}
	part, err := strconv.Atoi(c.r.PathValue("part"))
	if last := int((up.size - 1) / spool.PartSize); err != nil || part < 0 || part > last {
		return problem(api.CodeInvalid, "the upload has the parts 0 to %d", last)
	}
	sum, err := strconv.ParseUint(c.r.URL.Query().Get(api.QueryCRC32C), 10, 32)
	if err != nil {
		return problem(api.CodeInvalid, "a part comes with its checksum in %s", api.QueryCRC32C)
	}
	size := min(spool.PartSize, up.size-int64(part)*spool.PartSize)
	if c.r.ContentLength != size {
		return problem(api.CodeInvalid, "part %d has %d bytes, and the request has %d "+
			"(Content-Length)", part, size, c.r.ContentLength)
	}
	give, err := c.hub.intake.take(c.party, partRoom)
	if err != nil {
		return err
	}
	defer give()
	body := &heardReader{r: c.pacedBody(size)}
	if err := up.staging.Put(c.r.Context(), part, uint32(sum), body); err != nil {
		if body.err != nil && body.err != io.EOF {
			return fmt.Errorf("%w: part %d: %w", errCut, part, body.err)
		}
		return err
	}
	fault.Point("hub-part")
	c.hub.metrics.took(size)
	return c.reply(nil)
}

// heardReader keeps the line's own error, which is more exact than the spool's error about missing
// bytes.
type heardReader struct {
	r   io.Reader
	err error
}

func (h *heardReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if err != nil {
		h.err = err
	}
	return n, err
}

// abortUpload deletes an upload, if there is one, even from before the hub's last start.
func (c *call) abortUpload() error {
	envelope, err := id.Parse128[id.Envelope](c.r.PathValue("envelope"))
	if err != nil {
		return err
	}
	staging, err := c.hub.spool.Stage(c.r.Context(),
		spool.Upload{Sender: c.caller.Name, Envelope: envelope})
	if errors.Is(err, spool.ErrNotFound) || errors.Is(err, spool.ErrConflict) {
		return c.reply(nil) // another site's envelope answers like a missing one
	}
	if err != nil {
		return err
	}
	if err := staging.Abort(c.r.Context()); err != nil {
		return err
	}
	c.hub.uploads.drop(c.caller.Name, envelope)
	c.log.Info("upload aborted", "envelope", envelope)
	return c.reply(nil)
}
