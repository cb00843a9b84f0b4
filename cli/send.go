package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/backoff"
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
			"not run at the beginning. With exit code 8 a file was not sent, since its content\n" +
			"was sent before, and the tray leaves such files alone (repeat = \"leave\").",
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
	if err == nil {
		err = out.notDelivered()
	}
	if s.asJSON && len(out.Files) > 0 {
		err = errors.Join(printJSON(s.w, out), err)
	}
	return err
}

// copyAll copies the files into outbox, without those that the tray would leave there since their
// content was sent before.
func (s *sender) copyAll(ctx context.Context, files []string, out *sendReport) error {
	for _, file := range files {
		f := sendResult{File: file, To: s.to, Outcome: outcomeSent}
		before, err := s.sentBefore(ctx, withoutLinks(file))
		if err == nil && before == nil {
			f.copied, err = s.copy(ctx, file)
			f.Path = f.copied.Path
		}
		if err != nil {
			return reason.Err("send-not-copied", "why", err)
		}
		says := reason.New("send-in-outbox", "name", baseOf(file), "to", s.to)
		if before != nil {
			f.repeats(*before)
			says = f.ending()
		}
		out.Files = append(out.Files, f)
		if !s.asJSON && (!s.wait || f.hasEnded()) {
			s.line(says)
		}
	}
	return nil
}

// sentBefore returns the message with the content of a file, if the tray leaves such a file in
// outbox. It returns none if the file would be sent.
func (s *sender) sentBefore(ctx context.Context, file string) (*agent.Earlier, error) {
	if !s.tray.LeavesRepeats {
		return nil, nil
	}
	size, err := dropin.Size(file)
	if err != nil {
		return nil, err
	}
	var answer agent.EarlierAnswer
	err = askAgent(ctx, s.dir, agent.PathEarlier, agent.EarlierRequest{Tray: s.tray.Name,
		Folder: s.folder, Name: filepath.Base(file), Size: size}, &answer)
	if err != nil || answer.Earlier == nil || !answer.Earlier.IsContentOf(file) {
		return nil, err
	}
	return answer.Earlier, nil
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
		if errors.Is(err, fs.ErrExist) {
			inTheWay := filepath.Join(s.tray.Outbox, s.folder, name)
			if before, _ := s.sentBefore(ctx, inTheWay); before != nil {
				return c, reason.Err("send-repeat-in-the-way", "name", name,
					"message", before.Message, "time", before.Time)
			}
		}
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
