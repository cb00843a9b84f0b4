package cli

import "github.com/spf13/cobra"

// Command is the whole command line, for those who describe it: the manual pages are made from it.
func Command() *cobra.Command { return newRoot() }
