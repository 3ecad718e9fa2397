// Package embedded runs a whole Temporal server in this process, for the development desk, the benchmark and tests. It
// keeps everything in SQLite files and listens on 127.0.0.1 alone.
//
// Production code must not import it: it links the Temporal server and its Web UI (some 130 MB).
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	"ringback/engine"
	"ringback/engine/embedded/freeport"
)

const (
	// host is the only address that anything here listens on.
	host = freeport.Host
	// clusterName is written into the file: a file begun under one name cannot go on under another.
	clusterName = "active"
	// shards is written into the file as well. One shard suffices behind one database connection; more of them only add
	// queues to look at.
	shards = 1
)

// Config says where an embedded server keeps its data and where it listens.
type Config struct {
	// DataDir holds temporal.db and temporal-visibility.db, each with its write-ahead log, and a lock file. It is made if
	// missing, and may be moved while no server runs on it.
	DataDir string
	// Port is the frontend's TCP port; 0 takes a free one.
	Port int
	// UIPort is the Web UI's TCP port; 0 starts no UI, FreePort takes a free one.
	UIPort int
	// Namespace is ready when Start returns, with the desk's search attributes. Empty: engine.DefaultNamespace.
	Namespace string
	// Retention is how long closed histories are kept, at least an hour. Zero: engine.DefaultRetention. It counts for a
	// namespace that is made now; an existing one is only ever given a longer one (engine.Prepare).
	Retention time.Duration
	// PowerSafe syncs the disk at every commit, so that even a power failure loses nothing. Without it that may lose
	// the last commits; killing the process loses nothing either way.
	PowerSafe bool
	// Dynamic overrides values of Temporal's dynamic configuration, by key.
	Dynamic map[string]any
	// Logger takes the server's warnings and errors. Nil: slog.Default().
	Logger *slog.Logger
}

// FreePort as Config.UIPort takes a free port.
const FreePort = -1

// Server is a running Temporal server. Its methods may be called from any goroutine.
type Server struct {
	address, uiAddress string
	files              files
	powerSafe          bool
	temporal           temporal.Server
	ui                 *uiserver.Server
	lock               *os.File
	stopping           *atomic.Bool

	stop    sync.Once
	stopErr error
}

// files are the database files. What can be searched for is written apart from what happens: both cost about the same,
// and SQLite has one writer for each file (measured: half as many workflows again in a second).
type files struct{ main, visibility string }

func (f files) each(do func(path string) error) error {
	return errors.Join(do(f.main), do(f.visibility))
}

// Start starts the server on the data in Config.DataDir, which it sets up where there is none, and returns when the
// namespace can be used: after about a second. ctx bounds the start only; end the server with Stop.
//
// One process at a time may use a DataDir; the server in it may be stopped and started again in the same process.
//
// Errors: the directory cannot be written; another server runs on it; its file is another Temporal schema's; a port is
// taken; ctx done.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	s, err := start(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("embedded Temporal: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, cfg Config) (_ *Server, err error) {
	if cfg.DataDir == "" {
		return nil, errors.New("no data directory given")
	}
	if cfg.Namespace == "" {
		cfg.Namespace = engine.DefaultNamespace
	}
	if cfg.Retention <= 0 {
		cfg.Retention = engine.DefaultRetention
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, err
	}
	s := &Server{
		files: files{
			main:       filepath.Join(cfg.DataDir, "temporal.db"),
			visibility: filepath.Join(cfg.DataDir, "temporal-visibility.db"),
		},
		powerSafe: cfg.PowerSafe,
		stopping:  new(atomic.Bool),
	}
	if s.lock, err = lock(filepath.Join(cfg.DataDir, "temporal.lock")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Stop()
		}
	}()
	if err := s.files.each(func(path string) error {
		if err := setUp(ctx, path, cfg.PowerSafe); err != nil {
			return fmt.Errorf("setting up %s: %w", path, err)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	main, visibility := sqlConfig(s.files.main, cfg.PowerSafe), sqlConfig(s.files.visibility, cfg.PowerSafe)
	if err := createNamespace(main, cfg.Namespace, cfg.Retention); err != nil {
		return nil, err
	}
	ports, err := freeport.Take(ctx, cfg.Port, 0, 0, 0)
	if err != nil {
		return nil, err
	}
	s.address = freeport.Address(ports[0])
	logger := serverLogger{slog: cfg.Logger, stopping: s.stopping}
	if err := s.startTemporal(serverConfig(main, visibility, ports), ports, dynamicConfig(cfg.Dynamic), logger); err != nil {
		return nil, err
	}
	if cfg.UIPort != 0 {
		if err := s.startUI(ctx, max(cfg.UIPort, 0), cfg.Namespace); err != nil {
			return nil, err
		}
	}
	return s, s.prepare(ctx, cfg)
}

// Address is the HOST:PORT of the frontend.
func (s *Server) Address() string { return s.address }

// UIAddress is the HOST:PORT of the Web UI, empty where there is none.
func (s *Server) UIAddress() string { return s.uiAddress }

// Stop ends the server and returns when its file is at rest. Calls that wait in it are cut off; stop the workers first.
// Calling it again does nothing and returns the first call's error.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		s.stopping.Store(true)
		if s.ui != nil {
			s.ui.Stop()
		}
		if s.temporal != nil {
			s.stopErr = s.temporal.Stop()
			s.stopErr = errors.Join(s.stopErr, s.files.each(func(path string) error {
				return checkpoint(path, s.powerSafe)
			}))
		}
		s.stopErr = errors.Join(s.stopErr, s.lock.Close())
	})
	return s.stopErr
}

