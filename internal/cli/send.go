package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/backoff"
	"sealpost/internal/dropin"
	"sealpost/internal/id"
)

// nameWait is how long a name may be taken in outbox by a file before: that one is on its way.
const nameWait = 2 * time.Minute

func sendCommand() *cobra.Command {
	var s sender
	var to, tray string
	cmd := &cobra.Command{
		Use: "send FILE…", Short: "Copy files or folders into the outbox of the agent that runs here, and follow them if wanted",
		Long: "Copy files or folders into the outbox of the agent that runs here. The originals stay. With --wait the command ends when\n" +
			"every recipient has signed for them, with exit code 0, or when one of them has failed, with exit code 1.\n" +
			"It may be interrupted while it waits: what is in outbox goes on by itself.",
		Example: "  sealpost send results.csv --dir /srv/sealpost/FL-LAB --wait\n  sealpost send results.csv --to @CA-RC,SF-RC\n  sealpost send run7.fastq --tray sequencer",
		Args:    wantArgs("FILE…"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s.out, s.progress = cmd.OutOrStdout(), newBar(cmd.ErrOrStderr())
			if err := s.choose(cmd.Context(), tray, to); err != nil {
				return err
			}
			return s.send(cmd.Context(), args)
		},
	}
	dirFlag(cmd, &s.dir, "agent")
	cmd.Flags().StringVar(&to, "to", "", "a tray's routing key, or sites: @SITE[,SITE] (default the routing key of the only tray, or of --tray)")
	cmd.Flags().StringVar(&tray, "tray", "", "the name of the tray, for a site with several (default the one with the routing key; for sites the first)")
	cmd.Flags().BoolVar(&s.wait, "wait", false, "wait until every recipient has signed for it")
	return cmd
}

// sender is one run of the command.
type sender struct {
	dir      string // of the agent
	wait     bool
	tray     agent.Tray
	outbox   string // the folder to copy into
	to       string
	out      io.Writer
	progress *bar
}

// choose finds the folder that means the address.
func (s *sender) choose(ctx context.Context, tray, to string) error {
	var all agent.Trays
	if err := askAgent(ctx, s.dir, agent.PathTrays, struct{}{}, &all); err != nil {
		return err
	}
	trays := all.Trays
	if tray != "" {
		trays = slices.DeleteFunc(slices.Clone(trays), func(t agent.Tray) bool { return t.Name != tray })
		if len(trays) == 0 {
			return usagef("this site has no tray %q; it has %s", tray, trayList(all.Trays))
		}
	}
	if strings.HasPrefix(to, "@") {
		return s.direct(trays[0], to)
	}
	fit := slices.DeleteFunc(slices.Clone(trays), func(t agent.Tray) bool { return to != "" && t.Route != to })
	switch {
	case len(fit) == 0:
		return usagef("this site sends under %s; for particular sites say --to @SITE or --to @SITE,SITE", trayList(trays))
	case len(fit) > 1:
		return usagef("which tray is meant? Say --tray with one of %s", trayList(fit))
	}
	s.tray, s.outbox, s.to = fit[0], fit[0].Outbox, fit[0].Route
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
	s.outbox = filepath.Join(s.tray.Outbox, s.to)
	if err := os.Mkdir(s.outbox, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// trayList names trays for a person: by their routing keys, and by their names where there are several.
func trayList(trays []agent.Tray) string {
	var list []string
	for _, t := range trays {
		if len(trays) == 1 {
			return t.Route
		}
		list = append(list, fmt.Sprintf("%q (%s)", t.Name, t.Route))
	}
	return strings.Join(list, ", ")
}

func (s *sender) send(ctx context.Context, files []string) error {
	for _, file := range files { // all of them first: nothing is sent when one cannot be
		if _, err := dropin.Size(file); err != nil {
			return err
		}
	}
	since := time.Now().Add(-time.Minute)
	var sent []dropin.Copied
	for _, file := range files {
		c, err := s.copy(ctx, file)
		if err != nil {
			return fmt.Errorf("not sent: %w", err)
		}
		sent = append(sent, c)
		if !s.wait {
			fmt.Fprintf(s.out, "%q is in outbox, for %s\n", filepath.Base(c.Path), s.to)
		}
	}
	if !s.wait {
		return nil
	}
	failed := 0
	for _, c := range sent {
		m, err := s.follow(ctx, c, since)
		s.progress.clear()
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%q: %s\n", m.Name, ending(m))
		if m.State != "delivered" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d not delivered to everybody", failed, len(sent))
	}
	return nil
}

func ending(m agent.SentMessage) string {
	switch m.State {
	case "delivered":
		return fmt.Sprintf("delivered to %s (%s)", sitesOf(m), m.ID)
	case "failed":
		return fmt.Sprintf("failed: %s; failed/%s says more", m.Reason, m.ID)
	}
	return fmt.Sprintf("%s: %s", m.State, m.Reason)
}

// copy brings one file into outbox. When a file of that name is there already, that one is on its way first.
func (s *sender) copy(ctx context.Context, file string) (dropin.Copied, error) {
	size, err := dropin.Size(file)
	if err != nil {
		return dropin.Copied{}, err
	}
	deadline := time.Now().Add(nameWait)
	name := filepath.Base(file)
	for {
		done := int64(0)
		c, err := dropin.Copy(ctx, file, s.outbox, func(n int) {
			done += int64(n)
			s.progress.show(name, "copying", done, size)
		})
		s.progress.clear()
		if errors.Is(err, fs.ErrExist) && time.Now().Before(deadline) && backoff.Sleep(ctx, 500*time.Millisecond) == nil {
			s.progress.say(name + ": waiting until the file of the same name in outbox is taken")
			continue
		}
		if errors.Is(err, fs.ErrExist) {
			return c, fmt.Errorf("%s: a file of that name lies in outbox and is not taken; 'sealpost agent status' says why", name)
		}
		if err == nil && c.Info.IsDir() && s.tray.FolderSettle > 10*time.Second {
			err = os.WriteFile(c.Path+".done", nil, 0o666) // it is complete: nobody need wait for it to settle
		}
		return c, err
	}
}

// follow waits until what was copied is final.
func (s *sender) follow(ctx context.Context, c dropin.Copied, since time.Time) (agent.SentMessage, error) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		m, found, err := s.find(ctx, c, since)
		if err != nil {
			return m, err
		}
		if found && (m.State == "delivered" || m.State == "failed" || m.State == "withdrawn") && (m.Filed || m.State == "withdrawn") {
			return m, nil
		}
		if err := s.describe(ctx, c, m, found); err != nil {
			return m, err
		}
		if err := backoff.Sleep(ctx, pause); err != nil {
			return m, fmt.Errorf("interrupted; %s goes on by itself, see 'sealpost agent find'", filepath.Base(c.Path))
		}
	}
}

