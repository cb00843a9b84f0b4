package cli

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"
	"time"

	"sealpost/agent"
	"sealpost/internal/backoff"
	"sealpost/internal/control"
	"sealpost/internal/dropin"
	"sealpost/internal/id"
	"sealpost/internal/reason"
)

// sendReport is the JSON of the command.
type sendReport struct {
	Files []sendResult `json:"files"`
}

// sendResult is one file.
type sendResult struct {
	File    string             `json:"file"` // as it was given
	Path    string             `json:"path"` // in outbox; empty: it was not copied
	To      string             `json:"to"`
	Outcome string             `json:"outcome"`
	Message *agent.SentMessage `json:"message,omitempty"` // once the agent has taken it
	// the delivered message with its content, for which it is not sent
	SentBefore *sentBefore `json:"sent_before,omitempty"`

	copied dropin.Copied
	left   reason.Reason // why the agent leaves it in outbox
}

// sentBefore names an earlier message with the content of a file.
type sentBefore struct {
	Message id.Message `json:"message_id"`
	Time    time.Time  `json:"time"`
}

// The outcomes of a file. A file that was sent goes on by itself.
const (
	outcomeSent       = "sent"
	outcomeDelivered  = "delivered"
	outcomeFailed     = "failed"
	outcomeWithdrawn  = "withdrawn"
	outcomeSentBefore = "sent-before"
)

// repeats notes that a file is not sent, since its content was sent before.
func (f *sendResult) repeats(before agent.Earlier) {
	f.Outcome = outcomeSentBefore
	f.SentBefore = &sentBefore{before.Message, before.Time}
}

// hasEnded reports whether a file has its final outcome.
func (f *sendResult) hasEnded() bool { return f.Outcome != outcomeSent }

