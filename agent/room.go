package agent

import (
	"context"
	"errors"
	"time"

	"sealpost/agent/ledger"
	"sealpost/agent/report"
	"sealpost/internal/backoff"
	"sealpost/internal/control"
	"sealpost/internal/durable"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

const (
	roomAgain  = 2 * time.Second // between two looks for room on a full disk
	roomToOpen = 1 << 20         // bytes without which no agent is opened again
)

// Keep opens an agent and runs it until the context ends. When a full disk keeps it from opening or
// ends it, Keep says so in the log, the status file and to every command, and opens it again once
// there is room.
func Keep(ctx context.Context, o Options) error {
	said := ""
	for {
		err := runOnce(ctx, o)
		if !isFull(err) || ctx.Err() != nil {
			return err
		}
		err = reason.Err("waits-for-room", "why", err)
		if text := err.Error(); text != said {
			said = text
			o.Log.Error("not running for now", "site", o.Config.Site, "error", err)
		}
		awaitRoom(ctx, o, err)
		if ctx.Err() != nil {
			return nil
		}
	}
}

func runOnce(ctx context.Context, o Options) error {
	a, err := New(o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func isFull(err error) bool { return errors.Is(err, ledger.ErrFull) || durable.IsFull(err) }

// awaitRoom waits until the disk of the state folder takes something again, or the context ends.
// Meanwhile it answers every command with the reason.
func awaitRoom(ctx context.Context, o Options, why error) {
	waiting, done := context.WithCancel(ctx)
	tell := func(name string, run func(context.Context) error) <-chan struct{} {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if err := run(waiting); err != nil {
				o.Log.Warn("a full disk is not told of everywhere", "where", name, "error", err)
			}
		}()
		return ended
	}
	answers := tell("control socket", func(ctx context.Context) error {
		server, err := control.Listen(o.Config.State, control.Hindered(why))
		if err != nil {
			return err
		}
		return server.Run(ctx)
	})
	reports := tell("status file", fullReporter(o, why).Run)
	for backoff.Sleep(ctx, roomAgain) == nil &&
		durable.TryWrite(o.Config.State, roomToOpen) != nil {
	}
	done()
	<-answers
	<-reports
}

// fullReporter keeps the status files of a site whose agent waits for room.
func fullReporter(o Options, why error) *report.Reporter {
	s := report.Snapshot{Full: reason.Of(why)}
	r := report.Options{Site: id.Site(o.Config.Site), Folder: o.Dir, Log: o.Log,
		Language: reason.Language(o.Config.Language), Memory: noFolders{},
		Changes: func() uint64 { return 0 },
		Read:    func(context.Context) (report.Snapshot, error) { return s, nil }}
	for _, t := range o.Config.Trays() {
		r.Trays = append(r.Trays, report.Tray{Name: t.Name, Dir: t.Dir})
	}
	if o.Config.Receives() {
		r.Inbox = o.Config.Inbox.Dir
	}
	return report.New(r)
}

// noFolders stands for the memory of a ledger that cannot be opened.
type noFolders struct{}

func (noFolders) Folders(context.Context) ([]string, error) { return nil, nil }

func (noFolders) Remember(context.Context, []string) error { return nil }
