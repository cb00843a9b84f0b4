package cli

import (
	"context"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command refuses an impossible command line with the same exit code, and does nothing.
func TestImpossibleValuesAreWrongUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	exits := func(want int, args ...string) {
		t.Helper()
		if got := Main(ended, args, io.Discard, io.Discard); got != want {
			t.Errorf("sealpost %s: exit code %d, want %d", strings.Join(args, " "), got, want)
		}
	}
	var walk func(cmd *cobra.Command, path []string)
	walk = func(cmd *cobra.Command, path []string) {
		for _, sub := range cmd.Commands() {
			walk(sub, append(slices.Clone(path), sub.Name()))
		}
		exits(exitUsage, append(slices.Clone(path), "--no-such-flag")...)
		_, names, _ := strings.Cut(cmd.Use, " ")
		if !strings.Contains(names, "…") {
			exits(exitUsage, append(slices.Clone(path), "a", "b", "c")...)
		}
		if names != "" && !strings.HasPrefix(names, "[") {
			exits(exitUsage, path...)
		}
		for _, m := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(
			cmd.LocalFlags().FlagUsages(), -1) {
			f := cmd.Flags().Lookup(m[1])
			if f == nil || strings.HasPrefix(f.Value.Type(), "string") {
				continue
			}
			for _, value := range []string{"-1", "soon", ""} {
				exits(exitUsage, append(slices.Clone(path), "--"+f.Name+"="+value)...)
			}
		}
	}
	for _, cmd := range newRoot().Commands() {
		walk(cmd, []string{cmd.Name()})
	}
	for _, args := range [][]string{
		{"hub", "dead", "--max", "0"}, {"hub", "messages", "--max", "1001"},
		{"agent", "find", "x", "--limit", "0"}, {"agent", "status", "--latest", "1001"},
		{"agent", "profile", "cpu", "--out", "x", "--seconds", "601"},
		{"agent", "join", "x.join", "--first-number", "0"},
		{"hub", "hold", "fl lab"}, {"hub", "messages", "--from", "fl lab"},
		{"hub", "init", "--name", "fl lab", "--host", "hub.example.org"},
		{"hub", "init", "--name", "DC-HQ", "--host", "a b"},
	} {
		exits(exitUsage, args...)
	}
}
