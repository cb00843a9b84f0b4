// Package cli is the command line: it reads arguments, calls packages or running daemons, and
// prints the results.
//
// It promises that every command can be repeated without harm, that every error names the cause and
// the remedy, and that no secret is ever an argument or an output. It decides nothing itself: the
// work of a command lies in the packages hub, agent, certs and config.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sealpost/hub/remote"
	"sealpost/internal/control"
	"sealpost/internal/reason"
	"sealpost/internal/service"
	"sealpost/internal/visible"
)

// The exit codes, which docs/cli.md promises.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotRunning   = 3
	exitDisplaced    = 4
	exitInterrupted  = 5
	exitTimedOut     = 6
	exitNotDelivered = 7
	exitRepeated     = 8
)

const rootHelp = `sealpost carries files from labs to research centres through a hub that cannot
read them.

Try it on this machine:     sealpost demo
At headquarters:            sealpost hub init, hub run, hub invite
At a lab or a centre:       sealpost agent join, agent run, agent status

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon that the command
speaks to is not running or not reached, 4 another agent of the same site has
taken over, 5 interrupted, 6 a time limit has ended, 7 a file was not
delivered, 8 a file was not sent, since its content was sent before.`

// interrupted, timedOut, notDelivered and repeated give errors an exit code of their own.
type (
	interrupted  struct{ error }
	timedOut     struct{ error }
	notDelivered struct{ error }
	repeated     struct{ error }
)

func (e interrupted) Unwrap() error  { return e.error }
func (e timedOut) Unwrap() error     { return e.error }
func (e notDelivered) Unwrap() error { return e.error }
func (e repeated) Unwrap() error     { return e.error }

// usageError is a command line that cannot be carried out as it stands.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// Main carries out one command line and returns the exit code. Everything that it prints goes
// through package visible. An interrupt or a request to
// terminate ends the command in good order; a second one ends it at once.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	stdout, stderr = visible.NewWriter(stdout), visible.NewWriter(stderr)
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd() // here: it keeps where its scripts are written to
	completeAlone(root)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	printf(stderr, "sealpost: %s\n", shown(reason.Of(err).In(languageAt(cmd))))
	code := exitCode(ctx, err)
	if code == exitUsage {
		printf(stderr, "For help: %s --help\n", cmd.CommandPath())
	}
	return code
}

// exitCode returns the exit code of an error. An interrupt of the command, whose context has ended
// by it, outranks the failures that it causes.
func exitCode(ctx context.Context, err error) int {
	switch {
	case errors.As(err, new(*usageError)):
		return exitUsage
	case errors.As(err, new(notDelivered)):
		return exitNotDelivered
	case errors.As(err, new(repeated)):
		return exitRepeated
	case errors.As(err, new(timedOut)):
		return exitTimedOut
	case errors.As(err, new(interrupted)),
		ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, control.ErrNotRunning), errors.Is(err, remote.ErrUnreached):
		return exitNotRunning
	case errors.Is(err, service.ErrDisplaced):
		return exitDisplaced
	}
	return exitFailed
}

// Command returns the whole command line, from which the manual pages are made.
func Command() *cobra.Command { return newRoot() }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use: "sealpost", Short: "Carry files from labs to research centres through a hub that " +
			"cannot read them", Long: rootHelp,
		SilenceErrors: true, SilenceUsage: true, Args: noArgs, RunE: group,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(hubCommand(), agentCommand(), certsCommand(), sendCommand(), demoCommand(),
		versionCommand())
	return root
}

// group is the action of a command that only holds others.
func group(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// noArgs refuses arguments, and names the commands that may have been meant.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown argument %q for %s", args[0], cmd.CommandPath())
	if cmd.HasSubCommands() {
		text = fmt.Sprintf("unknown command %q for %s", args[0], cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2 // changed letters
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return &usageError{errors.New(text)}
}

// wantArgs accepts exactly the named arguments; a last name that ends in … takes one or more.
func wantArgs(names ...string) cobra.PositionalArgs {
	many := strings.HasSuffix(names[len(names)-1], "…")
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) || (len(args) > len(names) && !many) {
			return usagef("%s wants %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// oneOrNone accepts the named argument, or none.
func oneOrNone(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s wants one %s, or none", cmd.CommandPath(), name)
		}
		return nil
	}
}

// wantFlags refuses a command line that lacks one of the named flags.
func wantFlags(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if f := cmd.Flags().Lookup(name); f.Value.String() == "" || f.Value.String() == "[]" {
			return usagef("%s wants --%s: %s", cmd.CommandPath(), name, f.Usage)
		}
	}
	return nil
}

// dirFlag adds --dir, the folder of the daemon.
func dirFlag(cmd *cobra.Command, owner string) {
	cmd.Flags().String("dir", ".", "the folder of the "+owner)
	if err := cmd.MarkFlagDirname("dir"); err != nil {
		panic(err) // the flag is defined one line above
	}
}

// dirOf returns the value of --dir.
func dirOf(cmd *cobra.Command) string { return cmd.Flag("dir").Value.String() }

func jsonFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("json", false, "print JSON, for machines; times are UTC")
}

func wantsJSON(cmd *cobra.Command) bool { return cmd.Flag("json").Value.String() == "true" }
