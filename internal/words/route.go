package words

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sealpost/internal/id"
)

// Sites that are approved, and names that are no sites.

// Stray is a name in a direct address that is no site that receives.
type Stray struct {
	Name id.Site
	Self bool     // it is this site
	Near []string // the sites that may be meant
}

// ended puts a stop behind a sentence that has none.
func ended(text string) string {
	if strings.HasSuffix(text, "?") {
		return text
	}
	return text + "."
}

// strayNames says what is wrong with names that are no sites which receive.
func strayNames(strays []Stray, known []string) string {
	var says []string
	near := false
	for _, s := range strays {
		switch {
		case s.Self:
			says = append(says, fmt.Sprintf("%s is this site itself", s.Name))
		case len(s.Near) > 0:
			near = true
			says = append(says, fmt.Sprintf("no site of the name %s receives in this network; did you mean %s?", s.Name, either(s.Near)))
		default:
			says = append(says, fmt.Sprintf("no site of the name %s receives in this network", s.Name))
		}
	}
	text := strings.Join(says, "; ")
	if !near && len(known) > 0 {
		text += "; this site knows " + strings.Join(known[:min(10, len(known))], ", ")
	}
	return text
}

// either lists names as alternatives.
func either(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Fingerprints lists the fingerprints of sites.
func Fingerprints(shown map[id.Site]id.Hash) string {
	var list []string
	for _, site := range slices.Sorted(maps.Keys(shown)) {
		list = append(list, fmt.Sprintf("%s has the fingerprint %s", site, Fingerprint(shown[site])))
	}
	return strings.Join(list, ", ")
}

// Fingerprint returns a fingerprint in groups.
func Fingerprint[T ~string](hash T) string { return id.Grouped(hash) }

// WouldDrop refuses an approval that would take others away without saying so.
func WouldDrop(address id.Address, approved, dropped, sites []id.Site) error {
	if len(sites) == 0 {
		return fmt.Errorf("%s is approved for %s: nothing was changed. To forget that, and approve those that the hub proposes next, say --replace", Sites(approved), address)
	}
	return fmt.Errorf("%s is approved for %s, and this would leave out %s: nothing was changed. To approve %s besides, say --add; to approve exactly %s, say --replace",
		Sites(approved), address, Sites(dropped), Sites(sites), Sites(sites))
}

// AddOrReplace refuses an approval that is asked for in two ways.
const AddOrReplace = "say --add or --replace, and not both; \"route\" goes with --replace only"

// NoSuchSites refuses to approve names that are no sites which receive.
func NoSuchSites(strays []Stray, known []string) error {
	return fmt.Errorf("%s Nothing was approved. To approve a site before headquarters has invited it, say --in-advance", ended(strayNames(strays, known)))
}

// NotSiteYet warns of approved names that are no sites which receive, or not yet.
func NotSiteYet(strays []Stray, known []string) string {
	return ended(strayNames(strays, known)) + " Files wait until there is one; 'sealpost agent approve' changes what is approved"
}

// NotChecked warns that names could not be looked up.
func NotChecked(sites []id.Site) string {
	return fmt.Sprintf("\nThe hub could not be asked whether %s is a site of this network: check the name yourself.", Sites(sites))
}

// Sites lists sites in a sentence.
func Sites(sites []id.Site) string {
	names := make([]string, len(sites))
	for i, s := range sites {
		names[i] = string(s)
	}
	return strings.Join(names, ", ")
}
