// Package config reads how a desk is set up: one YAML file, overridden by
// RINGBACK_* environment variables, overridden by flags, validated once
// (CONTRACT §2, §3). A mistake is an [*Error]: one message with file, line and
// what was expected.
//
// What the file says about policies, tiers, calendars and people has no
// variables and no flags. The settings of the process have all three: see
// [AllSettings].
package config

import (
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ringback/book"
	"ringback/callback"
)

// Config is a valid configuration. It is shared: whoever reads it changes
// nothing in it.
type Config struct {
	// File is where it was read from; empty for the built-in one.
	File string
	// Organization is what the desk calls itself; "Ringback" where the file says nothing.
	Organization string
	// Tiers maps each tier to its rank, 1 or more; a higher one outranks (R05, R07).
	Tiers map[string]int
	// Staff in the file's order, with ranks and shifts resolved. Nil where the
	// file has no staff: people then come from elsewhere, and nothing that names
	// a person or needs a member of a queue has been checked.
	Staff     []book.Staff
	Calendars map[string]*callback.Calendar
	// Policies are valid; ranks are filled in, Step.Assign too. Not pinned yet.
	Policies map[string]*callback.Policy
	// PolicyNames are the names of Policies in the file's order.
	PolicyNames []string
	// Queues are those of every ladder and of all staff, with the ids of the
	// members in the order of Staff. An auditor is no member: one may give no
	// command (CONTRACT §3).
	Queues map[string][]string
	// Connectors are the systems around the desk.
	Connectors Connectors
	// SignIn is how people and systems prove who they are.
	SignIn SignIn
	// Settings are those of the process.
	Settings Settings
}

// Source says where a configuration comes from.
type Source struct {
	// File is the path of the YAML file. Empty: RINGBACK_CONFIG names it; if that
	// is empty too, the built-in configuration is meant.
	File string
	// Environ is the environment, as from os.Environ.
	Environ []string
	// Flags are the settings given as flags, by the flag's name without dashes.
	Flags map[string]string
}

// configEnv names the file (Source.File).
const configEnv = "RINGBACK_CONFIG"

// AddFlags adds --config and the flags of the settings with these paths, such
// as "server.listen", to a command. What is given there lands in s. It panics
// if there is no such setting.
func (s *Source) AddFlags(flags *pflag.FlagSet, paths ...string) {
	flags.StringVar(&s.File, "config", s.File, "configuration `FILE`; without one, a built-in configuration ["+configEnv+"]")
	if s.Flags == nil {
		s.Flags = map[string]string{}
	}
	for _, path := range paths {
		i := slices.IndexFunc(settings, func(c setting) bool { return c.Path == path })
		if i < 0 {
			panic("config: no setting " + path)
		}
		set := settings[i]
		f := flags.VarPF(&flagValue{s.Flags, set}, set.Flag, "", set.Help+" ["+set.Env+"]")
		if set.kind == kindBool {
			f.NoOptDefVal = "true"
		}
	}
}

// flagValue notes what a flag is given; whether it makes sense is Load's to say.
type flagValue struct {
	given map[string]string
	set   setting
}

func (f *flagValue) Set(s string) error { f.given[f.set.Flag] = s; return nil }
func (f *flagValue) Type() string       { return f.set.kind.word() }
func (f *flagValue) String() string {
	if f.given == nil { // pflag asks a zero value what its default looks like
		return ""
	}
	if s, ok := f.given[f.set.Flag]; ok {
		return s
	}
	return f.set.Default
}

// Load reads the configuration from all its sources. The error is an [*Error].
func Load(from Source) (*Config, error) {
	environment, everything := map[string]string{}, map[string]string{}
	for _, pair := range from.Environ {
		name, v, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		everything[name] = v
		if strings.HasPrefix(name, "RINGBACK_") {
			environment[name] = v
		}
	}
	if err := checkEnvironment(environment); err != nil {
		return nil, err
	}
	file, data := from.File, builtin
	if file == "" {
		file = environment[configEnv]
	}
	if file != "" {
		var err error
		if data, err = os.ReadFile(file); err != nil {
			return nil, &Error{File: file, Expected: "a file that can be read (" + reason(err) + ")"}
		}
	}
	return load(file, data, environment, from.Flags, everything)
}

// reason is an error of the file system without the path, which is said already.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// Parse reads a configuration from the text of a file alone; name is what
// messages call it. The error is an [*Error].
func Parse(name string, data []byte) (*Config, error) {
	return load(name, data, nil, nil, nil)
}

//go:embed builtin.yaml
var builtin []byte

// BuiltinYAML is the text of the built-in configuration, for copying.
func BuiltinYAML() []byte { return slices.Clone(builtin) }

// Builtin returns the built-in configuration with every policy of RULES.md. It
// works at any hour, and its people are made up.
func Builtin() *Config {
	c, err := load("", builtin, nil, nil, nil)
	if err != nil {
		panic("config: builtin.yaml: " + err.Error()) // a test holds it valid
	}
	return c
}

func load(file string, data []byte, environment, flags, secrets map[string]string) (*Config, error) {
	b := &builder{
		reader: reader{file: file}, environment: secrets,
		Config: &Config{File: file, Settings: defaults(), Queues: map[string][]string{}},
	}
	if file == "" {
		b.file = "builtin.yaml"
	}
	b.build(b.document(data))
	if err := b.mistake(); err != nil {
		return nil, err
	}
	if err := b.override(environment, flags); err != nil {
		return nil, err
	}
	return b.Config, nil
}
