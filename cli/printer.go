package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sealpost/config"
	"sealpost/internal/reason"
)

// printer writes the answers of commands in the language of a site.
type printer struct {
	w        io.Writer
	language reason.Language
}

// printerOf returns the printer of a command for the agent at --dir.
func printerOf(cmd *cobra.Command) *printer {
	return &printer{w: cmd.OutOrStdout(), language: languageOf(dirOf(cmd))}
}

// languageOf returns the language of the agent whose folder dir is; English if its agent.toml is
// missing or unreadable.
func languageOf(dir string) reason.Language {
	cfg, err := config.LoadAgent(config.AgentFile(dir))
	if err != nil {
		return reason.English
	}
	return reason.Language(cfg.Language)
}

// languageAt returns the language of the agent at which a command works. Commands without one speak
// English.
func languageAt(cmd *cobra.Command) reason.Language {
	dir, top := cmd.Flag("dir"), cmd
	for top.HasParent() && top.Parent().HasParent() {
		top = top.Parent()
	}
	if dir == nil || top.Name() != "agent" && top.Name() != "send" {
		return reason.English
	}
	return languageOf(dir.Value.String())
}

func (p *printer) in(r reason.Reason) string { return r.In(p.language) }

// line writes a reason on a line of its own.
func (p *printer) line(r reason.Reason) error {
	_, err := fmt.Fprintln(p.w, p.in(r))
	return err
}

// item writes a reason on a line below a heading.
func (p *printer) item(r reason.Reason) error {
	_, err := fmt.Fprintf(p.w, "  %s\n", p.in(r))
	return err
}

// head writes a heading below an empty line.
func (p *printer) head(r reason.Reason) { fmt.Fprintf(p.w, "\n%s\n", p.in(r)) }

// labelled writes a line that begins with a label. The texts behind labels stand below one another.
func (p *printer) labelled(label string, text reason.Reason) {
	fmt.Fprintf(p.w, "%-13s %s\n", label, p.in(text))
}

// newTable begins a table. The template of its columns has tabs between them.
func (p *printer) newTable(columns reason.Reason) *table {
	return &table{language: p.language, rows: [][]string{strings.Split(p.in(columns), "\t")}}
}
