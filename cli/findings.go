package cli

import (
	"unicode/utf8"

	"github.com/spf13/cobra"

	"sealpost/internal/finding"
	"sealpost/internal/reason"
)

// findings is the JSON of a doctor.
type findings struct {
	Findings []finding.Finding `json:"findings"`
}

// showFindings shows the findings of a doctor in a language as they come, or all as JSON. It
// returns an error if one of them is a failure.
func showFindings(cmd *cobra.Command, l reason.Language,
	look func(note func(finding.Finding)) error) error {
	w, asJSON, failed, all := cmd.OutOrStdout(), wantsJSON(cmd), 0, findings{[]finding.Finding{}}
	levels, width := map[finding.Level]string{
		finding.OK:   reason.New("level-ok").In(l),
		finding.Warn: reason.New("level-warn").In(l),
		finding.Fail: reason.New("level-fail").In(l),
	}, 0
	for _, label := range levels {
		width = max(width, utf8.RuneCountInString(label)+1)
	}
	err := look(func(f finding.Finding) {
		if f.Level == finding.Fail {
			failed++
		}
		all.Findings = append(all.Findings, f)
		if asJSON {
			return
		}
		printf(w, "%-*s %s: %s\n", width, levels[f.Level], shown(f.Check.In(l)),
			shown(f.Says.In(l)))
		if !f.Do.IsZero() {
			printf(w, "%*s → %s\n", width, "", shown(f.Do.In(l)))
		}
	})
	if err == nil && asJSON {
		err = printJSON(w, all)
	}
	if err == nil && failed > 0 {
		err = reason.Err("things-wrong", "n", failed)
	}
	return err
}
