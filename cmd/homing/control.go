package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"homing/server/web"
)

// controlName is the control socket in data_dir.
const controlName = "control.sock"

// A control speaks to the running server over its control socket.
type control struct {
	http   *http.Client
	socket string
}

// dialControl finds the control socket of the server that the configuration
// of this command describes.
func dialControl(c *cobra.Command) (*control, error) {
	cfg, err := loadConfig(c)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(cfg.DataDir, controlName)
	return &control{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}, nil
}

// errProblem is an answer of the server that says why not.
type errProblem struct{ web.Problem }

func (e errProblem) Error() string { return e.Detail }

// notFound reports whether the server knows nothing of what was asked.
func notFound(err error) bool {
	var p errProblem
	return errors.As(err, &p) && p.Status == http.StatusNotFound
}

// call asks the server and reads its JSON into answer, unless that is nil.
func (c *control) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	resp, err := c.open(ctx, method, path, query, body, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the answer of the server: %w", err)
	}
	return nil
}

func (c *control) open(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://homing"+path+"?"+query.Encode(), in)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		var p errProblem
		if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p.Problem) != nil {
			return nil, fmt.Errorf("the server answered %s", resp.Status)
		}
		return nil, p
	}
	return resp, nil
}

// explain says what to do when the socket does not answer.
func (c *control) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no server answers at %s: start it with `homing serve`, or name its configuration with --config", c.socket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may be opened only by the user who runs the server: try again as that user or with sudo", c.socket)
	}
	return fmt.Errorf("asking the server at %s: %w", c.socket, err)
}

// asJSON adds the flag that every command over the control socket has.
func asJSON(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON for programs")
}

// printJSON prints one value, indented, for people who pipe it on.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
