package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// ProxyError is the refusal of a proxy on the way to the hub.
type ProxyError struct {
	Proxy  string // its address, without user and password
	Status int    // of its answer; 407: it wants another user or password
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
}

// Proxy returns the proxy for a request, from HTTPS_PROXY and NO_PROXY in the environment; nil:
// none.
func Proxy(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		// not repeated here: it may hold a password
		return nil, errors.New("HTTPS_PROXY does not hold the address of a proxy")
	}
	return proxy, nil
}

// CheckProxy turns a proxy's refusal of CONNECT into a ProxyError, for an http.Transport.
func CheckProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Status: answer.StatusCode}
}
