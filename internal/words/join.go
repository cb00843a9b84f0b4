package words

import (
	"fmt"

	"sealpost/internal/id"
)

// Displaced returns the error of an agent whose identity another agent has taken over.
func Displaced(site id.Site, why error) error {
	return fmt.Errorf("another agent of %s is running with this site's keys and has taken its queue; this one stops: %w", site, why)
}
