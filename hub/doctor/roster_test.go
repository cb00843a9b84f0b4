package doctor

import (
	"testing"
	"time"

	"sealpost/config"
	"sealpost/hub"
	"sealpost/internal/finding"
)

// The doctor tells the age of the roster, and which sites it misses.
func TestTheRosterIsExamined(t *testing.T) {
	now := time.Now()
	state := func(signed, ends time.Duration) hub.RosterState {
		return hub.RosterState{Number: 3, Signed: now.Add(signed), Ends: now.Add(ends)}
	}
	const day = 24 * time.Hour
	misses := state(-day, 29*day)
	misses.Missing = append(misses.Missing, "FL-LAB")
	stolen := misses
	stolen.Stolen = append(stolen.Stolen, "CA-RC")
	for name, c := range map[string]struct {
		roster hub.RosterState
		config string
		level  finding.Level
		code   string
	}{
		"none": {hub.RosterState{}, config.RosterOptional, finding.OK, "hub-roster-none"},
		"none, needed": {hub.RosterState{}, config.RosterRequired, finding.Fail,
			"hub-roster-needed"},
		"that of the lost hub is missing": {hub.RosterState{Lacks: 3}, "", finding.Fail,
			"hub-roster-lacks"},
		"older than the lost hub's": {hub.RosterState{Number: 2, Lacks: 3}, "", finding.Fail,
			"hub-roster-lacks"},
		"good":             {state(-day, 29*day), "", finding.OK, "hub-roster-good"},
		"ends soon":        {state(-25*day, 5*day), "", finding.Warn, "hub-roster-ends"},
		"has ended":        {state(-31*day, -day), "", finding.Fail, "roster-ended"},
		"distrusts a site": {stolen, "", finding.Warn, "hub-roster-stolen"},
		"misses a site":    {misses, "", finding.Warn, "hub-roster-misses"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &subject{status: hub.Status{Roster: c.roster}}
			p.Config.Roster = c.config
			var got finding.Finding
			roster(t.Context(), p, func(f finding.Finding) { got = f })
			if got.Level != c.level || string(got.Says.Code) != c.code {
				t.Errorf("found %+v", got)
			}
		})
	}
}
