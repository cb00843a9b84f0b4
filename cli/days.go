package cli

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// days is a flag for a time of some days or less, such as 7d, 36h or 90m.
type days struct{ time.Duration }

func (d *days) String() string {
	const day = 24 * time.Hour
	switch {
	case d.Duration == 0:
		return ""
	case d.Duration%day == 0:
		return strconv.Itoa(int(d.Duration/day)) + "d"
	}
	return d.Duration.String()
}

func (d *days) Type() string { return "time" }

func (d *days) Set(text string) error {
	var err error
	if count, found := strings.CutSuffix(text, "d"); found {
		var n uint64
		n, err = strconv.ParseUint(count, 10, 16)
		d.Duration = time.Duration(n) * 24 * time.Hour
	} else {
		d.Duration, err = time.ParseDuration(text)
	}
	if err != nil || d.Duration <= 0 {
		return errors.New("want a time such as 7d, 36h or 90m")
	}
	return nil
}
