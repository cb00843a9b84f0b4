package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that a document or a message names exists, with its flags. It stands in a block, in
// the middle of a sentence, or in the advice of an error. The tests of README, for-admins and
// for-scientists run the commands.
func TestNamedCommandsExist(t *testing.T) {
	found := 0
	for _, pattern := range []string{"../README.md", "../CHANGELOG.md", "../docs/*.md",
		"../internal/reason/*/*.toml", "../internal/service/*.go", "*.go",
		"../packaging/scripts/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for n, line := range strings.Split(string(text), "\n") {
				if strings.HasSuffix(file, "_test.go") || (strings.HasSuffix(file, ".go") &&
					strings.HasPrefix(strings.TrimSpace(line), "//")) {
					continue
				}
				for _, command := range commandsIn(line) {
					found++
					if err := enterable(command); err != nil {
						t.Errorf("%s:%d: %q: %v", file, n+1, command, err)
					}
				}
			}
		}
	}
	if found < 120 {
		t.Errorf("only %d commands were found", found)
	}
}

// A command in a text has a start, an end, and lower-case names of subcommands.
var (
	commandStart = regexp.MustCompile(
		`sealpost (hub|agent|hub\|agent|certs|send|demo|version|completion) `)
	commandEnd = regexp.MustCompile(
		"`|'[,;:.) ]|'$|\"|\\\\n|; |, | \\(| {2,}|\\) |[.]$| · ")
	lowerCase = regexp.MustCompile(`^[a-z]+$`)
)

// commandsIn finds the texts that begin as a command. They end with the quotation or the line.
func commandsIn(line string) (list []string) {
	line = strings.ReplaceAll(line, `\|`, "|")
	for _, at := range commandStart.FindAllStringIndex(line+" ", -1) {
		command := (line + " ")[at[0]:]
		if end := commandEnd.FindStringIndex(command); end != nil {
			command = command[:end[0]]
		}
		for _, kind := range strings.Split(strings.Fields(command)[1], "|") {
			words := strings.Fields(command)
			words[1] = kind
			list = append(list, strings.Join(words, " "))
		}
	}
	return list
}

// enterable returns an error if there is no such command, or a flag of it is missing.
func enterable(command string) error {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	cmd, rest, err := root.Find(strings.Fields(command)[1:])
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(rest) > 0 && lowerCase.MatchString(rest[0]) {
		return fmt.Errorf("%s has no %s", cmd.CommandPath(), rest[0])
	}
	return flagsOf(cmd, rest)
}

func flagsOf(cmd *cobra.Command, rest []string) error {
	cmd.InitDefaultHelpFlag()
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(strings.Trim(word, `[]'"`), "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && name != "" && cmd.Flags().Lookup(name) == nil {
			return fmt.Errorf("%s has no --%s", cmd.CommandPath(), name)
		}
	}
	return nil
}

// A rule that finds nothing wrong with anything is none.
func TestACommandThatIsNotThereIsFound(t *testing.T) {
	for line, wrong := range map[string]bool{
		"say `sealpost agent recal MESSAGE`":                           true,
		"run 'sealpost agent approve CA-RC --rout fl-lab.dat' then":    true,
		"| `sealpost hub\\|agent instal [--dir D]` | writes |":         true,
		"run 'sealpost agent approve CA-RC --route fl-lab.dat' then":   false,
		"| `sealpost hub\\|agent install [--dir D] [--name N]` | this": false,
	} {
		list := commandsIn(line)
		var err error
		for _, c := range list {
			if e := enterable(c); e != nil {
				err = e
			}
		}
		if len(list) == 0 || (err != nil) != wrong {
			t.Errorf("%s: %q, %v", line, list, err)
		}
	}
}
