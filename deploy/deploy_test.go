package deploy

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"ringback/config"
	"ringback/engine"
)

// composition is the part of a compose file that is tested here.
type composition struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

type service struct {
	Image       string            `yaml:"image"`
	Build       string            `yaml:"build"`
	Command     []string          `yaml:"command"`
	Restart     string            `yaml:"restart"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []any             `yaml:"volumes"`
	NetworkMode string            `yaml:"network_mode"`
	ReadOnly    bool              `yaml:"read_only"`
	EnvFile     []struct {
		Path     string `yaml:"path"`
		Required *bool  `yaml:"required"`
	} `yaml:"env_file"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

func compose(t *testing.T) composition {
	t.Helper()
	var c composition
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "../docker-compose.yml")), &c))
	return c
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// oneShots are the services that end once they have done their work.
var oneShots = []string{"migrate", "temporal-schema"}

// TestTheWholeTopologyIsThere: Temporal, its UI, PostgreSQL, and the desk's processes, each from its own image.
func TestTheWholeTopologyIsThere(t *testing.T) {
	t.Parallel()
	services := compose(t).Services
	require.Equal(t, []string{"api", "migrate", "postgresql", "temporal", "temporal-schema", "temporal-ui", "worker"},
		slices.Sorted(maps.Keys(services)))
	for _, name := range []string{"api", "migrate", "worker"} {
		require.Equal(t, []string{name}, services[name].Command)
		require.Equal(t, ".", services[name].Build)
	}
}

