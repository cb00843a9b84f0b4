package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/backoff"
	"sealpost/internal/control"
	"sealpost/internal/dropin"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// nameWait is the longest wait for an earlier file of that name to leave outbox.
const nameWait = 2 * time.Minute

func sendCommand() *cobra.Command {
	var s sender
	var to, tray string
	var timeout days
	cmd := &cobra.Command{
		Use: "send FILE…", Short: "Copy files or folders into the outbox of the agent that " +
			"runs here, and follow them if wanted",
		Long: "Copy files or folders into the outbox of the agent that runs here. The originals\n" +
			"stay. With --wait the command ends when every recipient has signed for them,\n" +
			"with exit code 0, or when all have ended and one was refused, has failed or was\n" +
			"recalled, with exit code 7. It waits on while the agent is started again.\n" +
			"Interrupted it ends with exit code 5, and after --timeout with exit code 6; what\n" +
			"is in outbox goes on by itself. With exit code 3 nothing was sent: the agent did\n" +
			"not run at the beginning.",
		Example: "  sealpost send results.csv --dir /srv/sealpost/FL-LAB --wait\n" +
			"  sealpost send results.csv --to @CA-RC,SF-RC\n" +
			"  sealpost send run7.fastq --tray sequencer",
		Args: wantArgs("FILE…"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.dir, s.printer, s.errs = dirOf(cmd), printerOf(cmd), cmd.ErrOrStderr()
			s.progress = newBar(s.errs, s.language)
			s.asJSON, s.timeout = wantsJSON(cmd), timeout.Duration
			if s.timeout > 0 && !s.wait {
				return &usageError{reason.Err("send-timeout-waits")}
			}
			if err := sendable(args); err != nil {
				return err
			}
			if err := s.choose(cmd.Context(), tray, to, args); err != nil {
				return err
			}
			return s.send(cmd.Context(), args)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&to, "to", "", "a tray's routing key, or sites: @SITE[,SITE] "+
		"(default the routing key of the only tray, or of --tray)")
	cmd.Flags().StringVar(&tray, "tray", "", "the name of the tray, for a site with several "+
		"(default the one with the routing key; for sites the first)")
	cmd.Flags().BoolVar(&s.wait, "wait", false, "wait until every recipient has signed for it")
	cmd.Flags().Var(&timeout, "timeout", "with --wait: how long to wait at most once the files "+
		"are in outbox, such as 90s, 30m or 1d (default without end)")
	return completeFlag(completeFlag(cmd, "to", addresses), "tray", traysOf)
}

// sender is one run of the command.
type sender struct {
	dir      string // of the agent
	wait     bool
	timeout  time.Duration // of the wait; 0: none
	asJSON   bool
	tray     agent.Tray
	folder   string // of the tray's outbox, to copy into; empty: outbox itself
	to       string
	*printer // to the output
	errs     io.Writer
	saidAway bool // the user knows that the agent does not answer
	progress *bar
}

// sendable looks at all files first: nothing is sent when one of them cannot be.
func sendable(files []string) error {
	for _, file := range files {
		_, err := dropin.Size(withoutLinks(file))
		if errors.Is(err, fs.ErrNotExist) {
			return reason.Err("send-not-there", "file", file)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// choose finds the folder that means the address, and makes sure that the files would be taken from
// it.
func (s *sender) choose(ctx context.Context, tray, to string, files []string) error {
	ask := agent.TraysRequest{}
	for _, file := range files {
		ask.Names = append(ask.Names, baseOf(file))
	}
	var all agent.Trays
	if err := askAgent(ctx, s.dir, agent.PathTrays, ask, &all); err != nil {
		return err
	}
	if err := s.place(all, tray, to); err != nil {
		return err
	}
	for _, name := range ask.Names {
		if why := s.tray.LeftAlone[name]; !why.IsZero() {
			return reason.Err("send-left-alone", "name", name, "why", why)
		}
	}
	return nil
}

// withoutLinks follows the links on the way to a file that the caller names, also those of other
// accounts. A file that is a link itself stays one.
func withoutLinks(file string) string {
	file = absolute(file)
	dir, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return file // the caller reports the error when it opens the file
	}
	return filepath.Join(dir, filepath.Base(file))
}

// baseOf is the name under which a file comes into outbox, whatever way it was given.
func baseOf(file string) string { return filepath.Base(absolute(file)) }

// place chooses tray, folder and address.
func (s *sender) place(all agent.Trays, tray, to string) error {
	trays := all.Trays
	if tray != "" {
		trays = slices.DeleteFunc(slices.Clone(trays),
			func(t agent.Tray) bool { return t.Name != tray })
		if len(trays) == 0 {
			return &usageError{reason.Err("send-no-tray", "tray", tray,
				"trays", trayNames(all.Trays))}
		}
	}
	if strings.HasPrefix(to, "@") {
		return s.direct(trays[0], to)
	}
	fit := slices.DeleteFunc(slices.Clone(trays),
		func(t agent.Tray) bool { return to != "" && t.Route != to })
	switch {
	case len(fit) == 0:
		return &usageError{reason.Err("send-no-route", "routes", trayList(trays))}
	case len(fit) > 1:
		return &usageError{reason.Err("send-which-tray", "trays", trayList(fit))}
	}
	s.tray, s.to = fit[0], fit[0].Route
	return nil
}

// direct chooses the folder of a tray that means particular sites.
func (s *sender) direct(tray agent.Tray, to string) error {
	var sites []string
	for name := range strings.SplitSeq(to[1:], ",") {
		site, err := id.ParseSite(strings.ToUpper(strings.TrimSpace(name)))
		if err != nil {
			return usagef("--to %s: %v", to, err)
		}
		sites = append(sites, string(site))
	}
	s.tray, s.to = tray, "@"+strings.Join(sites, ",")
	s.folder = s.to
	return nil
}

// trayList returns the routing keys of trays, with their names where there are several.
func trayList(trays []agent.Tray) []string {
	if len(trays) == 1 {
		return []string{trays[0].Route}
	}
	return trayNames(trays)
}

// trayNames names them by their names, with their routing keys.
func trayNames(trays []agent.Tray) (list []string) {
	for _, t := range trays {
		list = append(list, `"`+t.Name+`" (`+t.Route+")")
	}
	return list
}

// send copies the files, and with --wait follows them to their ends. It shows the result in each
// case, also of files that still go on.
func (s *sender) send(ctx context.Context, files []string) error {
	since := time.Now().Add(-time.Minute)
	out := sendReport{Files: []sendResult{}}
	err := s.copyAll(ctx, files, &out)
	if err == nil && s.wait {
		err = s.followAll(ctx, since, &out)
	}
	if s.asJSON && len(out.Files) > 0 {
		err = errors.Join(printJSON(s.w, out), err)
	}
	return err
}

// sendReport is the JSON of the command.
type sendReport struct {
	Files []sendResult `json:"files"`
}

// sendResult is one file.
type sendResult struct {
	File    string             `json:"file"` // as it was given
	Path    string             `json:"path"` // in outbox
	To      string             `json:"to"`
	Outcome string             `json:"outcome"`
	Message *agent.SentMessage `json:"message,omitempty"` // once the agent has taken it

	copied dropin.Copied
}

// The outcomes of a file. A file that was sent goes on by itself.
const (
	outcomeSent      = "sent"
	outcomeDelivered = "delivered"
	outcomeFailed    = "failed"
	outcomeWithdrawn = "withdrawn"
)

// copyAll copies the files into outbox.
func (s *sender) copyAll(ctx context.Context, files []string, out *sendReport) error {
	for _, file := range files {
		c, err := s.copy(ctx, file)
		if err != nil {
			return reason.Err("send-not-copied", "why", err)
		}
		out.Files = append(out.Files, sendResult{File: file, Path: c.Path, To: s.to,
			Outcome: outcomeSent, copied: c})
		if !s.wait && !s.asJSON {
			s.line(reason.New("send-in-outbox", "name", filepath.Base(c.Path), "to", s.to))
		}
	}
	return nil
}

// followAll waits until all files have ended, or the time is up.
func (s *sender) followAll(ctx context.Context, since time.Time, out *sendReport) error {
	if s.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.timeout, errTimeout)
		defer cancel()
	}
	count := map[string]int{}
	for i := range out.Files {
		f := &out.Files[i]
		m, err := s.follow(ctx, f.copied, since)
		s.progress.clear()
		f.note(m)
		if errors.As(err, new(timedOut)) {
			s.lookOnce(ctx, since, out.Files[i+1:])
		}
		if err != nil {
			return err
		}
		if !s.asJSON {
			s.line(ending(m))
		}
		count[f.Outcome]++
	}
	switch {
	case count[outcomeFailed] > 0:
		return notDelivered{reason.Err("send-not-all", "failed", count[outcomeFailed],
			"all", len(out.Files))}
	case count[outcomeWithdrawn] > 0:
		return notDelivered{reason.Err("send-recalled", "recalled", count[outcomeWithdrawn],
			"all", len(out.Files))}
	}
	return nil
}

// lookOnce notes the messages of files for which there was no time to wait.
func (s *sender) lookOnce(ctx context.Context, since time.Time, files []sendResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	for i := range files {
		if m, err := s.find(ctx, files[i].copied, since); err == nil {
			files[i].note(m)
		}
	}
}

// lastLook is the longest time for the last questions after a timeout.
const lastLook = 5 * time.Second

// note takes over the message of a file, and its outcome if it has ended.
func (f *sendResult) note(m agent.SentMessage) {
	if m.State == "" {
		return // the agent has not taken it yet
	}
	f.Message = &m
	switch {
	case !isEnded(m):
	case m.State == "delivered":
		f.Outcome = outcomeDelivered
	case m.State == "withdrawn":
		f.Outcome = outcomeWithdrawn
	default:
		f.Outcome = outcomeFailed
	}
}

// ending returns how a message has ended.
func ending(m agent.SentMessage) reason.Reason {
	why := m.Reason
	switch m.State {
	case "delivered":
		return reason.New("send-delivered", "name", m.Name, "sites", sitesOf(m), "message", m.ID)
	case "failed":
		return reason.New("send-failed", "name", m.Name, "why", why, "message", m.ID)
	}
	return reason.New("send-ended", "name", m.Name, "state", m.State.Reason(), "why", why)
}

// copy brings one file into outbox. When a file of that name is there already, that one is on its
// way first.
func (s *sender) copy(ctx context.Context, file string) (dropin.Copied, error) {
	size, err := dropin.Size(withoutLinks(file))
	if err != nil {
		return dropin.Copied{}, err
	}
	deadline := time.Now().Add(nameWait)
	name := baseOf(file)
	for {
		c, err := s.copyOnce(ctx, file, size)
		if errors.Is(err, fs.ErrExist) && time.Now().Before(deadline) &&
			backoff.Sleep(ctx, 500*time.Millisecond) == nil {
			s.progress.say(name + ": " + s.in(reason.New("send-same-name-first")))
			continue
		}
		if errors.Is(err, fs.ErrExist) {
			return c, reason.Err("send-same-name", "name", name)
		}
		return c, err
	}
}

// copyOnce holds the folder in outbox open for one try: its disk may be unmounted meanwhile.
func (s *sender) copyOnce(ctx context.Context, file string, size int64) (dropin.Copied, error) {
	into, err := dropin.Open(s.tray.Outbox, s.folder)
	if err != nil {
		return dropin.Copied{}, err
	}
	defer into.Close()
	defer s.progress.clear()
	done := int64(0)
	name := baseOf(file)
	c, err := into.Copy(ctx, withoutLinks(file), func(n int) {
		done += int64(n)
		s.progress.show(name, s.in(reason.New("copying")), done, size)
	})
	settles := c.Folder && s.tray.FolderSettle > 10*time.Second
	if err == nil && (s.tray.NeedsMarker || settles) {
		err = into.Mark(strings.Replace(s.tray.Marker, "*", name, 1))
	}
	return c, err
}

// follow waits until the copied file is final, also while the agent is started again.
func (s *sender) follow(ctx context.Context, c dropin.Copied,
	since time.Time) (agent.SentMessage, error) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		m, err := s.find(ctx, c, since)
		if err == nil && !isEnded(m) {
			err = s.describe(ctx, c, m)
		}
		switch {
		case err == nil && isEnded(m):
			return m, nil
		case ctx.Err() != nil:
			return m, s.ended(ctx, c)
		case control.IsAway(err):
			s.sayAway(filepath.Base(c.Path), err)
		case err != nil:
			return m, err
		default:
			s.saidAway = false
		}
		if err := backoff.Sleep(ctx, pause); err != nil {
			return m, s.ended(ctx, c)
		}
	}
}

