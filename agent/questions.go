package agent

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"sealpost/agent/inbox"
	"sealpost/agent/ledger"
	"sealpost/agent/outbox"
	"sealpost/agent/report"
	"sealpost/agent/trust"
	"sealpost/config"
	"sealpost/hub/api"
	"sealpost/internal/control"
	"sealpost/internal/reason"
)

// More paths of the control socket.
const (
	PathFind  = "/find"  // FindRequest → Found
	PathTrays = "/trays" // TraysRequest → Trays
	// PathEarlier asks for the message that a file would repeat.
	PathEarlier = "/earlier" // EarlierRequest → EarlierAnswer
)

// maxFound is the largest number of results of one search.
const maxFound = 1000

// FindRequest asks for messages by a part of the file's name.
type FindRequest struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"` // of each list; at most 1000, and 100 when it is 0
	Sent  bool   `json:"sent"`  // look only through recent messages, which is quick
}

// SentMessage is a message of this site, as users see it.
type SentMessage = outbox.Message

// Earlier is a delivered message that a file may repeat.
type Earlier = outbox.Earlier

// Standing is how the messages of a tray stand, or of all of them.
type Standing = outbox.Standing

// Found are the messages that were found.
type Found struct {
	Sent     []SentMessage   `json:"sent"`     // newest first
	Received []inbox.Message `json:"received"` // newest first
	More     bool            `json:"more"`     // there may be others beyond the limit
	// messages that ended before this time may be missing: see keep_history
	Since time.Time `json:"history_since,omitzero"`
}

// TraysRequest asks for the trays, and which of the names they would leave alone.
type TraysRequest struct {
	Names []string `json:"names"`
}

// Trays are the folders from which a site sends.
type Trays struct {
	Trays []Tray `json:"trays"`
}

// Tray is one of them.
type Tray struct {
	Name         string        `json:"name"`
	Dir          string        `json:"dir"`
	Outbox       string        `json:"outbox"`
	Route        string        `json:"route"`
	FolderSettle time.Duration `json:"folder_settle_ns"`
	// Marker is the form of the names of markers, in which * stands for the name of the marked one.
	// A file or folder is not taken without one, or a marker only ends the wait for a folder.
	Marker      string `json:"marker"`
	NeedsMarker bool   `json:"needs_marker,omitempty"`
	// LeavesRepeats means that outbox keeps a file whose name and content were delivered before.
	LeavesRepeats bool `json:"leaves_repeats,omitempty"`
	// LeftAlone has those of the names that were asked for which the tray would not take.
	LeftAlone map[string]reason.Reason `json:"left_alone,omitempty"`
}