// notDelivered returns the error of the files that were not delivered, if any has ended so.
func (r *sendReport) notDelivered() error {
	count := map[string]int{}
	for _, f := range r.Files {
		count[f.Outcome]++
	}
	all := len(r.Files)
	switch {
	case count[outcomeFailed] > 0:
		return notDelivered{reason.Err("send-not-all", "failed", count[outcomeFailed], "all", all)}
	case count[outcomeWithdrawn] > 0:
		return notDelivered{reason.Err("send-recalled", "recalled", count[outcomeWithdrawn],
			"all", all)}
	case count[outcomeSentBefore] > 0:
		return repeated{reason.Err("send-repeats", "n", count[outcomeSentBefore], "all", all)}
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
	for i := range out.Files {
		f := &out.Files[i]
		if f.hasEnded() {
			continue
		}
		err := s.follow(ctx, f, since)
		s.progress.clear()
		if errors.As(err, new(timedOut)) {
			s.lookOnce(ctx, since, out.Files[i+1:])
		}
		if err != nil {
			return err
		}
		if !s.asJSON {
			s.line(f.ending())
		}
	}
	return nil
}

// lookOnce notes the messages of files for which there was no time to wait.
func (s *sender) lookOnce(ctx context.Context, since time.Time, files []sendResult) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	for i := range files {
		if !files[i].hasEnded() {
			_ = s.look(ctx, &files[i], since) // the file goes on all the same
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

// ending returns how a file has ended.
func (f *sendResult) ending() reason.Reason {
	if f.SentBefore != nil {
		return reason.New("send-repeat", "name", baseOf(f.File), "message", f.SentBefore.Message,
			"time", f.SentBefore.Time)
	}
	m, why := f.Message, f.Message.Reason
	switch m.State {
	case "delivered":
		return reason.New("send-delivered", "name", m.Name, "sites", sitesOf(*m), "message", m.ID)
	case "failed":
		return reason.New("send-failed", "name", m.Name, "why", why, "message", m.ID)
	}
	return reason.New("send-ended", "name", m.Name, "state", m.State.Reason(), "why", why)
}

// follow waits until a copied file is final, also while the agent is started again.
func (s *sender) follow(ctx context.Context, f *sendResult, since time.Time) error {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := s.look(ctx, f, since)
		switch {
		case err == nil && f.hasEnded():
			return nil
		case ctx.Err() != nil:
			return s.ended(ctx, f)
		case control.IsAway(err):
			s.sayAway(filepath.Base(f.Path), err)
		case err != nil:
			return err
		default:
			s.saidAway = false
		}
		if err := backoff.Sleep(ctx, pause); err != nil {
			return s.ended(ctx, f)
		}
	}
}

// look notes the progress of a file, and shows it.
func (s *sender) look(ctx context.Context, f *sendResult, since time.Time) error {
	m, err := s.find(ctx, f.copied, since)
	if err != nil {
		return err
	}
	f.note(m)
	isTaken := m.State != ""
	if f.hasEnded() || isTaken && !s.progress.isVisible() {
		f.left = reason.Reason{}
		return nil
	}
	var st agent.Status
	if err := askAgent(ctx, s.dir, agent.PathStatus, agent.StatusRequest{}, &st); err != nil ||
		st.Outbox == nil {
		return err
	}
	f.left = reason.Reason{}
	if !isTaken {
		f.left = s.notTaken(st, f.copied)
	}
	if f.left.Code == reason.LeftRepeat { // the note may be of an earlier file of that name
		before, err := s.sentBefore(ctx, f.Path)
		if err == nil && before != nil {
			f.repeats(*before)
			return nil
		}
	}
	if s.progress.isVisible() {
		s.describe(st, f.copied, m)
	}
	return nil
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
// automatically, unless the agent leaves it in outbox.
func (s *sender) ended(ctx context.Context, f *sendResult) error {
	name := filepath.Base(f.Path)
	hasTimedOut := errors.Is(context.Cause(ctx), errTimeout)
	var waits reason.Reason
	if f.Message != nil {
		waits = f.Message.Reason
	}
	why := reason.Err("send-goes-on", "name", name, "waits", waits)
	switch {
	case !f.left.IsZero():
		why = reason.Err("send-stays", "name", name, "why", f.left)
	case hasTimedOut:
		why = reason.Err("send-timed-out", "name", name, "wait", s.timeout, "waits", waits)
	}
	if hasTimedOut {
		return timedOut{why}
	}
	return interrupted{why}
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
func (s *sender) describe(st agent.Status, c dropin.Copied, m agent.SentMessage) {
	name := filepath.Base(c.Path)
	for _, copied := range st.Outbox.Copies {
		if m.ID == copied.Message || m.State == "" && copied.Name == s.inOutbox(c) {
			s.progress.line(name, copied.Done, copied.Size, s.in(copied.Progress()))
			return
		}
	}
	for _, u := range st.Outbox.Uploads {
		if u.Message == m.ID {
			s.progress.line(name, u.Done, u.Size,
				s.in(howFar(u.Done, u.Size, u.Rate, u.Left)))
			return
		}
	}
	s.progress.say(name + ": " + s.in(s.stage(st, c, m)))
}

// stage returns the stage of a file that nothing moves just now.
func (s *sender) stage(st agent.Status, c dropin.Copied, m agent.SentMessage) reason.Reason {
	switch {
	case m.State == "":
		return cmp.Or(s.notTaken(st, c), reason.New("stage-settling"))
	case !m.Reason.IsZero():
		return m.Reason
	case m.State == "taken" && !st.Outbox.Blocked[m.Address].IsZero():
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
	for _, t := range st.Outbox.Trays {
		if t.Name == s.tray.Name {
			return t.NotTaken[s.inOutbox(c)]
		}
	}
	return reason.Reason{}
}

// inOutbox returns the path of a copy in outbox; empty: it is elsewhere.
func (s *sender) inOutbox(c dropin.Copied) string {
	name, err := filepath.Rel(s.tray.Outbox, c.Path)
	if err != nil {
		return ""
	}
	return name
}
