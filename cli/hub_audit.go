package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sealpost/hub"
	"sealpost/internal/backoff"
	"sealpost/internal/id"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/spool"
)

const hubAuditHelp = `The audit chain holds every act of an administrator with its author, every
enrolment and certificate, the counts of refusals, and every envelope that was
published, settled or has ended undelivered. Each block holds the hash of the
one before, and stands in the very commit of its acts: nothing of the past can be
changed, removed or inserted without changing every later hash.

Keep the heads that verify and export show away from the hub: with --head they
show later that the chain still has that past.`

func hubAuditCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "audit", Short: "Show and verify the audit chain",
		Long: hubAuditHelp, Args: noArgs, RunE: group}
	cmd.AddCommand(hubAuditVerifyCommand(), hubAuditExportCommand(), hubAuditTailCommand())
	return cmd
}

// auditPages returns the pages of the running hub's chain.
func auditPages(cmd *cobra.Command) func(after uint64) (hub.AuditAnswer, error) {
	return func(after uint64) (out hub.AuditAnswer, err error) {
		return out, askHub(cmd.Context(), dirOf(cmd), hub.ControlAudit,
			hub.AuditRequest{After: after}, &out)
	}
}

// auditReport is the JSON of a verified chain.
type auditReport struct {
	Hub     string          `json:"hub"`
	Network id.Hash         `json:"network"`
	Head    spool.AuditHead `json:"head"`
	Blocks  int             `json:"blocks"`
	Entries int             `json:"entries"`
	First   time.Time       `json:"first,omitzero"`
	Last    time.Time       `json:"last,omitzero"`
	File    string          `json:"file,omitempty"` // that was read or written
}

// add counts a block.
func (r *auditReport) add(b spool.AuditBlock) {
	if r.Blocks == 0 {
		r.First = b.Time
	}
	r.Blocks, r.Entries, r.Last = r.Blocks+1, r.Entries+len(b.Entries), b.Time
}

func hubAuditVerifyCommand() *cobra.Command {
	var heads []string
	cmd := &cobra.Command{
		Use: "verify [FILE]", Short: "Verify the audit chain of the hub, or of an export",
		Long: "Verify every block of the running hub's audit chain, or with a FILE of a chain\n" +
			"that was exported before. With --head, also verify that the chain has a block\n" +
			"whose number and hash were noted earlier.",
		Example: "  sealpost hub audit verify --dir /srv/sealpost/DC-HQ",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s wants one FILE, or none", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := parseHeads(heads)
			if err != nil {
				return err
			}
			pages, r := auditPages(cmd), auditReport{}
			if len(args) > 0 {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				pages, r.File = hub.ReadAudit(f), args[0]
			}
			chain, err := hub.FollowAudit(pages, func(text string, b spool.AuditBlock) error {
				r.add(b)
				return wanted.compare(b.Block, text)
			})
			r.Hub, r.Network, r.Head = chain.Hub, chain.Network, chain.Head
			if err == nil {
				err = wanted.missing(chain.Head)
			}
			if err != nil {
				return err
			}
			return show(cmd, r, func() error { return printAudit(cmd.OutOrStdout(), r) })
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().StringArrayVar(&heads, "head", nil,
		"a head that was noted earlier, as NUMBER:HASH; may be repeated")
	return cmd
}

// notedHeads are the hashes that a chain must have, by block.
type notedHeads map[uint64]id.Hash

func parseHeads(texts []string) (notedHeads, error) {
	heads := notedHeads{}
	for _, text := range texts {
		number, hash, _ := strings.Cut(text, ":")
		n, badNumber := strconv.ParseUint(number, 10, 64)
		h, badHash := id.ParseHash(hash)
		if badNumber != nil || badHash != nil || n == 0 {
			return nil, &usageError{reason.Err("audit-head-form", "text", text)}
		}
		heads[n] = h
	}
	return heads, nil
}

// compare checks a block against the noted heads.
func (n notedHeads) compare(block uint64, text string) error {
	want, noted := n[block]
	if !noted {
		return nil
	}
	if got := spool.AuditHash([]byte(text)); got != want {
		return reason.Err("audit-not-there", "block", block, "hash", want)
	}
	delete(n, block)
	return nil
}

// missing returns an error for a noted head that the chain did not have.
func (n notedHeads) missing(head spool.AuditHead) error {
	for block, hash := range n {
		switch {
		case block == head.Truncated && hash == head.TruncatedHash:
		case block < head.Truncated:
			return reason.Err("audit-truncated", "block", block, "begin", head.Truncated+1)
		default:
			return reason.Err("audit-not-there", "block", block, "hash", hash)
		}
	}
	return nil
}

func printAudit(w io.Writer, r auditReport) error {
	printf(w, "The audit chain of %s is whole: %s with %s", r.Hub,
		counted(r.Blocks, "block", "blocks"), counted(r.Entries, "entry", "entries"))
	if r.Blocks > 0 {
		printf(w, ", from %s to %s", localTime(r.First), localTime(r.Last))
	}
	fmt.Fprintln(w, ".")
	if r.Head.Truncated > 0 {
		printf(w, "Those up to block %d were truncated: %d:%s\n", r.Head.Truncated,
			r.Head.Truncated, r.Head.TruncatedHash)
	}
	if r.File != "" {
		printf(w, "The names of the hub and the network are what the file says.\n")
	}
	printf(w, "Network: %s\n", fingerprint(r.Network))
	_, err := printf(w, "Head:    %d:%s\n", r.Head.Block, r.Head.Hash)
	return err
}

func hubAuditExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export FILE", Short: "Write the audit chain into a file",
		Long: "Verify the audit chain and write it into a new file: the head on the first line,\n" +
			"and then each block as JSON on a line of its own. sealpost hub audit verify FILE\n" +
			"verifies it without the hub. With - as FILE the chain goes to the standard output,\n" +
			"and the summary to the standard error.",
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := args[0]
			if file == "-" {
				return pipeAudit(cmd)
			}
			if _, err := os.Lstat(file); err == nil {
				return reason.Err("audit-in-the-way", "file", file)
			}
			r, err := exportAudit(cmd, file)
			if err != nil {
				return err
			}
			return show(cmd, r, func() error {
				if err := printAudit(cmd.OutOrStdout(), r); err != nil {
					return err
				}
				_, err := printf(cmd.OutOrStdout(), "Written: %s\n", file)
				return err
			})
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	return cmd
}

