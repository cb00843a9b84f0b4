package doctor

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sealpost/certs"
	"sealpost/internal/finding"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
	"sealpost/internal/way"
)

// countInodes returns the inodes of a folder's disk, all and free; 0 if it has no fixed number.
func countInodes(dir string) (all, free int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("inodes of %s: %w", dir, err)
	}
	return int64(s.Files), int64(s.Ffree), nil
}

// serviceOf returns the hub's account, the owner of its state folder.
func serviceOf(p *subject) []int {
	info, err := os.Stat(p.Config.State)
	if err != nil {
		return nil
	}
	return []int{int(info.Sys().(*syscall.Stat_t).Uid)}
}

// account compares this account with that of the hub, whose rights the checks need.
func account(_ context.Context, p *subject, found func(finding.Finding)) {
	service, self := serviceOf(p), os.Geteuid()
	if len(service) == 0 || service[0] == self {
		return
	}
	owner := way.Account(service[0])
	command := shell.Join("sudo", "-u", owner, "sealpost", "hub", "doctor", "--dir", p.Dir)
	if self == 0 {
		found(finding.Warning(accountCheck,
			reason.New("hub-doctor-is-root", "folder", p.Config.State, "owner", owner),
			run(command)))
		return
	}
	found(finding.Failure(accountCheck,
		reason.New("hub-doctor-other-account", "folder", p.Config.State, "owner", owner,
			"self", way.Account(self)), run(command)))
}

// clock compares this computer's clock with the issuing authority, and asks the system whether it
// keeps the clock in time.
func clock(_ context.Context, p *subject, found func(finding.Finding)) {
	check := reason.New("check-clock")
	if a, err := certs.ReadAuthority(p.Config.State); err == nil &&
		time.Now().Before(a.Issuing().NotBefore) {
		found(finding.Failure(check, reason.New("hub-clock-behind", "now", time.Now(),
			"made", a.Issuing().NotBefore), reason.New("set-clock")))
		return
	}
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err != nil || state == unix.TIME_ERROR ||
		t.Status&unix.STA_UNSYNC != 0 {
		found(finding.Warning(check, reason.New("hub-clock-alone"), reason.New("hub-keep-time")))
		return
	}
	found(finding.Good(check, reason.New("hub-clock-kept")))
}
