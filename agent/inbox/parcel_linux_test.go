package inbox

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"sealpost/agent/ledger"
	"sealpost/internal/id"
	"sealpost/spool"
)

// parcel writes an attempt at an envelope, with messages of one sender. The content of each is its
// name.
func parcel(t *testing.T, f *folders, sender id.Site, names ...string) (list []*placement) {
	t.Helper()
	list, err := tryParcel(f, sender, names...)
	check(t, err)
	return list
}

var numbers sync.Map // the last message number of each sender

func tryParcel(f *folders, sender id.Site, names ...string) (list []*placement, err error) {
	from := string(id.Random128[id.Envelope]()) + "-x"
	if err := f.temp.Mkdir(from, 0o700); err != nil {
		return nil, err
	}
	dir, err := f.envelope(from)
	if err != nil {
		return nil, err
	}
	s := newSink(dir, f.form)
	defer s.close()
	for n, name := range names {
		w, err := s.File(n, name, false, time.Unix(1, 0), 0)
		if err == nil {
			_, err = w.Write([]byte(name))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, err
		}
		number, _ := numbers.LoadOrStore(sender, new(int64))
		*number.(*int64)++
		list = append(list, &placement{isFile: true, signer: "s", from: from, item: strconv.Itoa(n),
			Received: ledger.Received{
				Sender: sender, UID: id.Random128[id.UID](),
				ID: id.FormatMessage(sender, "DAT", time.Now(), *number.(*int64)), Name: name,
				Temp: joinTemp(from, strconv.Itoa(n)),
			}})
	}
	return list, s.finish()
}

func messageOf(p *placement) spool.Message { return spool.Message{ID: p.ID, UID: p.UID} }