// isEnded reports whether a message is final and lies where it stays.
func isEnded(m agent.SentMessage) bool {
	return m.State == "withdrawn" || (m.State == "delivered" || m.State == "failed") && m.Filed
}

// sayAway reports once that the agent does not answer. Files in outbox go on when it runs again.
func (s *sender) sayAway(name string, err error) {
	why := reason.New("send-agent-away")
	if errors.Is(err, control.ErrHindered) {
		why = reason.Of(err)
	}
	says := s.in(why)
	if s.progress.isVisible() {
		s.progress.say(name + ": " + says)
	} else if !s.saidAway {
		printf(s.errs, "%s: %s\n", quoted(name), shown(says))
	}
	s.saidAway = true
}

// ended returns the error of a wait that was interrupted, or that took too long. The file goes on
// automatically.
func (s *sender) ended(ctx context.Context, c dropin.Copied) error {
	name := filepath.Base(c.Path)
	if errors.Is(context.Cause(ctx), errTimeout) {
		return timedOut{reason.Err("send-timed-out", "name", name, "wait", s.timeout)}
	}
	return interrupted{reason.Err("send-goes-on", "name", name)}
}

var errTimeout = errors.New("timeout")

// find returns the message of a copy, in whose folder that very file lies. It returns one without a
// state if there is none yet.
func (s *sender) find(ctx context.Context, c dropin.Copied,
	since time.Time) (agent.SentMessage, error) {
	name := filepath.Base(c.Path)
	var found agent.Found
	if err := askAgent(ctx, s.dir, agent.PathFind, agent.FindRequest{Name: name, Sent: true},
		&found); err != nil {
		return agent.SentMessage{}, err
	}
	var candidates []agent.SentMessage
	for _, m := range found.Sent {
		if m.Name != name || m.Claimed.Before(since) {
			continue
		}
		candidates = append(candidates, m)
		if m.Folder != "" && c.IsAt(s.tray.Dir, path.Join(m.Folder, name)) {
			return m, nil
		}
	}
	if _, err := os.Lstat(c.Path); err != nil && len(candidates) == 1 {
		// moved away since by a user, or on its way between two folders
		return candidates[0], nil
	}
	return agent.SentMessage{}, nil
}