var pinned = regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?[a-z0-9.-]*(@sha256:[0-9a-f]{64})?$|@sha256:[0-9a-f]{64}$`)

func TestEveryImageIsPinned(t *testing.T) {
	t.Parallel()
	for name, s := range compose(t).Services {
		if s.Build != "" {
			require.Equal(t, "ringback:local", s.Image, name)
			continue
		}
		require.Regexp(t, pinned, s.Image, name)
	}

	stages := map[string]bool{}
	from := regexp.MustCompile(`(?m)^FROM (\S+)(?: AS (\S+))?$`).FindAllStringSubmatch(read(t, "../Dockerfile"), -1)
	require.Len(t, from, 2)
	for _, line := range from {
		if !stages[line[1]] {
			require.Regexp(t, pinned, line[1])
		}
		stages[line[2]] = true
	}
}

// TestTheVersionsAreThoseOfTheModule: what runs in production is what the tests and ringback-dev run.
func TestTheVersionsAreThoseOfTheModule(t *testing.T) {
	t.Parallel()
	module := read(t, "../go.mod")
	version := func(path string) string {
		found := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(path) + ` v?(\S+)`).FindStringSubmatch(module)
		require.NotNil(t, found, "%s is not in go.mod", path)
		return found[1]
	}
	services := compose(t).Services
	server := version("go.temporal.io/server")
	require.Equal(t, "temporalio/server:"+server, services["temporal"].Image)
	require.Equal(t, "temporalio/admin-tools:"+server, services["temporal-schema"].Image)
	require.Equal(t, "temporalio/ui:"+version("github.com/temporalio/ui-server/v2"), services["temporal-ui"].Image)
	require.Contains(t, read(t, "../Dockerfile"), "FROM golang:"+version("go")+"-")
}

// TestTheImageIsBuiltFromAllItNeeds: .dockerignore keeps nothing back that cmd/ringback is made of.
func TestTheImageIsBuiltFromAllItNeeds(t *testing.T) {
	t.Parallel()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		`{{if .Module}}{{if .Module.Main}}{{$p := .ImportPath}}{{range .GoFiles}}{{$p}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$p}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`,
		"./cmd/ringback")
	command.Dir = ".."
	var stderr strings.Builder
	command.Stderr = &stderr
	files, err := command.Output()
	require.NoError(t, err, stderr.String())
	require.NotEmpty(t, strings.TrimSpace(string(files)))

	var ignored []string
	for line := range strings.Lines(read(t, "../.dockerignore")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			ignored = append(ignored, line)
		}
	}
	for file := range strings.SplitSeq(strings.TrimSpace(string(files)), "\n") {
		_, file, _ = strings.Cut(strings.TrimSpace(file), "/")
		for _, pattern := range ignored {
			suffix, anywhere := strings.CutPrefix(pattern, "**/")
			if !anywhere {
				require.False(t, file == pattern || strings.HasPrefix(file, pattern+"/"), "%s is kept back by %s", file, pattern)
				continue
			}
			for part := range strings.SplitSeq(file, "/") {
				matched, err := path.Match(suffix, part)
				require.NoError(t, err)
				require.False(t, matched, "%s is kept back by %s", file, pattern)
			}
		}
	}
}

// TestNothingWaitsForWhatCannotHappen: what is waited for exists, and can become what it is waited for to be.
func TestNothingWaitsForWhatCannotHappen(t *testing.T) {
	t.Parallel()
	services := compose(t).Services
	for name, s := range services {
		for target, dependency := range s.DependsOn {
			require.Contains(t, services, target, "%s waits for %s", name, target)
			switch dependency.Condition {
			case "service_healthy":
				require.NotNil(t, services[target].Healthcheck, "%s waits for %s to be healthy", name, target)
			case "service_completed_successfully":
				require.Contains(t, oneShots, target, "%s waits for %s to end", name, target)
			default:
				require.Fail(t, "unknown condition", "%s waits for %s: %q", name, target, dependency.Condition)
			}
		}
	}
	for _, name := range []string{"api", "worker"} {
		require.Equal(t, []string{"CMD", "/ringback", "health"}, services[name].Healthcheck.Test, "the image has no shell")
		require.Contains(t, services[name].DependsOn, "migrate", name)
		require.Contains(t, services[name].DependsOn, "temporal", name)
	}
}

func TestEveryServiceComesBack(t *testing.T) {
	t.Parallel()
	for name, s := range compose(t).Services {
		if slices.Contains(oneShots, name) {
			require.Regexp(t, `^on-failure:\d+$`, s.Restart, name)
		} else {
			require.Equal(t, "unless-stopped", s.Restart, name)
		}
	}
}

// TestOnlyThisHostIsServed: no port is open to the network.
func TestOnlyThisHostIsServed(t *testing.T) {
	t.Parallel()
	published := regexp.MustCompile(`^127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+$`)
	services := compose(t).Services
	for name, s := range services {
		for _, port := range s.Ports {
			require.Regexp(t, published, port, name)
		}
		if listen := s.Environment["RINGBACK_LISTEN"]; listen != "" {
			host, _, err := net.SplitHostPort(defaults(listen))
			require.NoError(t, err, name)
			// Inside its container only the API answers others: it asks them who they are.
			require.Equal(t, name != "api", host == "127.0.0.1", name)
		}
		require.Empty(t, s.NetworkMode, name)
	}
}

// reference is a variable that compose fills in, with its default or the message that refuses to start without it.
var reference = regexp.MustCompile(`\$\{([A-Z_]+)(:[-?])([^}]*)\}`)

// defaults fills in what a value has defaults for.
func defaults(value string) string {
	return reference.ReplaceAllStringFunc(value, func(text string) string {
		if part := reference.FindStringSubmatch(text); part[2] == ":-" {
			return part[3]
		}
		return text
	})
}

func TestNoSecretIsWrittenDown(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`^\$\{[A-Z_]+:(\?[^}]+|-)\}$`) // given from outside, or none
	for name, s := range compose(t).Services {
		for key, value := range s.Environment {
			if regexp.MustCompile(`PASSWORD|PWD|SECRET|TOKEN|KEY`).MatchString(key) {
				require.Regexp(t, secret, value, "%s: %s", name, key)
			}
			if _, rest, found := strings.Cut(value, "://"); found && strings.Contains(rest, "@") {
				_, password, _ := strings.Cut(rest[:strings.LastIndex(rest, "@")], ":")
				require.Regexp(t, secret, password, "%s: %s", name, key)
			}
		}
	}

	example := read(t, "../.env.example")
	for line := range strings.Lines(example) {
		if name, value, assigned := strings.Cut(strings.TrimSpace(line), "="); assigned && strings.Contains(name, "PASSWORD") {
			require.Empty(t, value, name)
		}
	}
	// Every variable that the compose file reads is in the example, and none else.
	wanted := map[string]bool{}
	for _, found := range reference.FindAllStringSubmatch(read(t, "../docker-compose.yml"), -1) {
		wanted[found[1]] = true
	}
	offered := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^(?:# )?([A-Z_]+)=`).FindAllStringSubmatch(example, -1) {
		offered[found[1]] = true
	}
	require.Equal(t, slices.Sorted(maps.Keys(wanted)), slices.Sorted(maps.Keys(offered)))
	require.Contains(t, read(t, "../.gitignore"), "\n.env\n")
	require.Contains(t, read(t, "../.dockerignore"), "\n.env\n")
}

