package cli

import "github.com/spf13/cobra"

// Command returns the whole command line, from which the manual pages are made.
func Command() *cobra.Command { return newRoot() }
