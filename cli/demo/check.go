package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/spool"
)

// result is the outcome of the dropped files.
type result struct {
	OK           bool       `json:"ok"`
	Deliveries   []delivery `json:"deliveries"`
	ContentBytes int64      `json:"hub_content_bytes"` // ciphertext that the hub still holds
	Destroyed    *fire      `json:"hub_destroyed,omitempty"`
	Problems     []string   `json:"problems"`
}

// delivery is one file for one recipient.
type delivery struct {
	Message      id.Message `json:"message_id,omitempty"`
	File         string     `json:"file"`
	Sender       id.Site    `json:"sender_id"`
	Recipient    id.Site    `json:"recipient_id"`
	Queue        string     `json:"queue"`
	Spooled      time.Time  `json:"spooled_time,omitzero"`
	Acknowledged time.Time  `json:"acknowledged_time,omitzero"`
	Path         string     `json:"path,omitempty"`   // in the inbox
	Copies       int        `json:"copies"`           // of it in the inbox
	Equal        bool       `json:"byte_equal"`       // to the dropped file
	Verified     bool       `json:"receipt_verified"` // by the sender
}

func (d delivery) done() bool {
	return d.Equal && d.Copies == 1 && d.Verified && !d.Acknowledged.IsZero()
}

func (r *result) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r result) ended() bool { return r.OK }

func (r result) err() error {
	if r.OK {
		return nil
	}
	return fmt.Errorf("%d of the demo's conditions do not hold:\n  %s", len(r.Problems),
		strings.Join(r.Problems, "\n  "))
}

// check compares the files, the receipts and the hub's records with the scenario.
func (n *network) check(ctx context.Context, w *watch, drops []drop) (result, error) {
	r := result{Deliveries: []delivery{}, Problems: []string{}}
	for _, d := range drops {
		m, found := w.find(d)
		if !found {
			r.problem("%s has not claimed %q", d.site, d.file)
		}
		records, err := n.records(ctx, d.site, m)
		if err != nil {
			return r, err
		}
		n.checkSender(&r, d, m)
		for _, site := range d.reach {
			one := delivery{Message: m.id, File: d.file, Sender: d.site, Recipient: site,
				Queue: site.Queue(), Verified: m.answers[site].verified}
			if in, arrived := w.incoming[place{site, m.uid}]; arrived {
				one.Path = in.file
				one.Equal = in.placed && holds(in.file, d.content)
				one.Copies = copies(filepath.Dir(in.file), d.content)
			}
			one.addRecord(&r, records)
			if !one.done() {
				r.problem("%s at %s: in the inbox and byte-equal %v, copies %d, settled %v, "+
					"receipt verified %v", d.file, site, one.Equal, one.Copies,
					!one.Acknowledged.IsZero(), one.Verified)
			}
			r.Deliveries = append(r.Deliveries, one)
		}
		if m.id != "" && len(records) != len(d.reach) {
			r.problem("the hub has %d records of %s, want %d", len(records), m.id, len(d.reach))
		}
	}
	if err := n.checkHub(ctx, &r); err != nil {
		return r, err
	}
	n.fire.check(&r, w)
	r.OK = len(r.Problems) == 0
	return r, nil
}

// find returns the newest message that the lab has made of a dropped file. An earlier demo that was
// killed may have left a file of the same name.
func (w *watch) find(d drop) (newest outgoing, found bool) {
	for uid, m := range w.outgoing {
		if !w.before[uid] && m.lab == d.site && m.name == d.file &&
			(!found || m.claimed.After(newest.claimed)) {
			newest, found = m, true
		}
	}
	return newest, found
}

// records returns the hub's records of a message.
func (n *network) records(ctx context.Context, sender id.Site, m outgoing) ([]spool.Record, error) {
	if m.uid == "" {
		return nil, nil
	}
	var out hub.MessagesAnswer
	err := n.askHub(ctx, hub.ControlMessages, hub.MessagesRequest{Sender: sender, UID: m.uid}, &out)
	return out.Messages, err
}

func (d *delivery) addRecord(r *result, records []spool.Record) {
	i := slices.IndexFunc(records, func(rec spool.Record) bool {
		return rec.Recipient == d.Recipient
	})
	if i < 0 {
		return
	}
	rec := records[i]
	d.Spooled, d.Acknowledged = rec.Spooled, rec.Acknowledged
	if rec.Queue != d.Queue {
		r.problem("%s went to %s through %s, want %s", rec.Message, rec.Recipient, rec.Queue,
			d.Queue)
	}
}

// checkSender checks the lab's folders and its message.
func (n *network) checkSender(r *result, d drop, m outgoing) {
	if m.uid == "" {
		return
	}
	if m.state != "delivered" || !m.filed {
		r.problem("%s is %s at %s", m.id, m.state, d.site)
	} else if !holds(filepath.Join(n.site(d.site), filepath.FromSlash(m.folder), d.file),
		d.content) {
		r.problem("%s does not lie unchanged in %s of %s", d.file, m.folder, d.site)
	}
	name := id.FormatMessage(d.site, d.kind, m.claimed, d.number)
	if d.hasKnownNumber && m.id != name {
		r.problem("%s is called %s, want %s", d.file, m.id, name)
	}
	want := make([]string, len(d.reach))
	for i, site := range d.reach {
		want[i] = string(site)
	}
	if len(m.answers) > 0 && !slices.Equal(m.recipients(), want) {
		r.problem("%s went to %v, want %v", m.id, m.recipients(), want)
	}
}

// checkHub adds a problem if the hub still holds content, or has waiting or dead deliveries.
func (n *network) checkHub(ctx context.Context, r *result) error {
	var s hub.Status
	if err := n.askHub(ctx, hub.ControlStatus, hub.Nothing{}, &s); err != nil {
		return err
	}
	r.ContentBytes = s.Spool.Content
	if r.ContentBytes != 0 {
		r.problem("the hub still holds %d bytes of ciphertext", r.ContentBytes)
	}
	if s.Waiting != 0 || s.Dead != 0 {
		r.problem("the hub has %d waiting and %d dead deliveries", s.Waiting, s.Dead)
	}
	return nil
}

func (n *network) askHub(ctx context.Context, path string, in, out any) error {
	cfg, err := config.LoadHub(config.HubFile(n.site(hubName)))
	if err != nil {
		return err
	}
	err = control.Dial(cfg.State).Call(ctx, path, in, out)
	if errors.Is(err, control.ErrNotRunning) {
		return errors.Join(n.nursery.failed(), err)
	}
	return err
}

// holds reports whether a file has exactly this content.
func holds(path string, content []byte) bool {
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, content)
}

// copies counts the files with exactly this content in a folder. It reads only files of that size.
func copies(dir string, content []byte) (count int) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Size() == int64(len(content)) &&
			holds(filepath.Join(dir, e.Name()), content) {
			count++
		}
	}
	return count
}
