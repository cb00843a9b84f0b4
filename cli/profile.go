package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sealpost/internal/control"
	"sealpost/internal/profile"
)

const profileHelp = `Record where the running daemon's time or memory goes, into a file that "go
tool pprof FILE" reads ("go tool trace FILE" for a trace). cpu, trace, mutex and
block are recorded for some seconds, heap, allocs and goroutine show this
moment.

Profiles hold names of functions and numbers, no content and no keys. They leave
the daemon through its control socket only.`

func profileCommand(kind string,
	call func(dir string, call func(*control.Client) error) error) *cobra.Command {
	var out string
	seconds := 30
	r := profile.Request{}
	cmd := &cobra.Command{
		Use: "profile KIND", Short: "Record where the daemon's time or memory goes",
		Long: profileHelp, Args: wantArgs("KIND"),
		ValidArgs: append(append([]string{}, profile.Over...), profile.Now...),
		Example: fmt.Sprintf("  sealpost %s profile cpu --seconds 30 --out cpu.prof --dir "+
			"/srv/sealpost/DIR", kind),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Kind, r.For = args[0], time.Duration(seconds)*time.Second
			if err := r.Check(); err != nil {
				return &usageError{err}
			}
			if err := wantFlags(cmd, "out"); err != nil {
				return err
			}
			err := call(dirOf(cmd), func(c *control.Client) error {
				answer, err := c.Stream(cmd.Context(), profile.Path, r)
				if err != nil {
					return err
				}
				return save(answer, out)
			})
			if err != nil || !wantsJSON(cmd) {
				return err
			}
			return printJSON(cmd.OutOrStdout(), profileWritten{r.Kind, out})
		},
	}
	dirFlag(cmd, kind)
	jsonFlag(cmd)
	countFlag(cmd, count{&seconds, 1, int(profile.Longest.Seconds())}, "seconds",
		"how long to record")
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not be there yet")
	return cmd
}

// profileWritten is the JSON of a written profile.
type profileWritten struct {
	Kind string `json:"kind"`
	File string `json:"file"`
}

// save writes a profile as it comes. A file that stays behind is a whole one.
func save(answer io.ReadCloser, out string) error {
	defer answer.Close()
	f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, answer)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("the profile is not whole: %w", errors.Join(err, os.Remove(out)))
	}
	return nil
}
