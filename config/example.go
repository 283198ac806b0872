package config

import _ "embed"

//go:embed homing.example.toml
var example string

// ExampleFile is a homing.toml that shows every key, with what it means. It
// loads where the files are that it names.
func ExampleFile() string { return example }
