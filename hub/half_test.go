package hub

import (
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
	"sealpost/spool"
)

// A line may break in one direction: the hub sees half a body, and the caller still listens. It
// must not get a success.
func TestHalfABodyIsNoSuccess(t *testing.T) {
	q := openHeadquarters(t)
	q.centre("CA-RC", "fl-lab.*")
	lab := q.lab("FL-LAB")
	content := []byte(strings.Repeat("x", spool.SmallSize+1))
	up := api.UploadRequest{Envelope: id.Random128[id.Envelope](), Size: int64(len(content))}
	if _, err := lab.OpenUpload(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	part := fmt.Sprintf("PUT %s/%s/0", api.PathUploads, up.Envelope)
	for _, request := range []string{part, "PUT " + api.PathKey, "POST " + api.PathPublish,
		"POST " + api.PathResolve, "POST " + api.PathRelease} {
		size := 2000
		if request == part {
			size = len(content)
		}
		c, err := tls.Dial("tcp", q.config.Listen, certs.ClientTLS(lab.identity, q.network(),
			"127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s",
			request, size, content[:1000]); err != nil {
			t.Fatal(err)
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if answer, _ := io.ReadAll(c); strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Errorf("half of %s is answered with %q", request, answer)
		}
	}
	state, err := lab.OpenUpload(t.Context(), up)
	if err != nil || len(state.Missing) != 1 {
		t.Errorf("the upload lacks %v: %v", state.Missing, err)
	}
}
