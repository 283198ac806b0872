package main

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/config"
)

// tableOf gives the table of a configuration: the shipped rules with those of
// its rules_file. What is wrong with that file is config.Problems.
func tableOf(cfg *config.Config) (*bounce.Table, error) {
	if cfg.Bounce.RulesFile == "" {
		return bounce.NewTable(), nil
	}
	return readTable(cfg.Bounce.RulesFile)
}

// maxRulesOctets is just more than a file of rules may have, so that one that
// is too long is seen to be.
const maxRulesOctets = 1<<20 + 1

// readTable gives the table that a file of rules makes. What is wrong with the
// file is config.Problems; anything else says why it could not be read.
func readTable(path string) (*bounce.Table, error) {
	_, rules, err := readRules(path)
	if err != nil {
		return nil, err
	}
	return bounce.NewTable(rules...), nil
}

// readRules gives a file of rules and what it says, with the errors of
// readTable.
func readRules(path string) ([]byte, []bounce.Rule, error) {
	data, err := readStart(path, maxRulesOctets)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the rules: %w", err)
	}
	rules, err := bounce.ParseRules(data)
	var wrong bounce.RuleProblems
	if errors.As(err, &wrong) {
		problems := make(config.Problems, len(wrong))
		for i, p := range wrong {
			problems[i] = config.Problem{File: path, Line: p.Line, Key: p.Key, Message: p.Message}
		}
		return nil, nil, problems
	}
	return data, rules, err
}

// ruleProblems gives what is wrong with the rules_file of a configuration,
// which may be wrong itself. That there is no such file, package config says.
func ruleProblems(path string) config.Problems {
	file, err := config.FindRulesFile(path)
	if err != nil || file == "" {
		return nil // the problem of the configuration
	}
	_, err = readTable(file)
	var problems config.Problems
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.As(err, &problems):
		return problems
	}
	return config.Problems{{File: file, Line: 1, Key: "bounce.rules_file", Message: fmt.Sprintf("%v; let the user who runs the server read it", err)}}
}

// tableFor gives the table that a command which needs no configuration works
// with: that of a file which was named, else what the server would use, else
// the shipped rules. Of a server's rules that cannot be read it says so.
func tableFor(c *cobra.Command, file string) (*bounce.Table, error) {
	if file != "" {
		table, err := readTable(file)
		return table, explainRules(err)
	}
	path, err := configPath(c)
	if err != nil {
		return bounce.NewTable(), nil // no server, so nothing to say about its rules
	}
	table, err := serversTable(path)
	if err != nil {
		fmt.Fprintf(c.ErrOrStderr(), "homing: warning: the server's own rules are not used, only the shipped ones:\n%v\n", err)
		return bounce.NewTable(), nil
	}
	return table, nil
}

// explainRules says of mistakes what they are in.
func explainRules(err error) error {
	var problems config.Problems
	if errors.As(err, &problems) {
		return fmt.Errorf("the rules cannot be used:\n%w", problems)
	}
	return err
}

// serversTable gives the table that the server of a configuration works with.
func serversTable(path string) (*bounce.Table, error) {
	file, err := config.FindRulesFile(path)
	switch {
	case err != nil:
		return nil, err
	case file == "":
		return bounce.NewTable(), nil
	}
	return readTable(file)
}
