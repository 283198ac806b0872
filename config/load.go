package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"homing/internal/spool"
	"homing/internal/tomltree"
)

// Load reads the file and the files that it names. Its error is Problems, all
// of them with their lines, or says why the file could not be read. What is
// only a warning is in Config.Warnings.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the directory of the configuration: %w", err)
	}
	c, problems := Parse(data, dir)
	for i := range problems {
		problems[i].File = path
	}
	if c == nil {
		return nil, problems
	}
	c.Warnings = problems
	return c, nil
}

// Parse reads the text of a file whose relative paths are relative to dir, and
// the files that it names; secrets also from $CREDENTIALS_DIRECTORY. It gives
// no Config when one of the Problems is more than a warning.
func Parse(data []byte, dir string) (*Config, Problems) {
	return parse(data, dir, renamed)
}

func parse(data []byte, dir string, renamed map[string]string) (*Config, Problems) {
	tree, problem := parseTree(data)
	if problem != nil {
		return nil, Problems{*problem}
	}
	c := start()
	if tree.In["listen"] != nil {
		c.Listen = Listen{}
	}
	f := newFindings()
	d := decoder{findings: f, dir: dir, secrets: os.Getenv("CREDENTIALS_DIRECTORY"), renamed: renamed}
	d.note(tree, "")
	d.decode(tree, "", reflect.ValueOf(c).Elem(), "")
	unbuilt(f, tree, "")
	c.fill()
	check := checker{findings: f, c: c}
	check.all()
	if problems := f.sorted(); problems.Fatal() {
		return nil, problems
	}
	return c, f.list
}

// parseTree reads TOML. Its problem is the first thing that is not TOML.
func parseTree(data []byte) (*tomltree.Value, *Problem) {
	tree, err := tomltree.Parse(data)
	var wrong *tomltree.SyntaxError
	switch {
	case errors.As(err, &wrong):
		return nil, &Problem{File: "homing.toml", Line: wrong.Line, Key: wrong.Key, Message: wrong.What}
	case err != nil:
		return nil, &Problem{File: "homing.toml", Line: 1, Message: "the file is " + err.Error() + ", so it cannot be a configuration; name the right file with --config"}
	}
	return tree, nil
}

// FindDataDir gives the data_dir of a file that may be wrong otherwise: whoever
// only wants to ask the running server can do so while the file is edited.
func FindDataDir(path string) (string, error) { return findPath(path, DefaultDataDir, "data_dir") }

// FindRulesFile gives the bounce.rules_file of a file that may be wrong
// otherwise; "" where it names none.
func FindRulesFile(path string) (string, error) { return findPath(path, "", "bounce", "rules_file") }

// FindLocal gives the socket for local users ("": there is none) and the spool of
// a file that may be wrong otherwise.
func FindLocal(file string) (socket, spoolDir string, err error) {
	if spoolDir, err = findPath(file, spool.DefaultDir, "spool_dir"); err != nil {
		return "", "", err
	}
	tree, _, err := readTree(file)
	if err != nil {
		return "", "", err
	}
	if tree.In["listen"] == nil {
		return everywhere().Local.Address, spoolDir, nil
	}
	// In a [listen] that is there, what is left out is off.
	return strings.TrimPrefix(textAt(tree, "listen", "local"), "unix:"), spoolDir, nil
}

// findPath gives the path at a key of a file, absolute, or otherwise.
func findPath(file, otherwise string, key ...string) (string, error) {
	tree, base, err := readTree(file)
	if err != nil {
		return "", err
	}
	found := cmp.Or(textAt(tree, key...), otherwise)
	if found != "" && !filepath.IsAbs(found) {
		found = filepath.Join(base, found)
	}
	return found, nil
}

// readTree reads a file as TOML, whatever it says, and gives the directory that
// its paths are relative to.
func readTree(file string) (tree *tomltree.Value, base string, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("reading the configuration: %w", err)
	}
	if base, err = filepath.Abs(filepath.Dir(file)); err != nil {
		return nil, "", fmt.Errorf("finding the directory of the configuration: %w", err)
	}
	tree, problem := parseTree(data)
	if problem != nil {
		problem.File = file
		return nil, "", Problems{*problem}
	}
	return tree, base, nil
}

// textAt gives the text at a key; "": there is none.
func textAt(v *tomltree.Value, key ...string) string {
	for _, step := range key {
		if v != nil {
			v = v.In[step]
		}
	}
	if v == nil || v.Kind != tomltree.Text {
		return ""
	}
	return v.Text
}