// describe shows the user the progress of a file.
func (s *sender) describe(ctx context.Context, c dropin.Copied, m agent.SentMessage) error {
	if !s.progress.isVisible() {
		return nil
	}
	var st agent.Status
	if err := askAgent(ctx, s.dir, agent.PathStatus, agent.StatusRequest{}, &st); err != nil ||
		st.Outbox == nil {
		return err
	}
	name := filepath.Base(c.Path)
	for _, u := range st.Outbox.Uploads {
		if u.Message == m.ID {
			s.progress.line(name, u.Done, u.Size,
				s.in(howFar(u.Done, u.Size, u.Rate, u.Left)))
			return nil
		}
	}
	s.progress.say(name + ": " + s.in(s.stage(st, c, m)))
	return nil
}

// stage returns the stage of a file that nothing moves just now.
func (s *sender) stage(st agent.Status, c dropin.Copied, m agent.SentMessage) reason.Reason {
	switch {
	case m.State == "":
		return cmp.Or(s.notTaken(st, c), reason.New("stage-settling"))
	case !st.Outbox.Blocked[m.Address].IsZero():
		return st.Outbox.Blocked[m.Address]
	case !m.HeldUntil.IsZero():
		return reason.New("held-until", "time", m.HeldUntil)
	case m.State == "published":
		return reason.New("stage-at-hub")
	}
	return reason.New("stage-to-hub")
}

// notTaken returns why a file is left alone in outbox.
func (s *sender) notTaken(st agent.Status, c dropin.Copied) reason.Reason {
	name, err := filepath.Rel(s.tray.Outbox, c.Path)
	if err != nil {
		return reason.Reason{}
	}
	for _, t := range st.Outbox.Trays {
		if t.Name == s.tray.Name {
			return t.NotTaken[name]
		}
	}
	return reason.Reason{}
}
