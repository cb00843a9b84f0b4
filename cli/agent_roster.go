package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/agent/doctor"
	"sealpost/internal/reason"
	"sealpost/statement"
)

func agentRosterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "roster [FILE]", Short: "Give the site a roster that the root has signed, or show it",
		Long: "Say which roster the site has, and when it ends. The roster comes from the hub\n" +
			"by itself. With FILE, give the site a newer one that came on another way than\n" +
			"through the hub: a hub cannot withhold it then.",
		Args: oneOrNone("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var in agent.RosterRequest
			if len(args) == 1 {
				text, err := readLimited(args[0], statement.MaxRoster)
				if err != nil {
					return err
				}
				if in.Roster = strings.TrimSpace(string(text)); in.Roster == "" {
					return reason.Err("roster-empty", "file", args[0])
				}
			}
			return showAgent(cmd, agent.PathRoster, in, printSiteRoster)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	return cmd
}

func printSiteRoster(p *printer, s agent.RosterState) error {
	if s.New {
		p.line(reason.New("roster-taken", "n", s.Number))
	}
	p.labelled(p.in(reason.New("label-roster")), rosterStands(s))
	if s.Number > 0 {
		p.labelled("", reason.New("roster-counts", "sites", s.Sites, "keys", s.Distrusted,
			"signed", s.Signed))
	}
	return printRosterTrouble(p, s)
}

// rosterStands returns the number and the end of the roster.
func rosterStands(s agent.RosterState) reason.Reason {
	days := int(time.Until(s.Ends).Hours() / 24)
	switch {
	case s.Number == 0:
		return reason.New("roster-none")
	case s.HasEnded(time.Now()):
		return reason.New("roster-ended", "n", s.Number, "ends", s.Ends)
	case s.EndsSoon(time.Now()):
		return reason.New("roster-ends-soon", "n", s.Number, "ends", s.Ends, "days", days)
	case s.Required:
		return reason.New("roster-required", "n", s.Number, "ends", s.Ends, "days", days)
	}
	return reason.New("roster-optional", "n", s.Number, "ends", s.Ends, "days", days)
}

// printRosterTrouble prints the faults of the roster on which a user may have to act.
func printRosterTrouble(p *printer, s agent.RosterState) error {
	if !s.Stops.IsZero() {
		p.matter(reason.NoRoster, "", s.Stops)
	}
	if s.Hub != 0 && s.Hub < s.Number {
		p.labelled("", reason.New("roster-hub-behind", "hub", s.Hub, "n", s.Number))
	}
	if !s.Refused.IsZero() {
		p.labelled("", reason.New("roster-refused", "why", s.Refused))
	}
	return nil
}

// sayRoster finds a roster that stops the site, ends soon, or was refused.
func sayRoster(s agent.RosterState, say func(doctor.Level, reason.Reason, reason.Reason,
	reason.Reason)) {
	check := reason.New("check-roster")
	switch {
	case !s.Stops.IsZero():
		say(doctor.Fail, check, s.Stops, reason.NoRoster.Words().Next)
	case !s.Refused.IsZero():
		say(doctor.Fail, check, reason.New("roster-refused", "why", s.Refused),
			reason.New("ask-roster"))
	case s.Hub != 0 && s.Hub < s.Number:
		say(doctor.Warn, check, reason.New("roster-hub-behind", "hub", s.Hub, "n", s.Number),
			reason.New("ask-roster"))
	case s.EndsSoon(time.Now()):
		say(doctor.Warn, check, rosterStands(s), reason.New("ask-roster"))
	default:
		say(doctor.OK, check, rosterStands(s), reason.Reason{})
	}
}
