package inbox

import "sealpost/internal/beneath"

// The access list of the inbox decides who can change what lies in it.

func isOwned(i beneath.Info) bool { return i.IsDir() }

func isOurs(i beneath.Info) bool { return i.IsDir() }

func isPrivate(i beneath.Info) bool { return i.IsDir() }

func tighten(*beneath.Dir) bool { return false }

func keepsOwners(*beneath.Dir) (bool, error) { return false, nil }
