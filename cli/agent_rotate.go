package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/reason"
)

const agentRotateHelp = `Make another recipient key for this site, state it to the others, and
destroy the former one later. Nothing that is under way is lost: this site opens
with both keys for 14 days, and after that until nothing waits at the hub that
may be sealed for the former one. Other sites that have compared this one, or
have it on a roster, use the new key at once, and the others after their
rekey_hold, a day; they use the former one meanwhile.

A change of the key closes what is sent from then on to a thief of the former
one. If the identity was stolen too, this is not enough: see
docs/when-a-key-is-stolen.md.

If an older state folder was put back, and the hub has a later key of this site,
this makes one that takes the place of the lost one.

--status shows how far the last change is. --destroy does not wait: what is
still sealed for the former key is refused then, and its senders see that.`

func agentRotateCommand() *cobra.Command {
	var in agent.RotateRequest
	var isStatus, sure bool
	cmd := &cobra.Command{
		Use: "rotate", Short: "Change the recipient key of this site, with an overlap",
		Long: agentRotateHelp, Args: noArgs,
		Example: "  sealpost agent rotate --dir /srv/sealpost/CA-RC",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !isStatus && (!in.Destroy || sure) {
				return askDone(cmd, agent.PathRotate, in)
			}
			var s agent.Status
			if err := askAgent(cmd.Context(), dirOf(cmd), agent.PathStatus,
				agent.StatusRequest{}, &s); err != nil {
				return err
			}
			says := reason.New("no-former-key")
			if s.Rotation != nil {
				says = s.Rotation.Reason()
			}
			if isStatus || s.Rotation == nil {
				return showDone(cmd, agent.Done{Says: []reason.Reason{says}})
			}
			p := askingPrinter(cmd)
			p.line(reason.New("rotation-ask", "waits", s.Rotation.Waits, "yes", yesOrNo[true]))
			said, err := answersYes(cmd, p)
			if err == nil && !said {
				err = reason.Err("rotation-kept")
			}
			if err != nil {
				return err
			}
			return askDone(cmd, agent.PathRotate, in)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().BoolVar(&isStatus, "status", false, "show how far the last change is")
	cmd.Flags().BoolVar(&in.Destroy, "destroy", false, "destroy the former key at once")
	cmd.Flags().BoolVar(&sure, "yes", false, "with --destroy: do not ask")
	cmd.MarkFlagsMutuallyExclusive("status", "destroy")
	return cmd
}
