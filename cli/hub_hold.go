package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

const hubHoldHelp = `Hold a site: the hub takes nothing new from it and gives it nothing new, until
sealpost hub release SITE. What the site sends waits there, what is for it waits
at the hub and does not expire. Deliveries that it has fetched go on to their
receipts. The site reads that it is held, since when, and the reason.

With --message, hold one message instead: its recipients do not get it, and it
does not expire. Others of its sender pass it, but for those that travel in the
same envelope: they are held with it. Its sender reads that it is held. A
recipient that has fetched the message already may still receipt it.

The time on hold does not count for expires_after. sealpost hub holds lists
what is on hold.`

// holdTarget is the site or the message of a command line.
type holdTarget struct{ message, to string }

func (h *holdTarget) flags(cmd *cobra.Command) {
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&h.message, "message", "", "a message, instead of a site")
	cmd.Flags().StringVar(&h.to, "to", "",
		"with --message: only for this recipient (default each one without it)")
}

// args accepts one site or --message.
func (h *holdTarget) args(cmd *cobra.Command, args []string) error {
	if len(args) > 1 || (len(args) == 1) == (h.message != "") {
		return usagef("%s wants one SITE, or --message MESSAGE", cmd.CommandPath())
	}
	if h.to != "" && h.message == "" {
		return usagef("--to is for --message")
	}
	return nil
}

// letter returns the request for a message.
func (h *holdTarget) letter() (hub.LetterRequest, error) {
	site, err := siteFlag(h.to)
	return hub.LetterRequest{Message: id.Message(h.message), Site: site}, err
}

func hubHoldCommand() *cobra.Command {
	var of holdTarget
	var because string
	cmd := &cobra.Command{
		Use: "hold SITE", Short: "Keep back what a site sends and receives, or one message",
		Long: hubHoldHelp, Args: of.args,
		Example: "  sealpost hub hold CA-RC --because 'its disk is being replaced'\n" +
			"  sealpost hub hold --message FL-LAB_DAT_20251008_001 --to CA-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			if of.message == "" {
				return changeHold(cmd, hub.ControlHold, hub.HoldRequest{Because: because}, args[0],
					"%s is held. sealpost hub release %[1]s ends that.\n",
					"%s is held already, for that reason.\n")
			}
			letter, err := of.letter()
			if err != nil {
				return err
			}
			return changeLetters(cmd, hub.ControlHoldOne,
				hub.HoldOneRequest{LetterRequest: letter, Because: because}, letter,
				letterTexts{"For %s it is held%s. sealpost hub release --message " + of.message +
					" ends that.\n", "For %s it is held already, for that reason.\n"})
		},
	}
	of.flags(cmd)
	cmd.Flags().StringVar(&because, "because", "", "a reason that the site reads, or the sender")
	return cmd
}

func hubReleaseCommand() *cobra.Command {
	var of holdTarget
	cmd := &cobra.Command{
		Use: "release SITE", Short: "End the hold of a site, or of a message", Args: of.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if of.message == "" {
				return changeHold(cmd, hub.ControlUnhold, hub.HoldRequest{}, args[0],
					"%s is not held any more.\n", "%s is not held.\n")
			}
			letter, err := of.letter()
			if err != nil {
				return err
			}
			return changeLetters(cmd, hub.ControlUnholdOne, letter, letter,
				letterTexts{changed: "For %s it is not held any more%s.\n"})
		},
	}
	of.flags(cmd)
	return cmd
}

// changeHold asks the hub, and prints one text if it has changed something, else the other.
func changeHold(cmd *cobra.Command, path string, in hub.HoldRequest, name, changed,
	same string) error {
	site, err := siteArg(name)
	if err != nil {
		return err
	}
	in.Site = site
	var out hub.Changed
	if err := askHub(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	return show(cmd, out, func() error {
		text := same
		if out.Changed {
			text = changed
		}
		_, err := printf(cmd.OutOrStdout(), text, site)
		return err
	})
}

func hubHoldsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "holds", Short: "List the sites and messages on hold", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showHub(cmd, hub.ControlHolds, hub.Nothing{}, printHolds)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

func printHolds(w io.Writer, out hub.HoldsAnswer) error {
	for _, s := range out.Sites {
		if err := printHold(w, s.Site, &s.Hold); err != nil {
			return err
		}
	}
	if len(out.Sites) > 0 {
		fmt.Fprintln(w)
	}
	t := newTable("MESSAGE", "FROM", "TO", "HELD SINCE", "SPOOLED", "BECAUSE")
	for _, d := range out.Deliveries {
		for _, m := range d.Messages {
			t.add(m.ID, d.Sender, d.Recipient, d.Since, d.Spooled, d.Because)
		}
	}
	none := "Nothing is on hold."
	if len(out.Sites) > 0 {
		none = "No messages are on hold."
	}
	if err := t.print(w, none); err != nil || !out.More {
		return err
	}
	_, err := fmt.Fprintln(w, "There are more.")
	return err
}

// printHold prints the hold of a site, and the command that ends it.
func printHold(w io.Writer, site id.Site, h *api.Hold) error {
	_, err := printf(w, "%s is held since %s%s. sealpost hub release %[1]s ends that.\n", site,
		localTime(h.Since), because(h))
	return err
}
