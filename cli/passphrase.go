package cli

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sealpost/certs"
	"sealpost/internal/reason"
)

// asker reads passphrases from files, and without them in the terminal. It asks once for each key
// file. A passphrase never comes from an argument or the environment: other accounts can see them.
type asker struct {
	cmd           *cobra.Command
	file, newFile string // of the present passphrase and of the new one; empty: the terminal
	issuing       string // of the issuing key's, where file and newFile are of the root's
	// An empty answer leaves a new key not encrypted, and so does a command without a terminal.
	optional bool
	known    map[string][]byte // by key file
}

// passphrases returns those that the asker reads.
func (a *asker) passphrases() certs.Passphrases {
	a.known = map[string][]byte{}
	return certs.Passphrases{Of: a.of, New: a.newOne}
}

func (a *asker) of(path string) ([]byte, error) {
	if known, ok := a.known[path]; ok {
		return known, nil
	}
	read := func() ([]byte, error) {
		return a.prompt("Passphrase of " + path + ": ")
	}
	file := a.file
	if a.optional && filepath.Base(path) != "root.key" {
		file = a.issuing
	}
	if file != "" {
		read = func() ([]byte, error) { return certs.ReadPassphrase(file) }
	} else if !a.hasTerminal() {
		return nil, reason.Err("passphrase-no-terminal", "cause", certs.ErrEncrypted)
	}
	text, err := read()
	if err == nil {
		a.known[path] = text
	}
	return text, err
}

// newOne returns the passphrase of a new key file. At a hub's set-up the issuing key has one only
// from a file.
func (a *asker) newOne(path string) (text []byte, err error) {
	switch {
	case a.optional && filepath.Base(path) != "root.key" && a.issuing == "":
		return nil, nil
	case a.optional && filepath.Base(path) != "root.key":
		return certs.ReadPassphrase(a.issuing)
	case a.newFile != "":
		if text, err = certs.ReadPassphrase(a.newFile); err == nil {
			a.known[path] = text
		}
		return text, err
	case !a.hasTerminal() && a.optional:
		return nil, nil
	case !a.hasTerminal():
		return nil, reason.Err("passphrase-no-terminal-new")
	}
	question := "New passphrase of " + path + ": "
	if a.optional {
		question = "New passphrase of " + path + " (empty: not encrypted): "
	}
	if text, err = a.prompt(question); err != nil {
		return nil, err
	}
	if len(text) == 0 && a.optional {
		return nil, nil
	}
	if err := certs.CheckPassphrase(text); err != nil { // before it is asked for a second time
		return nil, err
	}
	repeated, err := a.prompt("The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(text, repeated) {
		return nil, reason.Err("passphrases-differ")
	}
	a.known[path] = text
	return text, nil
}

func (a *asker) hasTerminal() bool {
	f, ok := a.cmd.InOrStdin().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// prompt asks in the terminal, without echo. An interrupt ends it and restores the echo.
func (a *asker) prompt(question string) ([]byte, error) {
	fd := int(a.cmd.InOrStdin().(*os.File).Fd()) // hasTerminal has checked it
	before, err := term.GetState(fd)
	if err != nil {
		return nil, err
	}
	printf(a.cmd.ErrOrStderr(), "%s", question)
	type answer struct {
		text []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() { // ends with the program, if an interrupt comes first
		text, err := term.ReadPassword(fd)
		done <- answer{text, err}
	}()
	select {
	case <-a.cmd.Context().Done():
		printf(a.cmd.ErrOrStderr(), "\n")
		if err := term.Restore(fd, before); err != nil {
			return nil, err
		}
		return nil, interrupted{a.cmd.Context().Err()}
	case got := <-done:
		printf(a.cmd.ErrOrStderr(), "\n")
		return got.text, got.err
	}
}
