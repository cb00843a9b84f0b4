package hub

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sealpost/certs"
	"sealpost/hub/api"
	"sealpost/internal/id"
)

// useUp uses up the site's rate.
func (i *intake) useUp(site id.Site) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rate(site).AllowN(time.Now(), int(i.rate(site).Tokens()))
}

// An attack on the hub does not delay a well-behaved site. The test measures the delay without one.
func TestAttacksDoNotDisturb(t *testing.T) {
	q := openHeadquarters(t)
	good, bad := q.lab("FL-LAB"), q.join("PA-LAB", "both")
	stranger := q.stranger("XX-LAB")
	bad.uploadKey()
	large := good.upload(id.Address{To: []id.Site{"PA-LAB"}}, make([]byte, 2*api.RangeSize))
	d := bad.take()
	if d.Envelope != large.Envelope {
		t.Fatal("the large envelope did not come")
	}
	q.centre("CA-RC", "#")
	in := good.head(key("fl-lab.dat"), []byte("x"))
	publish := func() time.Duration {
		next := in
		incoming := good.head(key("fl-lab.dat"), []byte("x"))
		next.Envelope, next.Messages = incoming.Envelope, incoming.Messages
		began := time.Now()
		if _, err := good.Publish(t.Context(), next, []byte("x")); err != nil {
			t.Errorf("the good site: %v", err)
		}
		return time.Since(began)
	}
	publishHead := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000000\r\n\r\n{",
		api.PathPublish)
	for _, attack := range []struct {
		name    string
		count   int
		who     *station
		on      func(ctx context.Context, c *tls.Conn)
		visible string // log events of a working attack
	}{
		{"nothing", 0, stranger, nil, ""},
		{"idle connections", 200, stranger, func(ctx context.Context, c *tls.Conn) {
			<-ctx.Done()
		}, ""},
		{"headers without end", 50, stranger, func(ctx context.Context, c *tls.Conn) {
			fmt.Fprintf(c, "GET / HTTP/1.1\r\n")
			for ctx.Err() == nil {
				if _, err := io.WriteString(c, "X: x\r\n"); err != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
		}, ""},
		{"bodies without end", 4, stranger, func(ctx context.Context, c *tls.Conn) {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\n",
				api.PathEnroll)
			for ctx.Err() == nil {
				if _, err := io.WriteString(c, "400\r\n"+strings.Repeat(" ", 1024)+
					"\r\n"); err != nil {
					return
				}
			}
		}, ""},
		{"hanging publishes of another site", 100, bad, func(ctx context.Context, c *tls.Conn) {
			io.WriteString(c, publishHead)
			<-ctx.Done()
		}, "too many bytes"},
		{"answers that nobody reads", 100, bad, func(ctx context.Context, c *tls.Conn) {
			ask := body(t, api.ContentRequest{Delivery: d.DeliveryID, Length: api.RangeSize})
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n%s",
				api.PathContent, len(ask), ask)
			<-ctx.Done()
		}, ""},
		{"more requests than the rate allows", 8, bad, func(ctx context.Context, c *tls.Conn) {
			go io.Copy(io.Discard, c)
			ask := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: hub\r\n\r\n", api.PathHello)
			for ctx.Err() == nil {
				q.hub.intake.useUp("PA-LAB") // each time: a slow machine asks less than is allowed
				if _, err := io.WriteString(c, ask); err != nil {
					return
				}
			}
		}, "in one second"},
	} {
		t.Run(attack.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			for range attack.count {
				c, err := tls.Dial("tcp", q.config.Listen,
					certs.ClientTLS(attack.who.identity, q.network(), "127.0.0.1"))
				if err != nil {
					t.Fatal(err)
				}
				context.AfterFunc(ctx, func() { c.NetConn().Close() })
				wg.Go(func() { attack.on(ctx, c) })
			}
			var took []time.Duration
			for began := time.Now(); len(took) < 20 ||
				!strings.Contains(q.log.String(), attack.visible) &&
					time.Since(began) < time.Minute; {
				took = append(took, publish())
			}
			slices.Sort(took)
			t.Logf("a publish takes %s, at most %s", took[len(took)/2], took[len(took)-1])
			if median := took[len(took)/2]; median > 5*time.Second {
				t.Errorf("a publish took %s", median)
			}
			if !strings.Contains(q.log.String(), attack.visible) {
				t.Errorf("the attack did nothing: the log does not say %q", attack.visible)
			}
		})
	}
}
