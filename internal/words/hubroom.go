package words

import "fmt"

// What the admin of a hub is told of its disk.

// lowerReserve is how a hub with little room goes on.
const lowerReserve = "make room, or set smaller sizes under [spool] in hub.toml and start the hub again"

// BelowReserve says that a hub takes nothing new.
func BelowReserve(free, reserve int64) string {
	return fmt.Sprintf("%s are free, less than the reserve of %s in hub.toml: nothing new is taken, and labs keep their files; %s", Size(free), Size(reserve), lowerReserve)
}

// AboveReserve says how much room a hub has.
func AboveReserve(free, reserve int64) string {
	return fmt.Sprintf("%s free; nothing new is taken below %s", Size(free), Size(reserve))
}

// SmallDisk says that a hub keeps less free than usual, as its disk is small.
func SmallDisk(free, reserve, usual int64) string {
	return fmt.Sprintf("%s are free, so the hub takes nothing new below %s instead of the usual %s (reserve under [spool] in hub.toml)", Size(free), Size(reserve), Size(usual))
}

// NoRoomToChange says that a hub's disk is too full to change its directory.
func NoRoomToChange(free, floor int64, why error) error {
	return fmt.Errorf("nothing was changed: the hub's disk has %s free, and [spool] floor in hub.toml keeps %s; %s (%w)", Size(free), Size(floor), lowerReserve, why)
}
