package outbox

import (
	"errors"
	"log/slog"
	"sync"

	"sealpost/agent/tray"
)

// said remembers the last trouble of each thing that is tried again and again. The log has a line
// for each change only.
type said struct {
	mu    sync.Mutex // guards about
	about map[string]string
}

// maxSaid bounds the things that are remembered. The trouble of further ones is not logged.
const maxSaid = 4096

// isNew records the trouble of a thing, and reports whether it is another than before. An empty
// text is none.
func (s *said) isNew(about, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, isKnown := s.about[about]
	switch {
	case text == "":
		delete(s.about, about)
		return isKnown
	case before == text, !isKnown && len(s.about) >= maxSaid:
		return false
	case s.about == nil:
		s.about = map[string]string{}
	}
	s.about[about] = text
	return true
}

// Warn logs an error of something that is tried again, unless the log has it. No error ends it.
func (s *said) Warn(log *slog.Logger, about string, err error, args ...any) {
	if err == nil {
		s.isNew(about, "")
	} else if s.isNew(about, rootOf(err)) {
		log.Warn(about, append(args, "error", err)...)
	}
}

// rootOf returns the text of the innermost error, without paths. Names around it may be random.
func rootOf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return tray.Plain(err).String()
		}
		err = next
	}
}
