package cli

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/statement"
)

func hubRosterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "roster [FILE]", Short: "Hand out a roster that the root has signed, or show it",
		Long: "Give the hub a new roster, which the root has signed. The hub checks and keeps\n" +
			"it, cuts the connections of keys that are distrusted, and hands it to each\n" +
			"site, within a quarter of a minute. Without FILE, say which roster the hub has,\n" +
			"when it ends, and which sites are not on it.",
		Args: oneOrNone("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return showHub(cmd, hub.ControlRoster, hub.Nothing{}, printRoster)
			}
			text, err := readLimited(args[0], statement.MaxRoster)
			if err != nil {
				return err
			}
			return showHub(cmd, hub.ControlSetRoster,
				hub.RosterRequest{Roster: strings.TrimSpace(string(text))}, printRoster)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printRoster(w io.Writer, r hub.RosterState) error {
	if r.Number == 0 {
		_, err := printf(w, "%s\n", rosterLine(r))
		return err
	}
	if r.New {
		printf(w, "Roster %d is taken; %s of distrusted keys cut.\n", r.Number,
			counted(r.Cut, "connection", "connections"))
	}
	printf(w, "Roster:       %s\n", rosterLine(r))
	printf(w, "              %s, %s distrusted; signed %s\n", counted(r.Sites, "site", "sites"),
		counted(r.Distrusted, "key", "keys"), localTime(r.Signed))
	return printMissing(w, r)
}

// printMissing prints the sites that are not on the roster.
func printMissing(w io.Writer, r hub.RosterState) error {
	if len(r.Stolen) > 0 {
		printf(w, "              KEY DISTRUSTED, so remove them (sealpost hub remove SITE): %s\n",
			siteNames(r.Stolen))
	}
	if len(r.Missing) == 0 {
		return nil
	}
	if r.Required {
		_, err := printf(w, "              NOT ON IT, and so nothing is sent to them or taken "+
			"from them: %s\n", siteNames(r.Missing))
		return err
	}
	_, err := printf(w, "              not on it with their key and role: %s\n",
		siteNames(r.Missing))
	return err
}

// siteNames returns the names of sites in one text.
func siteNames(sites []id.Site) string {
	names := make([]string, len(sites))
	for i, s := range sites {
		names[i] = string(s)
	}
	return strings.Join(names, " ")
}

// rosterLine returns the number and the end of the roster in one line.
func rosterLine(r hub.RosterState) shown {
	now := time.Now()
	if r.Lacks > 0 {
		return shown(sprintf("THE LOST HUB HAD NUMBER %d, and this one has none as new: give it "+
			"roster.jws of the root's folder (sealpost hub roster FILE)", r.Lacks))
	}
	if r.Number == 0 {
		return "no roster: a lying hub is found only by comparing fingerprints"
	}
	kind := ""
	if r.Required {
		kind = ", required"
	}
	left := sprintf("until %s (%s)", localTime(r.Ends),
		counted(int(r.Ends.Sub(now).Hours()/24), "day", "days"))
	switch {
	case !now.Before(r.Ends):
		left = sprintf("ENDED on %s: sign the next one (sealpost certs roster sign)",
			localTime(r.Ends))
	case r.EndsSoon(now):
		left += ": sign the next one (sealpost certs roster sign)"
	}
	return shown(sprintf("number %d%s, %s", r.Number, shown(kind), shown(left)))
}
