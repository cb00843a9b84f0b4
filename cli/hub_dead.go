package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/id"
	"sealpost/spool"
)

const hubDeadHelp = `List the dead letters, the latest first: deliveries that have ended
undelivered, and whose content the hub still has. Each line is one message; the
messages of one envelope end and are requeued together.

sealpost hub requeue MESSAGE delivers one after all, sealpost hub discard
MESSAGE frees its content. The hub keeps it for dead_keep ([deliveries] in
hub.toml), and up to dead_bytes ([quota]); after that, its lab has to send the
file again. sealpost hub messages shows those, too.`

// deadReport is the output of ` + "`hub dead --json`" + `.
type deadReport struct {
	Dead []deadMessage `json:"dead"`
	More bool          `json:"more"` // there are older ones
	// dead_keep of hub.toml, in nanoseconds
	Keep   time.Duration `json:"keep_ns"`
	Paused time.Time     `json:"paused_until,omitzero"`
}

// deadMessage is one message of a dead letter.
type deadMessage struct {
	Message   id.Message  `json:"message_id"`
	Envelope  id.Envelope `json:"envelope_id"`
	Sender    id.Site     `json:"sender_id"`
	Recipient id.Site     `json:"recipient_id"`
	Queue     string      `json:"queue"`
	Code      string      `json:"code"`
	Spooled   time.Time   `json:"spooled_time"`
	Died      time.Time   `json:"dead_time"`
	Attempts  int         `json:"attempts"`
	Size      int64       `json:"size"` // of the envelope's ciphertext, bytes
}

func hubDeadCommand() *cobra.Command {
	most := 100
	cmd := &cobra.Command{
		Use: "dead", Short: "List the deliveries that have ended and can be requeued",
		Long: hubDeadHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := findDead(cmd.Context(), dirOf(cmd), most)
			if err != nil {
				return err
			}
			return show(cmd, report, func() error { return printDead(cmd.OutOrStdout(), report) })
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	countFlag(cmd, count{&most, 1, math.MaxInt32}, "max", "how many messages")
	return cmd
}

// findDead reads pages of dead letters until there are enough messages.
func findDead(ctx context.Context, dir string, most int) (deadReport, error) {
	report := deadReport{Dead: []deadMessage{}}
	for after := spool.Cursor(0); ; {
		var page hub.DeadAnswer
		if err := askHub(ctx, dir, hub.ControlDead, hub.DeadRequest{After: after},
			&page); err != nil {
			return report, err
		}
		report.Keep, report.Paused = page.Keep, page.Paused
		for _, l := range page.Letters {
			for _, m := range l.Messages {
				if len(report.Dead) >= most {
					report.More = true
					return report, nil
				}
				report.Dead = append(report.Dead, deadMessage{Message: m.ID, Envelope: l.Envelope,
					Sender: l.Sender, Recipient: l.Recipient, Queue: l.Queue, Code: l.Code,
					Spooled: l.Spooled, Died: l.Died, Attempts: l.Attempts, Size: l.Size})
			}
		}
		if after = page.Next; after == 0 {
			return report, nil
		}
	}
}

func printDead(w io.Writer, r deadReport) error {
	t := newTable("MESSAGE", "FROM", "TO", "WHY", "DEAD SINCE", "SPOOLED", "ATTEMPTS", "ENVELOPE")
	for _, m := range r.Dead {
		t.add(m.Message, m.Sender, m.Recipient, m.Code, m.Died, m.Spooled, m.Attempts,
			size(m.Size))
	}
	none := "No dead letters."
	if r.Keep == 0 {
		none += " The hub keeps no content of dead deliveries (dead_keep is 0)."
	}
	if err := t.print(w, none); err != nil {
		return err
	}
	if r.More {
		fmt.Fprintln(w, "There are older ones: --max N shows more.")
	}
	if !r.Paused.IsZero() {
		printf(w, "The clock has leapt, or the hub was off: nothing is discarded for its age "+
			"before %s.\n", localTime(r.Paused))
	}
	return nil
}

// letterCommand makes the command that requeues or discards dead letters.
func letterCommand(verb, path, short, long string, texts letterTexts) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: verb + " MESSAGE", Short: short, Long: long, Args: wantArgs("MESSAGE"),
		Example: "  sealpost hub " + verb + " FL-LAB_DAT_20251008_001 --to CA-RC",
		RunE: func(cmd *cobra.Command, args []string) error {
			site, err := siteFlag(to)
			if err != nil {
				return err
			}
			in := hub.LetterRequest{Message: id.Message(args[0]), Site: site}
			return changeLetters(cmd, path, in, in, texts)
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&to, "to", "", "only for this recipient (default each one without it)")
	return cmd
}

// letterTexts are the texts about a delivery, with its recipient. That of a changed one has the
// other messages of its envelope, too.
type letterTexts struct{ changed, same string }

// othersOf names the other messages of an envelope, which share its lot.
func othersOf(messages []id.Message) shown {
	if len(messages) < 2 {
		return ""
	}
	return shown(", with " + counted(len(messages)-1, "other message", "other messages") +
		" of its envelope")
}

// changeLetters asks the hub to change deliveries of a message, and prints a text for each. The
// first failure is the error.
func changeLetters(cmd *cobra.Command, path string, in any, of hub.LetterRequest,
	texts letterTexts) error {
	var out hub.LettersAnswer
	if err := askHub(cmd.Context(), dirOf(cmd), path, in, &out); err != nil {
		return err
	}
	err := show(cmd, out, func() error {
		for _, l := range out.Letters {
			switch {
			case l.Changed:
				printf(cmd.OutOrStdout(), texts.changed, l.Recipient, othersOf(l.Messages))
			case l.Failed.IsZero():
				printf(cmd.OutOrStdout(), texts.same, l.Recipient)
			}
		}
		if len(out.Letters) == 0 {
			printf(cmd.OutOrStdout(), "%s is not held.\n", of.Message)
		}
		return nil
	})
	for _, l := range out.Letters {
		if err == nil && !l.Failed.IsZero() {
			err = fmt.Errorf("%s for %s: %w", of.Message, l.Recipient, l.Failed.AsError())
		}
	}
	return err
}

func hubRequeueCommand() *cobra.Command {
	return letterCommand("requeue", hub.ControlRequeue, "Deliver a dead letter after all",
		"Put a dead letter back into the queue of its recipient: see sealpost hub dead. The\n"+
			"recipient gets it next, and the lab reads that it is on its way again. If the hub\n"+
			"has no content of it any more, the command says how the lab sends it again.",
		letterTexts{changed: "For %s it waits again%s.\n"})
}

func hubDiscardCommand() *cobra.Command {
	return letterCommand("discard", hub.ControlDiscard, "Free the content of a dead letter",
		"Free the content of a dead letter at once: see sealpost hub dead. For its lab nothing\n"+
			"changes: it has read that the file was not delivered, and has kept it.",
		letterTexts{"For %s the hub keeps nothing more of it%s.\n",
			"For %s the hub has kept nothing of it.\n"})
}