// find returns the message that was made of a copy: the one in whose folder that very file lies.
func (s *sender) find(ctx context.Context, c dropin.Copied, since time.Time) (agent.SentMessage, bool, error) {
	name := filepath.Base(c.Path)
	var found agent.Found
	if err := askAgent(ctx, s.dir, agent.PathFind, agent.FindRequest{Name: name, Sent: true}, &found); err != nil {
		return agent.SentMessage{}, false, err
	}
	var candidates []agent.SentMessage
	for _, m := range found.Sent {
		if m.Name != name || m.Claimed.Before(since) {
			continue
		}
		candidates = append(candidates, m)
		for _, folder := range []string{"sending", "delivered", "failed"} {
			info, err := os.Lstat(filepath.Join(s.tray.Dir, folder, string(m.ID), name))
			if err == nil && os.SameFile(info, c.Info) {
				return m, true, nil
			}
		}
	}
	if _, err := os.Lstat(c.Path); err != nil && len(candidates) == 1 {
		return candidates[0], true, nil // moved away since by a person, or on its way between two folders
	}
	return agent.SentMessage{}, false, nil
}

// describe shows a person who waits what is going on.
func (s *sender) describe(ctx context.Context, c dropin.Copied, m agent.SentMessage, found bool) error {
	if !s.progress.seen() {
		return nil
	}
	var st agent.Status
	if err := askAgent(ctx, s.dir, agent.PathStatus, agent.StatusRequest{}, &st); err != nil || st.Outbox == nil {
		return err
	}
	name := filepath.Base(c.Path)
	for _, u := range st.Outbox.Uploads {
		if found && u.Message == m.ID {
			s.progress.line(name, u.Done, u.Size, howFar(u.Done, u.Size, u.Rate, u.Left))
			return nil
		}
	}
	switch {
	case !found:
		s.progress.say(name + ": in outbox; it is taken when it has settled")
	case st.Outbox.Blocked[m.Address] != "":
		s.progress.say(name + ": " + st.Outbox.Blocked[m.Address])
	case m.State == "published":
		s.progress.say(name + ": at the hub, waiting for the receipts")
	default:
		s.progress.say(name + ": on its way to the hub")
	}
	return nil
}
