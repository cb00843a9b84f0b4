package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/internal/control"
	"sealpost/internal/reason"
	"sealpost/internal/words"
)

func agentDoctorCommand() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong at this site, and say what to do about it", Args: noArgs,
		Long: "Look for what is wrong at this site: keys, certificate, folders, space, notifications, the hub, the clock. Each line says OK,\n" +
			"WARN or FAIL and what to do. It changes nothing, and works whether the agent runs or not. Run it under the agent's account.\n" +
			"The exit code is 1 when a line says FAIL.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := workAsOwner(cmd, dir); err != nil {
				return err
			}
			cfg, err := loadAgent(dir)
			if err != nil {
				return err
			}
			failed := 0
			found := []doctor.Finding{}
			note := func(f doctor.Finding) {
				if f.Level == doctor.Fail {
					failed++
				}
				found = append(found, f)
				if !asJSON {
					printFinding(cmd.OutOrStdout(), f)
				}
			}
			whole := doctor.Examine(cmd.Context(), doctor.Options{Config: cfg, Dir: dir, Version: versionInfo().Version}, note)
			if whole {
				askAtWork(cmd.Context(), dir, cfg.State, note)
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), found); err != nil {
					return err
				}
			}
			if failed > 0 {
				return words.ThingsWrong(failed)
			}
			return nil
		},
	}
	dirFlag(cmd, &dir, "agent")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func printFinding(w io.Writer, f doctor.Finding) {
	fmt.Fprintf(w, "%-5s %s: %s\n", f.Level, f.What, f.Says)
	if f.Do != "" {
		fmt.Fprintf(w, "      → %s\n", f.Do)
	}
}

// askAtWork adds what only the running agent knows.
func askAtWork(ctx context.Context, dir, state string, note func(doctor.Finding)) {
	var s agent.Status
	err := askAgent(ctx, dir, agent.PathStatus, agent.StatusRequest{}, &s)
	say := func(l doctor.Level, v words.Verdict) {
		note(doctor.Finding{Level: l, What: "agent", Says: v.Says, Do: v.Do})
	}
	switch {
	case errors.Is(err, control.ErrNotRunning) && !agent.TakenOver(state).IsZero():
		say(doctor.Fail, words.AgentTakenOver(dir, agent.TakenOver(state)))
		return
	case errors.Is(err, control.ErrNotRunning):
		say(doctor.Warn, words.AgentStopped(dir))
		return
	case errors.Is(err, control.ErrHindered):
		say(doctor.Fail, words.AgentHindered(err))
		return
	case err != nil:
		say(doctor.Warn, words.AgentSilent(err))
		return
	case !s.Link.Connected:
		say(doctor.Fail, words.AgentApart(s.Link.Trouble))
	default:
		say(doctor.OK, words.AgentConnected(s.Link.Hub))
	}
	if c := s.Link.Copy; c != nil {
		note(doctor.Finding{Level: doctor.Fail, What: "copies", Says: agent.AlsoRuns(*c).String(), Do: reason.TwoCopies.Words().Next.String()})
	}
	for _, p := range s.Pins {
		if p.Trouble != "" {
			note(doctor.Finding{Level: doctor.Fail, What: "trust in " + string(p.Site), Says: p.Trouble, Do: p.Advice})
		}
	}
	if s.Outbox != nil {
		for address, why := range s.Outbox.Blocked {
			note(doctor.Finding{Level: doctor.Warn, What: "files for " + address, Says: why.String(), Do: reason.Blocked.Words().Next.String()})
		}
		for _, a := range s.Outbox.Away {
			note(doctor.Finding{Level: doctor.Warn, What: "tray " + a.Name, Says: a.Says.String(), Do: reason.Away.Words().Next.String()})
		}
	}
}
