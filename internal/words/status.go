package words

import (
	"fmt"
	"strings"
	"time"
)

// ReceiptNotBelieved names a site whose receipt is not believed.
func ReceiptNotBelieved(site string) string { return site + " (its receipt is not believed)" }

// WaitsAtHub says for which sites a message waits at the hub, and what the others have answered.
func WaitsAtHub(open []string, since time.Time, have, lack []string) string {
	says := fmt.Sprintf("waits at the hub for %s since %s", strings.Join(open, ", "), Time(since))
	if len(have) > 0 {
		says += fmt.Sprintf("; %s %s it", strings.Join(have, ", "), has(have))
	}
	if len(lack) > 0 {
		says += fmt.Sprintf("; %s %s not get it", strings.Join(lack, ", "), does(lack))
	}
	return says
}

func has(sites []string) string {
	if len(sites) == 1 {
		return "has"
	}
	return "have"
}

func does(sites []string) string {
	if len(sites) == 1 {
		return "does"
	}
	return "do"
}