// clientSecret is the variable that the sign-in of ringback.yaml names.
const clientSecret = "OIDC_CLIENT_SECRET"

// TestTheSignInIsReadyToBeUncommented: what is offered there is understood, and finds its secret in the API's environment.
func TestTheSignInIsReadyToBeUncommented(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ringback.yaml")
	text := regexp.MustCompile(`(?m)^  # (oidc:|claims:|  )`).ReplaceAllString(read(t, "ringback.yaml"), "  $1")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	desk, err := config.Load(config.Source{File: file, Environ: []string{"RINGBACK_LISTEN=0.0.0.0:8080", "RINGBACK_PUBLIC_URL=https://desk.example.com"}})
	require.NoError(t, err)
	require.Equal(t, clientSecret, desk.SignIn.OIDC.ClientSecretEnv)
	var worker []string
	for key, value := range compose(t).Services["worker"].Environment {
		if key != "RINGBACK_CONFIG" {
			worker = append(worker, key+"="+reference.ReplaceAllString(defaults(value), "secret"))
		}
	}
	_, err = config.Load(config.Source{File: file, Environ: worker})
	require.NoError(t, err, "the worker reads the same file, and needs no public URL")
	require.Contains(t, compose(t).Services["api"].Environment, clientSecret)
	require.NotEmpty(t, desk.SignIn.Claims.Tier.Values)
	queues := slices.Sorted(maps.Keys(desk.Queues))
	for _, means := range desk.SignIn.Claims.Queues.Values {
		queues = slices.DeleteFunc(queues, func(q string) bool { return slices.Contains(means, q) })
	}
	require.Empty(t, queues, "every queue of a ladder is somebody's")
}

// TestTheDeskUnderstandsItsEnvironment: with the file that is mounted, and without a variable that nothing reads.
func TestTheDeskUnderstandsItsEnvironment(t *testing.T) {
	t.Parallel()
	known := []string{"RINGBACK_CONFIG"}
	for _, setting := range config.AllSettings() {
		known = append(known, setting.Env)
	}
	services := compose(t).Services
	for _, name := range []string{"api", "migrate", "worker"} {
		environment := services[name].Environment
		require.Subset(t, append(known, clientSecret), slices.Collect(maps.Keys(environment)), name)
		require.Equal(t, "/etc/ringback/ringback.yaml", environment["RINGBACK_CONFIG"], name)
		var given []string
		for key, value := range environment {
			if key != "RINGBACK_CONFIG" {
				given = append(given, key+"="+reference.ReplaceAllString(defaults(value), "secret"))
			}
		}
		read, err := config.Load(config.Source{File: "ringback.yaml", Environ: given})
		require.NoError(t, err, name)
		require.NotEmpty(t, read.Settings.Database.URL, name)
		require.NotEmpty(t, read.Settings.Temporal.Address, name)
		require.True(t, read.SignIn.Configured(), "nobody could sign in")
		require.False(t, read.Settings.Server.DevTokens)
	}
}

// mounted is what a service mounts, and where.
func mounted(volume any) (source, target string) {
	switch volume := volume.(type) {
	case string:
		source, target, _ = strings.Cut(defaults(volume), ":")
		target, _, _ = strings.Cut(target, ":")
	case map[string]any:
		source, _ = volume["source"].(string)
		target, _ = volume["target"].(string)
	}
	return defaults(source), target
}

