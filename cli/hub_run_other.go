//go:build !linux

package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func hubRunCommand() *cobra.Command {
	return &cobra.Command{
		Use: "run", Short: "Run the hub (on Linux)", Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return hubRunsHere() },
	}
}

func hubRunsHere() error {
	return fmt.Errorf("the hub runs on Linux only, not on %s: the store it keeps files in does "+
		"not make sure there that what it has "+
		"written survives a loss of power; run the hub on Linux, agents run here", runtime.GOOS)
}
