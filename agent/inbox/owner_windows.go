package inbox

import (
	"io/fs"
	"os"

	"sealpost/internal/beneath"
)

// On Windows the access list of the inbox decides about reading and changing its entries.

func keepsOwners(*beneath.Dir) (bool, error) { return false, nil }

func (access) apply(*os.File, fs.FileMode, func() bool) error { return nil }

func (access) enforce(*beneath.Dir, fs.FileMode) error { return nil }
