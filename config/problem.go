package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong with the file.
type Problem struct {
	File    string `json:"file"` // as it was named to Load; "homing.toml" from Parse
	Line    int    `json:"line"` // from 1
	Key     string `json:"key"`  // "listen.smtp"; "" for what is about no key
	Message string `json:"message"`
	Warning bool   `json:"warning"` // the server works all the same
}

// String is the problem on one line: "homing.toml:12: listen.smtp: what is
// wrong; what to write".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", p.File, p.Line)
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	return b.String() + p.Message
}

// Problems are everything that is wrong with a file, in the order of its
// lines.
type Problems []Problem

// Error gives one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Fatal reports whether one of the problems is more than a warning.
func (ps Problems) Fatal() bool {
	return slices.ContainsFunc(ps, func(p Problem) bool { return !p.Warning })
}

// findings collects problems while a file is read. A path is where in the
// file something is: "application.0.networks.1".
type findings struct {
	lines  map[string]int  // where each path begins
	failed map[string]bool // paths that have an error already
	list   Problems
}

func newFindings() *findings {
	return &findings{lines: map[string]int{}, failed: map[string]bool{}}
}

// errorf notes what is wrong at a path. One error is enough for a path and
// everything in it: what is said later is mostly a consequence of the first.
func (f *findings) errorf(path, format string, args ...any) {
	if !f.hasFailed(path) {
		f.failed[path] = true
		f.add(path, false, fmt.Sprintf(format, args...))
	}
}

func (f *findings) warnf(path, format string, args ...any) {
	if !f.hasFailed(path) {
		f.add(path, true, fmt.Sprintf(format, args...))
	}
}

func (f *findings) hasFailed(path string) bool {
	for ; path != ""; path = parent(path) {
		if f.failed[path] {
			return true
		}
	}
	return false
}

// parent is the path of what a path is part of; "" for the whole file.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

func (f *findings) add(path string, warning bool, message string) {
	f.list = append(f.list, Problem{File: "homing.toml", Line: f.line(path), Key: keyOf(path), Message: message, Warning: warning})
}

// has reports whether something stands at a path.
func (f *findings) has(path string) bool { return f.lines[path] > 0 }

// line is where a path begins or, when it is missing, where what it would be
// part of begins.
func (f *findings) line(path string) int {
	for ; path != ""; path = parent(path) {
		if n := f.lines[path]; n > 0 {
			return n
		}
	}
	return 1
}

func (f *findings) sorted() Problems {
	slices.SortStableFunc(f.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Key, b.Key))
	})
	return f.list
}

// at makes a path: at("application", 0, "networks").
func at(steps ...any) string {
	texts := make([]string, len(steps))
	for i, s := range steps {
		texts[i] = fmt.Sprint(s)
	}
	return strings.Join(texts, ".")
}

// keyOf is a path without its numbers: the key as the reference names it.
func keyOf(path string) string {
	steps := strings.Split(path, ".")
	return strings.Join(slices.DeleteFunc(steps, func(s string) bool {
		_, err := strconv.Atoi(s)
		return err == nil
	}), ".")
}