func (s *Server) startTemporal(
	cfg *config.Config, ports []int, dynamic dynamicconfig.Client, logger serverLogger,
) (err error) {
	defer func() {
		// The server calls Fatal where a port was taken after all.
		if r := recover(); r != nil {
			if f, ok := r.(fatal); ok {
				err = f
				return
			}
			panic(r)
		}
	}()
	hosts := map[primitives.ServiceName]static.Hosts{}
	for i, name := range services {
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(freeport.Address(ports[i]))
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(services),
		// No gossip: there is nobody to find, and finding costs a second at the start and CPU ever after.
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(logger),
		temporal.WithDynamicConfigClient(dynamic),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
	)
	if err != nil {
		return err
	}
	s.temporal = server
	return server.Start()
}

// services in the order of their ports.
var services = temporal.DefaultServices

func serverConfig(main, visibility *config.SQL, ports []int) *config.Config {
	frontend := freeport.Address(ports[0])
	timed := *main
	timed.PluginName = timersPlugin
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     "main",
			VisibilityStore:  "visibility",
			NumHistoryShards: shards,
			DataStores:       map[string]config.DataStore{"main": {SQL: &timed}, "visibility": {SQL: visibility}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Services:            map[string]config.Service{},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: frontend},
	}
	cfg.Global.Membership = config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: host}
	for i, name := range services {
		cfg.Services[name] = config.Service{RPC: config.RPC{GRPCPort: ports[i], BindOnIP: host}}
	}
	return cfg
}

// createNamespace writes the namespace with its search attributes straight into the file, where the server finds them
// as it starts; made through the API they would take seconds to be known everywhere.
func createNamespace(database *config.SQL, namespace string, retention time.Duration) error {
	detail, err := sqliteschema.NewNamespaceConfig(clusterName, namespace, false, engine.SearchAttributes())
	if err != nil {
		return err
	}
	detail.Detail.Config.Retention = durationpb.New(retention)
	return sqliteschema.CreateNamespaces(database, detail)
}

// prepare waits until the namespace answers, and adds what a namespace of an older release lacks.
func (s *Server) prepare(ctx context.Context, cfg Config) error {
	c, err := engine.Dial(ctx, engine.Config{
		Address: s.address, Namespace: cfg.Namespace, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	defer c.Close()
	return engine.Prepare(ctx, c, cfg.Namespace, cfg.Retention)
}

func (s *Server) startUI(ctx context.Context, port int, namespace string) error {
	ports, err := freeport.Take(ctx, port)
	if err != nil {
		return err
	}
	s.uiAddress = freeport.Address(ports[0])
	s.ui = uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: s.address,
		Host:                host,
		Port:                ports[0],
		EnableUI:            true,
		DefaultNamespace:    namespace,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // there is no TLS on the loopback
		DisableNewsFetch:    true,
		HideLogs:            true,
	}))
	go func() { _ = s.ui.Start() }()
	return awaitListener(ctx, s.uiAddress)
}

// awaitListener returns when something accepts connections at the address.
func awaitListener(ctx context.Context, address string) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
