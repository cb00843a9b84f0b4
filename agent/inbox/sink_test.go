package inbox

import (
	"fmt"
	"io"
	"path"
	"strings"
	"testing"
	"time"

	"sealpost/internal/beneath"
)

// BenchmarkDeepTree writes 20,000 entries below 58 folders: a folder, its file, the next folder.
func BenchmarkDeepTree(b *testing.B) {
	for range b.N {
		root, err := beneath.Open(b.TempDir())
		check(b, err)
		s := newSink(root, form{access: access{file: 0o600, dir: 0o700},
			hasList: func() bool { return false }})
		deep := "top"
		check(b, s.Dir(0, deep, time.Unix(1, 0)))
		for range 57 {
			deep = path.Join(deep, "level")
			check(b, s.Dir(0, deep, time.Unix(1, 0)))
		}
		for n := range 10_000 {
			folder := path.Join(deep, fmt.Sprintf("%05d", n))
			check(b, s.Dir(0, folder, time.Unix(1, 0)))
			w, err := s.File(0, folder+"/data", false, time.Unix(1, 0), 0)
			check(b, err)
			_, err = io.Copy(w, strings.NewReader("content"))
			check(b, err)
			check(b, w.Close())
		}
		check(b, s.finish())
		s.close()
		root.Close()
	}
}