// EarlierRequest describes a file for a tray. Folder is the folder in outbox, mostly empty.
type EarlierRequest struct {
	Tray   string `json:"tray"`
	Folder string `json:"folder,omitempty"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
}

// EarlierAnswer has the delivered message that such a file would repeat, if its content is equal.
type EarlierAnswer struct {
	Earlier *Earlier `json:"earlier,omitempty"`
}

func (a *Agent) handleQuestions(mux *http.ServeMux) {
	control.Handle(mux, PathFind, a.find)
	control.Handle(mux, PathEarlier, a.earlier)
	control.Handle(mux, PathTrays, a.trays)
}

func (a *Agent) find(ctx context.Context, in FindRequest) (f Found, err error) {
	if in.Name == "" {
		return f, reason.Err("find-no-name")
	}
	limit := min(in.Limit, maxFound)
	if limit <= 0 {
		limit = 100
	}
	if a.outbox != nil {
		if f.Sent, err = a.outbox.Find(ctx, in.Name, limit, in.Sent); err != nil {
			return f, err
		}
	}
	if a.inbox != nil && !in.Sent {
		if f.Received, err = a.inbox.Find(ctx, in.Name, limit); err != nil {
			return f, err
		}
	}
	f.More = len(f.Sent) == limit || len(f.Received) == limit
	f.Since, err = a.history(ctx)
	return f, err
}

func (a *Agent) trays(_ context.Context, in TraysRequest) (Trays, error) {
	if a.outbox == nil {
		return Trays{}, errSendsNothing
	}
	var t Trays
	for i, o := range a.cfg.Trays() {
		one := Tray{Name: o.Name, Dir: o.Dir, Outbox: outbox.Folders{Dir: o.Dir}.Outbox(),
			Route: o.Route, FolderSettle: time.Duration(o.FolderSettle),
			Marker:        string(trays(a.cfg)[i].NeededMarker()),
			NeedsMarker:   o.Finished == config.FinishedMarker,
			LeavesRepeats: o.Repeat == config.RepeatLeave,
			LeftAlone:     map[string]reason.Reason{}}
		for _, name := range in.Names {
			if why := a.outbox.LeavesAlone(o.Name, name); !why.IsZero() {
				one.LeftAlone[name] = why
			}
		}
		t.Trays = append(t.Trays, one)
	}
	return t, nil
}

func (a *Agent) earlier(ctx context.Context, in EarlierRequest) (e EarlierAnswer, err error) {
	if a.outbox == nil {
		return e, errSendsNothing
	}
	e.Earlier, err = a.outbox.Earlier(ctx, in.Tray, in.Folder, in.Name, in.Size)
	return e, err
}

// reporter keeps STATUS.txt in the site's folder, in each tray, and beside the inbox. ended returns
// why the agent has stopped.
func (a *Agent) reporter(ended func() (reason.Situation, reason.Reason)) *report.Reporter {
	o := report.Options{Site: a.site, Folder: a.dir, Read: a.snapshot,
		Changes: func() uint64 {
			n := a.ledger.Commits() + a.linkChanges.Load()
			if a.outbox != nil {
				n += a.outbox.HeldChanges()
			}
			return n
		},
		Memory: statusFolders{a.ledger}, Ended: ended,
		Language: reason.Language(a.cfg.Language), Contact: a.cfg.Contact,
		Page: a.cfg.StatusPage, Log: a.log}
	for _, t := range a.cfg.Trays() {
		o.Trays = append(o.Trays, report.Tray{Name: t.Name, Dir: t.Dir})
	}
	if a.cfg.Receives() {
		o.Inbox = a.cfg.Inbox.Dir
	}
	return report.New(o)
}

// statusFolders remembers in the ledger where status files were written.
type statusFolders struct{ ledger *ledger.Ledger }

const statusFoldersKey = "status-folders"

func (s statusFolders) Folders(ctx context.Context) (list []string, err error) {
	var stored string
	err = s.ledger.View(ctx, func(tx *ledger.Tx) (err error) {
		stored,
			err = tx.Setting(statusFoldersKey)
		return err
	})
	if err != nil || stored == "" {
		return nil, err
	}
	return list, json.Unmarshal([]byte(stored), &list)
}

func (s statusFolders) Remember(ctx context.Context, list []string) error {
	stored, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return s.ledger.Update(ctx, func(tx *ledger.Tx) error {
		return tx.Set(statusFoldersKey, string(stored))
	})
}

// AlsoRuns is the reason for the doubt about another agent with this site's keys.
func AlsoRuns(c api.Copy) reason.Reason {
	return reason.New("also-runs", "from", c.From, "since", c.Since)
}

// OnHold is the reason for which the hub takes nothing from this site, and gives it nothing.
func OnHold(h api.Hold) reason.Reason {
	var because any
	if h.Because != "" {
		because = h.Because
	}
	return reason.New("held-by-hub", "since", h.Since, "because", because)
}

// Unwelcome is the reason for which files for some sites wait at the hub; none: it takes all.
func (s Status) Unwelcome() reason.Reason {
	var list []reason.Reason
	if len(s.Link.BlockedBy) > 0 {
		list = append(list, reason.New("blocked-by", "sites", s.Link.BlockedBy))
	}
	for _, w := range s.Link.Withheld {
		if w.Why == api.WithheldToday {
			list = append(list, reason.New("withheld-today", "site", w.Site))
		} else {
			list = append(list, reason.New("withheld-uncompared", "site", w.Site, "own", s.Site,
				"words", s.Words))
		}
	}
	switch len(list) {
	case 0:
		return reason.Reason{}
	case 1:
		return list[0]
	}
	return reason.New("withheld", "list", list)
}

// NotCompared is the reason for which files of a sender wait at the hub.
func NotCompared(s api.Sender) reason.Reason {
	return reason.New("sender-not-compared", "site", s.Site,
		"shown", trust.Fingerprint(s.Site, s.Fingerprint))
}

func (a *Agent) snapshot(ctx context.Context) (report.Snapshot, error) {
	s, err := a.status(ctx, StatusRequest{Latest: 10})
	out := report.Snapshot{Connected: s.Link.Connected, Hub: s.Link.Hub,
		Trouble: s.Link.Trouble, Apart: s.Link.Situation(), Since: s.Link.Since,
		Clock: s.Link.Clock, Expires: s.Expires, Outbox: s.Outbox, Inbox: s.Inbox}
	if s.Link.HubRole != "" {
		out.Role = s.Roles().Line()
	}
	if c := s.Link.Copy; c != nil {
		out.Copy = AlsoRuns(*c)
	}
	if s.Link.Hold != nil {
		out.Hold = OnHold(*s.Link.Hold)
	}
	out.Audit, out.Roster, out.Own = s.Link.Audit, s.Roster.Stops, s.OwnDiffers
	out.BlockedBy = s.Unwelcome()
	for _, limit := range s.Limits {
		out.Limits = append(out.Limits, limit.Reason())
	}
	for _, sender := range s.Link.Uncompared {
		out.Uncompared = append(out.Uncompared, NotCompared(sender))
	}
	for _, p := range s.Pins {
		if !p.Trouble.IsZero() {
			out.Pins = append(out.Pins, report.Pin{Site: p.Site, Trouble: p.Trouble,
				Advice: p.Advice})
		}
	}
	return out, err
}
