package words

import (
	"fmt"
	"time"
)

// TemporaryName tells of a name that a program gives to a file that it has not finished.
func TemporaryName(program string) string {
	return fmt.Sprintf("it has the name of a temporary file (%s), so it is left alone: rename it when it is complete", program)
}

// BackupName tells of a name that a program gives to an earlier version of a file.
func BackupName(program string) string {
	return fmt.Sprintf("it has the name of a backup copy (%s), so it is left alone: rename it if it is to be sent", program)
}

// LockName tells of a file that a program keeps while it has another one open.
func LockName(program string) string {
	return fmt.Sprintf("it is a lock file (%s): the program deletes it when it closes the file beside it; if no program has a file open here, delete it", program)
}

// SystemName tells of a name that a system gives to what it keeps for itself.
func SystemName(program string) string {
	return fmt.Sprintf("it has a name that %s uses for itself, so it is left alone: rename it if it is to be sent", program)
}

// OpenElsewhere tells by its lock file that a program has a file open, and when the lock counts no more.
func OpenElsewhere(lock, program string, until time.Time) string {
	return fmt.Sprintf("it is open in another program (%s), whose lock file %q lies beside it: close it there. If no program has it open, delete the lock file; "+
		"one that is forgotten counts until %s", program, lock, Time(until))
}

// OpenInside tells by its lock file that a program has a file in a folder open, and when the lock counts no more.
func OpenInside(lock, program string, until time.Time) string {
	return fmt.Sprintf("%q in it is the lock file of a program (%s) that has a file open there: close it. If no program has, delete the lock file; "+
		"one that is forgotten counts until %s", lock, program, Time(until))
}

// onceQuiet ends the wait for a file that may go on.
const onceQuiet = "it is taken when it has not changed for "

// AddedAfterPause tells of a file whose program has paused and gone on.
func AddedAfterPause(pause, quiet time.Duration) string {
	return fmt.Sprintf("its program has added to it after a pause of %s, so it may go on: "+onceQuiet+"%s", Duration(pause), Duration(quiet))
}

// CameSoonAfter tells of a file that may be the rest of the one of its name that was taken before.
func CameSoonAfter(pause, quiet time.Duration) string {
	return fmt.Sprintf("it came %s after a file of its name had been written, and may be the rest of it: "+onceQuiet+"%s. "+
		"If each is complete, move them here instead of writing them here; if not, ask your admin to let files rest for longer (settle)", Duration(pause), Duration(quiet))
}
