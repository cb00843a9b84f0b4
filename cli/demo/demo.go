// Package demo runs a hub, four labs and three research centres on one machine. They are separate
// processes on loopback, set up through the same commands as by hand.
//
// It promises that its output is real: every step is read from the running daemons, and the end is
// checked against the files, the receipts and the hub's records. It knows the daemons only through
// their commands, control sockets and folders.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"sealpost/hub"
)

// Options are the options of a demo.
type Options struct {
	Dir     string // default ./sealpost-demo; kept, and used again by the next demo
	Once    bool   // leave when the nine deliveries are checked, with an error if one of them fails
	Destroy bool   // destroy the hub in mid-traffic, and set up a new one
	JSON    bool   // print a report in JSON to Out, and the steps to Err
	Program string // the sealpost binary
	Out     io.Writer
	Err     io.Writer
}

// patience is the longest wait for the next step of the nine deliveries.
const patience = 2 * time.Minute

// Run sets the network up, drops the four files, follows them, and reports. Without Once it then
// stays up and shows each further step, until ctx ends, which is no error.
func Run(ctx context.Context, o Options) (err error) {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the demo runs a hub, and the hub runs on Linux only, not on %s",
			runtime.GOOS)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	steps := o.Out
	if o.JSON {
		steps = o.Err
	}
	n := &network{dir: dir, say: func(format string, args ...any) {
		fmt.Fprintf(steps, "%s  %s\n", time.Now().Format("15:04:05.0"),
			fmt.Sprintf(format, args...))
	}}
	lock, err := n.open()
	if err != nil {
		return err
	}
	defer lock.Close() // the end of the process releases it at the latest
	n.nursery = newNursery(o.Program)
	defer func() { err = errors.Join(err, n.nursery.close()) }()
	err = n.play(ctx, o)
	if ctx.Err() != nil && !o.Once {
		return nil // Ctrl-C is the way to end it
	}
	return err
}

// play runs the demo in its locked folder.
func (n *network) play(ctx context.Context, o Options) error {
	n.say("the demo lives in %s", n.dir)
	if err := n.startHub(ctx); err != nil {
		return err
	}
	if err := n.startSites(ctx); err != nil {
		return err
	}
	w, err := n.newWatch(ctx)
	if err != nil {
		return err
	}
	if o.Destroy {
		if err := n.restCentre(); err != nil {
			return err
		}
	}
	drops, err := n.dropAll(len(w.before))
	if err != nil {
		return err
	}
	if o.Destroy {
		if err := n.destroyHub(ctx, w, drops); err != nil {
			return err
		}
	}
	result, err := n.follow(ctx, w, drops, result.ended)
	if err != nil {
		return err
	}
	if err := result.print(o); err != nil {
		return err
	}
	if o.Once {
		return result.err()
	}
	n.invite(ctx, o)
	return n.watchUntilEnd(ctx, w)
}

// drop is one file that the demo has put into an outbox.
type drop struct {
	lab
	content        []byte
	hasKnownNumber bool // no lab has sent anything before, so the number of the message is known
}

// dropAll drops the file of each lab. earlier is the number of messages of earlier demos.
func (n *network) dropAll(earlier int) ([]drop, error) {
	var drops []drop
	for _, l := range labs {
		d := drop{lab: l, content: l.content(time.Now()), hasKnownNumber: earlier == 0}
		if err := os.WriteFile(filepath.Join(n.site(l.site), "outbox", l.file), d.content,
			0o644); err != nil {
			return nil, fmt.Errorf("drop a file at %s: %w", l.site, err)
		}
		n.say("%s  drops %q (%d bytes) into outbox/", l.site, l.file, len(d.content))
		drops = append(drops, d)
	}
	return drops, nil
}

// follow shows each step until the result is enough, or no step follows within the patience.
func (n *network) follow(ctx context.Context, w *watch, drops []drop,
	enough func(result) bool) (result, error) {
	last := time.Now()
	for {
		progress, err := w.look(ctx)
		if err != nil {
			return result{}, err
		}
		if progress {
			last = time.Now()
		}
		r, err := n.check(ctx, w, drops)
		if err != nil {
			return result{}, err
		}
		if enough(r) || time.Since(last) > patience {
			return r, nil
		}
		if err := n.nursery.failed(); err != nil {
			return r, err
		}
		if err := pause(ctx); err != nil {
			return r, err
		}
	}
}

func (n *network) watchUntilEnd(ctx context.Context, w *watch) error {
	for {
		if _, err := w.look(ctx); err != nil {
			return err
		}
		if err := n.nursery.failed(); err != nil {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// invite prints the next steps for the user.
func (n *network) invite(ctx context.Context, o Options) {
	w := o.Out
	if o.JSON {
		w = o.Err
	}
	fmt.Fprintln(w, "\nThe network stays up. "+
		"Drop a file into one of these folders (or copy it there):")
	for _, l := range labs {
		fmt.Fprintf(w, "  %-60s → %v\n", filepath.Join(n.site(l.site), "outbox"), l.reach)
	}
	fmt.Fprintf(w, "It arrives in %s. Ask a daemon how it is:\n"+
		"  %s agent status --dir %s\n"+
		"  %s hub queues --dir %s\n",
		filepath.Join(n.dir, "<CENTRE>", "inbox", "<LAB>"), o.Program, n.site(labs[0].site),
		o.Program, n.site(hubName))
	var link hub.ConsoleLink
	if err := n.askHub(ctx, hub.ControlConsole, hub.ConsoleRequest{}, &link); err != nil {
		fmt.Fprintf(w, "The console does not open: %v\n", err)
	} else {
		fmt.Fprintf(w, "Look at the network in a browser; the link works once, for five minutes:\n"+
			"  %s\nFor another one: %s hub console --dir %s\n", link.URL, o.Program,
			n.site(hubName))
	}
	fmt.Fprint(w, "Ctrl-C ends the demo; the folder stays.\n\n")
}
