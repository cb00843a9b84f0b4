package cli

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/agent"
	"sealpost/internal/reason"
)

const agentTrustHelp = `Compare the fingerprint of a site by voice, and believe the site by it from
then on. The command shows the fingerprints of both sites, as six words and in
digits, and asks whether both sites show the same. Call a person whom you know
there, and do not use a number that came over this network: only so you find out
whether another computer stands in between.

Programs give the fingerprint, and are not asked. It is also how to believe a
site before the first contact.

The words are 66 bits of the fingerprint: enough against mistakes and against
identities made at random. An attacker who can pay for some thousand years of a
graphics processor could make a key with the words of another site: against that
one, read the digits to each other as well.`

func agentTrustCommand() *cobra.Command {
	var print string
	cmd := &cobra.Command{
		Use: "trust SITE [FINGERPRINT]", Short: "Compare the fingerprint of a site by voice, " +
			"and believe the site by it", Long: agentTrustHelp,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && print == "" {
				return nil
			}
			return wantArgs("SITE")(cmd, args)
		},
		Example: "  sealpost agent trust CA-RC --dir /srv/sealpost/FL-LAB",
		RunE: func(cmd *cobra.Command, args []string) error {
			in := agent.TrustRequest{Site: args[0], Fingerprint: print}
			if len(args) == 2 {
				in.Fingerprint = args[1]
			}
			if !cmd.Flags().Changed("fingerprint") && len(args) == 1 {
				var err error
				if in.Fingerprint, err = compare(cmd, args[0]); err != nil {
					return err
				}
			}
			in.Fingerprint = strings.ReplaceAll(in.Fingerprint, " ", "")
			return askDone(cmd, agent.PathTrust, in)
		},
	}
	dirFlag(cmd, "agent")
	jsonFlag(cmd)
	cmd.Flags().StringVar(&print, "fingerprint", "", "the fingerprint that was compared, 64 "+
		"hexadecimal digits (default: show both, and ask)")
	return completeFirst(cmd, sitesKnown)
}

// compare shows the fingerprints of both sites. It returns that of the other site after a user has
// confirmed that both sites show the same.
func compare(cmd *cobra.Command, site string) (string, error) {
	var both agent.Identities
	if err := askAgent(cmd.Context(), dirOf(cmd), agent.PathIdentity,
		agent.IdentityRequest{Site: site}, &both); err != nil {
		return "", err
	}
	if both.Ground == agent.Distrusted && both.Former == nil {
		return "", reason.Err("trusts-distrusted", "site", site, "fingerprint",
			both.Other.Fingerprint, "since", both.Since)
	}
	p := askingPrinter(cmd)
	if !both.Trouble.IsZero() {
		p.line(reason.New("compare-trouble", "site", both.Other.Site, "trouble", both.Trouble))
	}
	p.line(reason.New("compare-call", "site", both.Other.Site))
	shows := []agent.Identity{both.Own, both.Other}
	for _, i := range shows {
		p.head(reason.New("compare-identity-of", "site", i.Site))
		p.item(reason.Text(i.Words))
		p.item(reason.Text(fingerprint(i.Fingerprint)))
	}
	if f := both.Former; f != nil {
		p.head(reason.New("compare-former", "site", f.Site))
		p.item(reason.Text(f.Words))
		p.item(reason.Text(fingerprint(f.Fingerprint)))
	}
	p.head(reason.New("compare-ask", "site", both.Other.Site, "yes", yesOrNo[true]))
	if said, err := answersYes(cmd, p); err != nil {
		return "", err
	} else if !said {
		return "", reason.Err("compare-not-equal", "site", both.Other.Site)
	}
	return string(both.Other.Fingerprint), nil
}

// answersYes reads the answer to a question, and reports whether it is yes. The language is the
// site's or English.
func answersYes(cmd *cobra.Command, p *printer) (bool, error) {
	answer, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == p.in(yesOrNo[true]) || answer == yesOrNo[true].String(), nil
}
