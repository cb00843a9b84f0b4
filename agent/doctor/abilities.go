package doctor

import (
	"context"

	"sealpost/internal/beneath"
	"sealpost/internal/reason"
	"sealpost/internal/trouble"
)

// abilities finds losses of received files on the inbox's disk. A disk that cannot be tried is a
// finding of folders.
func abilities(_ context.Context, o Options) (list []Finding) {
	if !o.Config.Receives() {
		return nil
	}
	dir := o.Config.Inbox.Dir
	d, err := beneath.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	a, err := d.Probe(probeName())
	if err != nil {
		return nil
	}
	for _, lack := range trouble.Lacks(a, dir) {
		list = append(list, warn(reason.New("check-inbox"), lack, reason.New("use-other-disk"))...)
	}
	return list
}
