package cli

import (
	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/reason"
)

func agentFindCommand() *cobra.Command {
	var in agent.FindRequest
	cmd := &cobra.Command{
		Use: "find NAME", Short: "Find messages by a part of the file's name, sent and received",
		Args: wantArgs("NAME"),
		Long: "Find messages by a part of the file's name, sent and received, as far back as\n" +
			"keep_history in agent.toml. Upper and lower case of A to Z are the same.",
		Example: "  sealpost agent find results --dir /srv/sealpost/FL-LAB",
		RunE: func(cmd *cobra.Command, args []string) error {
			in.Name = args[0]
			return showAgent(cmd, agent.PathFind, in, func(p *printer, out agent.Found) error {
				return printFound(p, in.Name, out)
			})
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	in.Limit = 100
	countFlag(cmd, count{&in.Limit, 1, 1000}, "limit", "how many to list at most, up to 1000")
	return cmd
}

// printFound writes the messages that a search for part has found.
func printFound(p *printer, part string, out agent.Found) error {
	t := p.newTable(reason.New("columns-found"))
	for _, m := range out.Sent {
		t.add(m.ID, quoted(m.Name), reason.Size(m.Size), m.Claimed,
			messageStands(m, removedFor(m)))
	}
	for _, m := range out.Received {
		t.add(m.ID, quoted(m.Name), reason.Size(m.Size), m.Received,
			reason.New("found-received", "sender", m.Sender, "path", m.Path))
	}
	if err := t.print(p.w, p.in(reason.New("found-none", "part", part))); err != nil {
		return err
	}
	if out.More {
		return p.line(reason.New("found-more"))
	}
	if !out.Since.IsZero() {
		return p.line(reason.New("found-since", "since", out.Since))
	}
	return nil
}
