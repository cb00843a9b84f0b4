package testkit

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Firewall passes connections on to a server, but for those that begin with more than 1,300 bytes.
// It ends with its test.
func Firewall(t testing.TB, to string, drop func(net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer in.Close()
				defer context.AfterFunc(ctx, func() { in.Close() })()
				first := make([]byte, 16<<10)
				n, err := in.Read(first)
				if err != nil {
					return
				}
				if n > 1300 {
					drop(in)
					return
				}
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				defer context.AfterFunc(ctx, func() { out.Close() })()
				out.Write(first[:n]) //nolint:errcheck // the copy fails too
				go io.Copy(out, in)  //nolint:errcheck // ended by the close
				io.Copy(in, out)     //nolint:errcheck // ended by the server
			})
		}
	})
	t.Cleanup(func() {
		stop()
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}
