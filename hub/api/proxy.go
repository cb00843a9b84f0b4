package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// ProxyError says that a proxy on the way to the hub does not let the connection through.
type ProxyError struct {
	Proxy  string // its address, without user and password
	Status int    // that it answered; 407: it wants another user or password
}

func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy %s answers %d %s", e.Proxy, e.Status, http.StatusText(e.Status))
}

// Proxy returns the proxy for a request, from HTTPS_PROXY and NO_PROXY in the environment; nil: none.
func Proxy(r *http.Request) (*url.URL, error) {
	proxy, err := http.ProxyFromEnvironment(r)
	if err != nil {
		return nil, errors.New("HTTPS_PROXY does not hold the address of a proxy") // and may hold a password: not repeated
	}
	return proxy, nil
}

// CheckProxy takes what a proxy answers to a CONNECT, for an http.Transport.
func CheckProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Proxy: proxy.Host, Status: answer.StatusCode}
}