// exportAudit writes the chain beside the file, and gives it its name once it is whole.
func exportAudit(cmd *cobra.Command, file string) (r auditReport, err error) {
	part := file + ".part"
	if err := secretfile.Write(part, nil); err != nil {
		return r, err
	}
	defer os.Remove(part) //nolint:errcheck // it has its name by then, or is of no use
	f, err := os.OpenFile(part, os.O_WRONLY, 0)
	if err != nil {
		return r, err
	}
	if r, err = writeAudit(cmd, f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, file)
	}
	r.File = file
	return r, err
}

// writeAudit writes the chain of the running hub.
func writeAudit(cmd *cobra.Command, w io.Writer) (r auditReport, err error) {
	out := bufio.NewWriter(w)
	chain, err := hub.WriteAudit(out, auditPages(cmd), r.add)
	if err == nil {
		err = out.Flush()
	}
	r.Hub, r.Network, r.Head = chain.Hub, chain.Network, chain.Head
	return r, err
}

// pipeAudit writes the chain to the standard output.
func pipeAudit(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		return usagef("--json wants a FILE: with - the output is the chain")
	}
	r, err := writeAudit(cmd, exactOutput(cmd.OutOrStdout()))
	if err != nil {
		return err
	}
	return printAudit(cmd.ErrOrStderr(), r)
}

// auditLine is one entry with its block, for programs.
type auditLine struct {
	Block uint64    `json:"block"`
	Time  time.Time `json:"time"`
	spool.AuditEntry
}

func hubAuditTailCommand() *cobra.Command {
	var most uint64
	var follow bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the newest blocks of the audit chain", Args: noArgs,
		Long: "Show the entries of the newest blocks. With --json each entry is an object on a\n" +
			"line of its own. Nothing is verified: sealpost hub audit verify does that.\n" +
			"With --follow new entries are shown as they come, until it is interrupted.",
		Example: "  sealpost hub audit tail --follow --json | logger -t sealpost-audit",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pages := auditPages(cmd)
			newest, err := pages(^uint64(0) - 1)
			if err != nil {
				return err
			}
			after := newest.Head.Block - min(newest.Head.Block, most)
			for after < newest.Head.Block {
				page, err := pages(after)
				if err != nil {
					return err
				}
				if after, err = printEntries(cmd, page); err != nil {
					return err
				}
			}
			if follow {
				return followAudit(cmd, pages, after)
			}
			return nil
		},
	}
	dirFlag(cmd, "hub")
	jsonFlag(cmd)
	cmd.Flags().Uint64VarP(&most, "blocks", "n", 20, "how many blocks")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show new entries as they come")
	return cmd
}

// followAudit prints the entries after a block until it is interrupted.
func followAudit(cmd *cobra.Command, pages func(uint64) (hub.AuditAnswer, error),
	after uint64) error {
	for backoff.Sleep(cmd.Context(), watchEvery) == nil {
		page, err := pages(after)
		if cmd.Context().Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		if len(page.Blocks) > 0 {
			if after, err = printEntries(cmd, page); err != nil {
				return err
			}
		}
	}
	return nil
}

// printEntries prints the entries of a page and returns the number of its last block.
func printEntries(cmd *cobra.Command, page hub.AuditAnswer) (last uint64, err error) {
	if len(page.Blocks) == 0 {
		return page.Head.Block, nil
	}
	w := cmd.OutOrStdout()
	for _, text := range page.Blocks {
		b, err := spool.ParseAuditBlock([]byte(text))
		if err != nil {
			return last, reason.Err("audit-broken", "why", err)
		}
		for _, e := range b.Entries {
			if wantsJSON(cmd) {
				err = printJSONLine(w, auditLine{b.Block, b.Time, e})
			} else {
				err = printEntry(w, b, e)
			}
			if err != nil {
				return last, err
			}
		}
		last = b.Block
	}
	return last, nil
}

// printEntry prints an entry for an admin: the block, the time, the event and its fields.
func printEntry(w io.Writer, b spool.AuditBlock, e spool.AuditEntry) error {
	printf(w, "%d %s %s", b.Block, localTime(b.Time), e.Op)
	for _, field := range []struct{ name, text string }{
		{"by", e.By}, {"call", e.Call}, {"of", string(e.Sender)}, {"envelope", string(e.Envelope)},
		{"for", string(e.Recipient)}, {"code", e.Code}, {e.Kind, e.Key}, {"", e.Text},
	} {
		if field.text != "" {
			printf(w, " %s", strings.TrimSpace(field.name+" "+field.text))
		}
	}
	for i, to := range e.To {
		printf(w, "%s%s", map[bool]string{true: " to ", false: ","}[i == 0], to)
	}
	_, err := fmt.Fprintln(w)
	return err
}
