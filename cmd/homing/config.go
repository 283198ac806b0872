package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"homing/config"
)

func newConfig() *cobra.Command {
	return group("config", "Check the configuration", newConfigCheck())
}

func newConfigCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Name everything that is wrong with the configuration",
		Long: "Name everything that is wrong with the configuration, with the line and what to write instead.\n" +
			"The exit code is 0 when the server can start with it (there may be warnings) and 1 otherwise.",
		Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		path, err := configPath(c)
		if err != nil {
			return err
		}
		return checkConfig(c, path, *asJSON)
	}
	return c
}

func checkConfig(c *cobra.Command, path string, asJSON bool) error {
	cfg, err := config.Load(path)
	var problems config.Problems
	switch {
	case err == nil:
		problems = append(cfg.Warnings, secretProblems(cfg)...)
	case !errors.As(err, &problems):
		return explainConfig(err)
	}
	problems = append(problems, ruleProblems(path)...)
	out := c.OutOrStdout()
	switch {
	case asJSON:
		err = printJSON(out, struct {
			File     string          `json:"file"`
			OK       bool            `json:"ok"`
			Problems config.Problems `json:"problems"`
		}{path, !problems.Fatal(), append(config.Problems{}, problems...)})
	case len(problems) == 0:
		_, err = fmt.Fprintf(out, "%s: nothing is wrong\n", path)
	default:
		_, err = fmt.Fprintln(out, problems.Error())
	}
	if err == nil && problems.Fatal() {
		err = &exitError{code: exitFailed}
	}
	return err
}

// secretProblems names the secrets that no sink can be made with, which package
// config does not look into.
func secretProblems(cfg *config.Config) (problems config.Problems) {
	for _, s := range cfg.Sinks {
		if s.Type != config.SinkWebhook {
			continue
		}
		if _, err := webhookOf(s); err != nil {
			problems = append(problems, config.Problem{File: s.SecretFile, Line: 1, Key: "sink.secret_file", Message: err.Error()})
		}
	}
	return problems
}

// systemConfig is where a packaged server has its configuration.
const systemConfig = "/etc/homing/homing.toml"

// configPath gives the configuration that a command works with: that of
// --config, of $HOMING_CONFIG, in the working directory, or the system's.
func configPath(c *cobra.Command) (string, error) {
	if f := c.Flag("config"); f != nil && f.Value.String() != "" {
		return f.Value.String(), nil
	}
	if path := os.Getenv("HOMING_CONFIG"); path != "" {
		return path, nil
	}
	for _, path := range []string{"homing.toml", systemConfig} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no configuration: neither ./homing.toml nor %s exists; name one with --config", systemConfig)
}

// loadConfig reads the configuration that a command works with, and gives its
// path too.
func loadConfig(c *cobra.Command) (*config.Config, string, error) {
	path, err := configPath(c)
	if err != nil {
		return nil, "", err
	}
	cfg, err := config.Load(path)
	return cfg, path, explainConfig(err)
}

// explainConfig says what to do about a configuration that cannot be read.
func explainConfig(err error) error {
	var problems config.Problems
	switch {
	case err == nil:
		return nil
	case errors.As(err, &problems):
		return fmt.Errorf("the configuration cannot be used:\n%w", problems)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: try again as the user who runs the server, or with sudo", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: name the right one with --config", err)
	}
	return err
}