// TestConnectorsCanBeConfigured: their secrets get in, where there are any, and files can be left for them.
func TestConnectorsCanBeConfigured(t *testing.T) {
	t.Parallel()
	const drop = "/var/lib/ringback/drop"
	c := compose(t)
	for _, name := range []string{"api", "worker"} {
		s := c.Services[name]
		require.Len(t, s.EnvFile, 1, name)
		require.Equal(t, ".env.connectors", defaults(s.EnvFile[0].Path))
		require.NotNil(t, s.EnvFile[0].Required)
		require.False(t, *s.EnvFile[0].Required, "a desk needs no connectors")
		require.True(t, s.ReadOnly, "nothing else can be written")
		var targets []string
		for _, volume := range s.Volumes {
			source, target := mounted(volume)
			if targets = append(targets, target); target == drop {
				require.Equal(t, "drop", source)
				require.Contains(t, c.Volumes, source)
			}
		}
		require.ElementsMatch(t, []string{"/etc/ringback/ringback.yaml", drop}, targets, name)
	}
	require.Contains(t, read(t, "../Dockerfile"), "--chown=65532:65532 /out/drop "+drop, "an empty volume belongs to whom the folder does")
	require.Contains(t, read(t, "../docs/operations.md"), drop)
	require.Contains(t, read(t, "../.gitignore"), "\n.env.*\n")
	require.Contains(t, read(t, "../.dockerignore"), "\n.env.*\n")
}

// TestTheWorkersMetricsCanBeScraped: on the network of the compose project, and on none of the host's.
func TestTheWorkersMetricsCanBeScraped(t *testing.T) {
	t.Parallel()
	worker := compose(t).Services["worker"]
	require.Equal(t, "0.0.0.0:8080", worker.Environment["RINGBACK_METRICS_LISTEN"])
	require.Empty(t, worker.Ports)
	for _, setting := range config.AllSettings() {
		if strings.HasSuffix(setting.Path, "listen") && setting.Default != "" {
			host, _, err := net.SplitHostPort(setting.Default)
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1", host, "%s: the programs themselves stay on this machine", setting.Path)
		}
	}
	for _, name := range []string{"api", "worker"} {
		require.Contains(t, compose(t).Services[name].Environment, "RINGBACK_OTLP_ENDPOINT", name)
	}
}

func TestWhatIsMountedExists(t *testing.T) {
	t.Parallel()
	c := compose(t)
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, _ := mounted(volume)
			if !strings.HasPrefix(source, ".") {
				require.Contains(t, c.Volumes, source, name)
				continue
			}
			require.FileExists(t, "../"+source, name)
		}
	}
}

// TestTemporalIsTunedAsTheDeskIsTested: the server's dynamic configuration file is engine.Tuning.
func TestTemporalIsTunedAsTheDeskIsTested(t *testing.T) {
	t.Parallel()
	var file map[string][]struct {
		Value any `yaml:"value"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(read(t, "temporal/dynamic.yaml")), &file))
	values := map[string]any{}
	for key, settings := range file {
		require.Len(t, settings, 1, key)
		values[key] = settings[0].Value
	}
	require.Equal(t, engine.Tuning(), values)
}

// TestComposeAccepts asks compose itself, where it is installed; it needs no engine for that.
func TestComposeAccepts(t *testing.T) {
	t.Parallel()
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() != nil {
		t.Log("docker compose is not installed here: only the tests above speak for docker-compose.yml")
		return
	}
	config := func(environment ...string) ([]byte, error) {
		command := exec.CommandContext(t.Context(), "docker", "compose", "--env-file", os.DevNull, "config", "--quiet")
		command.Dir = ".."
		command.Env = append(os.Environ(), environment...)
		return command.CombinedOutput()
	}
	passwords := []string{"POSTGRES_PASSWORD=a", "RINGBACK_POSTGRES_PASSWORD=b", "TEMPORAL_POSTGRES_PASSWORD=c"}
	output, err := config(passwords...)
	require.NoError(t, err, string(output))
	for i := range passwords {
		output, err = config(slices.Delete(slices.Clone(passwords), i, i+1)...)
		require.Error(t, err, "%s may not be missing", passwords[i])
		require.Contains(t, string(output), ".env.example")
	}
}
