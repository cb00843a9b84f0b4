package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/reason"
	"sealpost/internal/service"
)

func hubStatusCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "status", Short: "Say how the hub is", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name != "" {
				return serviceStatus(cmd, service.Hub, name)
			}
			return showHub(cmd, hub.ControlStatus, hub.Nothing{}, printHubStatus)
		},
	}
	dirFlag(cmd, "hub")
	serviceNameFlag(cmd, &name)
	jsonFlag(cmd)
	return cmd
}

func printHubStatus(w io.Writer, s hub.Status) error {
	printf(w, "Hub %s, sealpost %s, listening on %s, since %s\n", s.Hub, s.Version, s.Listen,
		localTime(s.Started))
	printf(w, "Network:      %s (%s)\n", fingerprint(s.Network), s.Suite)
	printf(w, "Certificate:  until %s (%s)\n", localTime(s.CertExpires),
		counted(int(time.Until(s.CertExpires).Hours()/24), "day", "days"))
	printf(w, "Sites:        %d joined, %s\n", s.Sites,
		counted(s.Connections, "connection", "connections"))
	printf(w, "Roster:       %s\n", rosterLine(s.Roster))
	if err := printMissing(w, s.Roster); err != nil {
		return err
	}
	printf(w, "Deliveries:   %d waiting (%d leased, %d released), %d settled, %d dead\n",
		s.Waiting, s.Leased, s.Released, s.Settled, s.Dead)
	if !s.Oldest.IsZero() {
		printf(w, "Oldest:       waits since %s\n", localTime(s.Oldest))
	}
	if !s.Paused.IsZero() {
		printf(w, "Clock:        it has leapt, or the hub was off: nothing ends for its age "+
			"before %s\n", localTime(s.Paused))
	}
	if r := s.Records; r.Keep == 0 {
		printf(w, "Records:      kept for ever%s\n", oldestRecord(r))
	} else {
		printf(w, "Records:      kept for %d days%s; %d forgotten since the start, next look %s\n",
			int(r.Keep.Hours()/24), oldestRecord(r), r.Forgotten, localTime(r.Next))
	}
	if l := s.Spool.Lost; l != nil {
		printf(w, "LOST:         %s. Once you have read this: sealpost hub acknowledge\n",
			hub.LossReason(*l))
	}
	printf(w, "Spool:        %s of ciphertext in %s\n", size(s.Spool.Content),
		counted(s.Spool.Envelopes, "envelope", "envelopes"))
	disk := reason.New("hub-above-reserve", "free", reason.Size(s.Spool.DiskFree),
		"reserve", reason.Size(s.Spool.Reserve)).String()
	if s.Spool.DiskFree < s.Spool.Reserve {
		disk = "FULL: " + hub.BelowReserve(s.Spool.DiskFree, s.Spool.Reserve).String()
	}
	printf(w, "Disk:         %s\n", shown(disk))
	if s.Root == nil {
		return nil
	}
	_, err := printf(w, "Root:         WARNING: %s; %s\n", s.Root.Here(),
		reason.New("hub-take-root-away"))
	return err
}

// oldestRecord tells of the oldest record, if there is one.
func oldestRecord(r hub.Records) shown {
	if r.Oldest.IsZero() {
		return ""
	}
	return shown(sprintf(", the oldest of %s", localTime(r.Oldest)))
}

func hubAcknowledgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "acknowledge", Short: "End the report of lost commits", Args: noArgs,
		Long: "End the report of commits that the hub's store has lost, in sealpost hub status\n" +
			"and sealpost hub doctor. It changes nothing else: senders have published again\n" +
			"whatever the hub did not know.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlAcknowledge, hub.Nothing{},
				func(w io.Writer, out hub.Changed) error {
					_, err := printf(w, "%s\n", map[bool]shown{true: "Acknowledged.",
						false: "There is no report of lost commits."}[out.Changed])
					return err
				})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}
