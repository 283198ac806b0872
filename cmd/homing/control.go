package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/server/web"
)

// A control speaks to the running server over its control socket.
type control struct {
	http   *http.Client
	socket string
}

// dialControl finds the control socket of the server that the configuration
// of this command describes, also while there are mistakes in the file.
func dialControl(c *cobra.Command) (*control, error) {
	path, err := configPath(c)
	if err != nil {
		return nil, err
	}
	return dialControlOf(path)
}

// dialControlOf finds the control socket of the server of a configuration.
func dialControlOf(path string) (*control, error) {
	dir, err := config.FindDataDir(path)
	if err != nil {
		return nil, explainConfig(err)
	}
	socket := filepath.Join(dir, config.ControlSocket)
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
func (s *control) call(ctx context.Context, method, path string, query url.Values, body, answer any) error {
	resp, err := s.open(ctx, method, path, query, body, "application/json")
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

func (s *control) open(ctx context.Context, method, path string, query url.Values, body any, accept string) (*http.Response, error) {
	text, kind, err := encodeBody(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://homing"+path+"?"+query.Encode(), bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, s.explain(err)
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, refusal(resp)
	}
	return resp, nil
}

// A tomlBody is a body of a request that is TOML already.
type tomlBody []byte

// encodeBody gives the octets and the type of a body, which may be nil.
func encodeBody(body any) (text []byte, kind string, err error) {
	switch b := body.(type) {
	case nil:
		return nil, "", nil
	case tomlBody:
		return b, "application/toml", nil
	}
	text, err = json.Marshal(body)
	return text, "application/json", err
}

// refusal is the error in an answer.
func refusal(resp *http.Response) error {
	var p struct {
		web.Problem
		Errors []web.Mistake `json:"errors"` // what is wrong in a message
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p); err != nil || p.Detail == "" {
		return fmt.Errorf("the server answered %s: it may be of another version than this command", resp.Status)
	}
	for i, m := range p.Errors {
		if i == 0 {
			p.Detail = ""
		} else {
			p.Detail += "; "
		}
		p.Detail += strings.TrimPrefix(m.Pointer, "#/") + m.Parameter + ": " + m.Detail
	}
	return errProblem{p.Problem}
}

// Why a server cannot be asked.
var (
	errNoServer  = errors.New("no server answers") // it does not run
	errOtherUser = errors.New("the user who runs the server: try again as that user or with sudo")
)

// explain says what to do when the socket does not answer.
func (s *control) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w at %s: start it (`sudo systemctl start homing`, or `homing serve`), or name its configuration with --config; "+
			"`journalctl -u homing -n 50` says why it ended", errNoServer, s.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may be opened only by %w", s.socket, errOtherUser)
	}
	return fmt.Errorf("asking the server at %s: %w", s.socket, err)
}

// show asks the server that runs for a T, and prints it: as JSON, or for people.
func show[T any](c *cobra.Command, path string, query url.Values, asJSON bool, words func(io.Writer, T) error) error {
	server, err := dialControl(c)
	if err != nil {
		return err
	}
	var answer T
	if err := server.call(c.Context(), http.MethodGet, path, query, nil, &answer); err != nil {
		return err
	}
	if asJSON {
		return printJSON(c.OutOrStdout(), answer)
	}
	return words(c.OutOrStdout(), answer)
}
