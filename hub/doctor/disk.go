package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sealpost/config"
	"sealpost/internal/durable"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
	"sealpost/internal/secretfile"
	"sealpost/internal/shell"
	"sealpost/internal/trouble"
	"sealpost/internal/way"
)

// space checks that the state folder can be written, and compares the free space with the reserve.
func space(_ context.Context, p *subject, found func(finding.Finding)) {
	state := p.Config.State
	check := reason.New("check-space-hub")
	if err := durable.TryWrite(state, 4<<10); err != nil {
		do := trouble.Of(err, state)
		if do.IsZero() {
			do = reason.New("repair-disk")
		}
		found(finding.Failure(check, reason.Of(err), do))
		return
	}
	free, err := durable.Free(state)
	if err != nil {
		found(finding.Failure(check, reason.Of(err), reason.New("repair-disk")))
		return
	}
	need := int64(p.Config.Spool.Reserve)
	short := reason.New("space-short", "folder", state, "free", reason.Size(free),
		"need", reason.Size(need))
	switch {
	case free < int64(p.Config.Spool.Floor):
		found(finding.Failure(check, short, reason.New("hub-make-room-floor")))
	case free < need:
		found(finding.Failure(check, short, reason.New("hub-make-room")))
	case free < 2*need:
		found(finding.Warning(check, short, reason.New("make-room-soon")))
	default:
		found(finding.Good(check, reason.New("space-good", "folder", state,
			"free", reason.Size(free))))
	}
}

// fewInodes is the number of free inodes that is too small: the spool has a file for each large
// envelope.
const fewInodes = 100_000

// inodes checks the free inodes of the disk, if it counts them.
func inodes(_ context.Context, p *subject, found func(finding.Finding)) {
	all, free, err := countInodes(p.Config.State)
	if err != nil || all == 0 {
		return // no finding: the disk has no fixed number, or space has found the error
	}
	check := reason.New("check-inodes")
	if free < min(fewInodes, all/20) {
		found(finding.Warning(check, reason.New("hub-inodes-few", "free", free),
			reason.New("hub-make-inodes")))
		return
	}
	found(finding.Good(check, reason.New("hub-inodes-good", "free", free)))
}

// maxFlaws bounds the findings about the state folder.
const maxFlaws = 10

// permissions finds the files and folders that other accounts could read, write or replace.
func permissions(_ context.Context, p *subject, found func(finding.Finding)) {
	state, count := p.Config.State, 0
	note := func(f finding.Finding) {
		if count++; count <= maxFlaws {
			found(f)
		}
	}
	err := secretfile.Inspect(state, func(f secretfile.Flaw) {
		// the engine's files have its own modes, and no other account gets into their folder
		if f.Kind == secretfile.Foreign || !strings.HasPrefix(f.Name, "spool/") {
			note(flaw(state, f))
		}
	})
	check := reason.New("check-permissions")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		note(finding.Warning(check, reason.Of(err), reason.New("as-hub")))
	}
	if f, isLoose := settings(p); isLoose {
		note(f)
	}
	faults, err := way.Above(state, serviceOf(p)...)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrNotExist) {
		note(finding.Warning(check, reason.Of(err), reason.New("as-hub")))
	}
	for _, f := range faults {
		v := f.Verdict()
		note(finding.Failure(check, reason.New("way-open-to", "fault", v.Says, "path", state),
			v.Do))
	}
	switch {
	case count == 0:
		found(finding.Good(check, reason.New("hub-permissions-good", "folder", state)))
	case count > maxFlaws:
		found(finding.Warning(check,
			reason.New("more-flaws", "n", count-maxFlaws, "folder", state),
			run(shell.Join("chmod", "-R", "go-rwx", state))))
	}
}

func flaw(state string, f secretfile.Flaw) finding.Finding {
	name := filepath.FromSlash(f.Name)
	path, mode := filepath.Join(state, name), fmt.Sprintf("%04o", f.Mode.Perm())
	check := reason.New("check-permissions-of", "path", filepath.Join(filepath.Base(state), name))
	private := shell.Join("chmod", "600", path)
	switch {
	case f.Kind == secretfile.Foreign:
		return finding.Failure(check,
			reason.New("file-of-account", "path", path, "account", f.Owner),
			reason.New("hub-remove-foreign"))
	case f.Kind == secretfile.OpenKey:
		return finding.Failure(check, reason.New("hub-key-open", "path", path, "mode", mode),
			reason.New("hub-close-key", "command", private))
	case f.Kind == secretfile.Linked:
		return finding.Warning(check, reason.New("file-linked", "path", path, "mode", mode),
			reason.New("find-other-name", "find",
				shell.Join("find", "/", "-xdev", "-samefile", path), "command", private))
	case f.Mode.IsDir():
		return finding.Warning(check, reason.New("folder-open", "path", path, "mode", mode),
			run(shell.Join("chmod", "700", path)))
	}
	return finding.Warning(check, reason.New("file-open", "path", path, "mode", mode), run(private))
}

// settings checks which accounts may write to hub.toml.
func settings(p *subject) (f finding.Finding, isLoose bool) {
	path := config.HubFile(p.Dir)
	info, err := os.Stat(path)
	if err != nil || info.Mode()&0o022 == 0 {
		return f, false
	}
	return finding.Failure(reason.New("check-file", "name", filepath.Base(path)),
		reason.New("hub-config-open", "path", path, "mode",
			fmt.Sprintf("%04o", info.Mode().Perm())),
		run(shell.Join("chmod", "go-w", path))), true
}
