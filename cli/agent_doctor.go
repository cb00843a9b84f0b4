package cli

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/config"
	"sealpost/internal/control"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

func agentDoctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong at this site, and say what to do about it",
		Args: noArgs,
		Long: "Look for what is wrong at this site: keys, certificate, folders, space,\n" +
			"notifications, the hub, the clock. Each line says OK, WARN or FAIL and what to\n" +
			"do. It changes nothing, and works whether the agent runs or not. Run it under\n" +
			"the agent's account. The exit code is 1 when a line says FAIL.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := dirOf(cmd)
			if err := workAsOwner(cmd, dir); err != nil {
				return err
			}
			cfg, err := loadAgent(dir)
			if err != nil {
				return err
			}
			return showFindings(cmd, reason.Language(cfg.Language),
				func(note func(doctor.Finding)) error {
					o := doctor.Options{Config: cfg, Dir: dir, Version: versionInfo().Version}
					if doctor.Examine(cmd.Context(), o, note) {
						askAtWork(cmd.Context(), dir, cfg, note)
					}
					return nil
				})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

// askAtWork adds the findings that only the running agent has.
func askAtWork(ctx context.Context, dir string, cfg config.Agent, note func(doctor.Finding)) {
	var s agent.Status
	err := askAgent(ctx, dir, agent.PathStatus, agent.StatusRequest{}, &s)
	say := func(l doctor.Level, check, says, do reason.Reason) {
		note(doctor.Finding{Level: l, Check: check, Verdict: reason.Verdict{Says: says, Do: do}})
	}
	self, run := reason.New("check-agent"), shell.Join("sealpost", "agent", "run", "--dir", dir)
	switch {
	case errors.Is(err, control.ErrNotRunning) && !agent.TakenOver(cfg.State).IsZero():
		say(doctor.Fail, self, agent.RunsElsewhere(agent.TakenOver(cfg.State)),
			reason.New("choose-computer", "command", run))
		return
	case errors.Is(err, control.ErrNotRunning) && agent.CheckStart(cfg) != nil:
		say(doctor.Fail, self, reason.New("start-fails", "why", agent.CheckStart(cfg)),
			reason.New("mend-and-start", "command", run))
		return
	case errors.Is(err, control.ErrNotRunning):
		say(doctor.Warn, self, reason.New("agent-stopped"),
			reason.New("start-agent", "command", run))
		return
	case errors.Is(err, control.ErrHindered):
		say(doctor.Fail, self, reason.Of(err), reason.New("do-as-said"))
		return
	case err != nil:
		say(doctor.Warn, self, reason.Of(err), reason.New("as-agent"))
		return
	case !s.Link.Connected:
		say(doctor.Fail, self, reason.New("agent-apart", "why", s.Link.Trouble),
			reason.New("see-hub-above"))
	default:
		say(doctor.OK, self, reason.New("agent-connected", "hub", s.Link.Hub), reason.Reason{})
	}
	if !s.OwnDiffers.IsZero() {
		say(doctor.Fail, reason.New("check-trust", "site", s.Site), s.OwnDiffers,
			reason.OwnDiffers.Words().Next)
	}
	if s.Rotation != nil {
		level, next := doctor.OK, reason.Reason{}
		if s.Rotation.Waits.Code == agent.RotationWaits {
			level, next = doctor.Warn, reason.New("rotation-stuck")
		}
		say(level, reason.New("check-rotation"), s.Rotation.Reason(), next)
	}
	if c := s.Link.Copy; c != nil {
		say(doctor.Fail, reason.New("check-copies"), agent.AlsoRuns(*c),
			reason.TwoCopies.Words().Next)
	}
	if !s.Link.Audit.IsZero() {
		say(doctor.Fail, reason.New("check-audit"), s.Link.Audit, reason.PastChanged.Words().Next)
	}
	sayRoster(s.Roster, say)
	sayShutOut(s, say)
	for _, p := range s.Pins {
		if !p.Trouble.IsZero() {
			say(doctor.Fail, reason.New("check-trust", "site", p.Site), p.Trouble, p.Advice)
		}
	}
	for _, k := range s.Distrusted {
		say(doctor.Warn, reason.New("check-trust", "site", k.Site), reason.New("distrusted-site",
			"site", k.Site, "fingerprint", k.Identity, "since", k.Since),
			reason.New("undo-distrust", "site", k.Site))
	}
	if s.Inbox != nil && !s.Inbox.Away.IsZero() {
		say(doctor.Fail, reason.New("check-inbox"), s.Inbox.Away, reason.NoInbox.Words().Next)
	}
	if s.Inbox != nil {
		for _, why := range s.Inbox.Limited.Reasons() {
			say(doctor.Warn, reason.New("check-inbox"), why, reason.EnoughToday.Words().Next)
		}
	}
	if s.Outbox != nil {
		sayOutbox(s, say)
	}
}

// sayOutbox finds addresses and trays of a site that are held up.
func sayOutbox(s agent.Status, say func(doctor.Level, reason.Reason, reason.Reason,
	reason.Reason)) {
	for address, why := range s.Outbox.Blocked {
		say(doctor.Warn, reason.New("check-address", "address", address), why,
			reason.Blocked.Words().Next)
	}
	for _, t := range s.Outbox.Trays {
		for _, n := range t.Left()[reason.TrayBroken] {
			say(doctor.Fail, reason.New("check-folder", "name", n.Name, "tray", t.Name), n.Why,
				reason.TrayBroken.Words().Next)
		}
	}
	for _, a := range s.Outbox.Away {
		say(doctor.Warn, reason.New("check-tray", "name", a.Name), a.Says,
			reason.Away.Words().Next)
	}
}

// sayShutOut finds sites of this site's routes that the roster shuts out.
func sayShutOut(s agent.Status, say func(doctor.Level, reason.Reason, reason.Reason,
	reason.Reason)) {
	shutOut := map[id.Site]agent.SiteStanding{}
	for _, r := range s.Routes {
		for _, site := range r.Sites {
			if site.IsShutOut() {
				shutOut[site.Site] = site.Standing
			}
		}
	}
	for _, site := range slices.Sorted(maps.Keys(shutOut)) {
		advice := reason.New("ask-roster")
		if shutOut[site].Ground == agent.Distrusted {
			advice = reason.New("ask-new-key")
		}
		say(doctor.Warn, reason.New("check-trust", "site", site), shutOut[site].Reason(), advice)
	}
}
