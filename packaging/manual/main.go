// Manual writes the manual pages of every command, and the completions of the shells, into a
// folder.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"sealpost/cli"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manual FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

// write makes FOLDER/man1 and FOLDER/completions.
func write(dir string) error {
	pages, completions := filepath.Join(dir, "man1"), filepath.Join(dir, "completions")
	for _, folder := range []string{pages, completions} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	root := cli.Command()
	root.DisableAutoGenTag = true // no date: the same source makes the same pages
	date := time.Unix(0, 0).UTC()
	header := &doc.GenManHeader{Title: "SEALPOST", Section: "1", Source: "sealpost",
		Manual: "sealpost manual", Date: &date}
	if err := doc.GenManTree(root, header, pages); err != nil {
		return fmt.Errorf("manual pages: %w", err)
	}
	return writeCompletions(root, completions)
}

func writeCompletions(root *cobra.Command, dir string) error {
	for name, generate := range map[string]func(string) error{
		"sealpost": func(path string) error {
			return root.GenBashCompletionFileV2(path, true)
		},
		"_sealpost":     root.GenZshCompletionFile,
		"sealpost.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := generate(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("completions: %w", err)
		}
	}
	return nil
}
