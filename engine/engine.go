// Package engine reaches the Temporal cluster that keeps the desk's promises: it dials it, makes sure that the namespace
// and the search attributes are there, and tells whether it answers.
//
// The package is the production side: it speaks to any Temporal cluster over gRPC and does not link the Temporal server.
// The in-process server of the development desk is the package engine/embedded.
package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc"
)

// What a Config means where it says nothing (CONTRACT.md §5).
const (
	DefaultAddress   = "127.0.0.1:7233"
	DefaultNamespace = "ringback"
	DefaultTaskQueue = "ringback"
)

// Config says which Temporal cluster to use and how. The zero value is the cluster on this machine without TLS.
type Config struct {
	// Address is the frontend's HOST:PORT, or any target that gRPC resolves (dns:///…). Empty: DefaultAddress.
	Address string
	// Namespace holds the workflows of one desk. Empty: DefaultNamespace.
	Namespace string
	// TaskQueue is where the desk's workers poll. Empty: DefaultTaskQueue. Dialling does not use it; it is here because
	// whoever dials needs it next.
	TaskQueue string
	// TLS is off in its zero value.
	TLS TLS
	// Identity names this process in histories and in the Temporal UI. Empty: the SDK's pid@host.
	Identity string
	// Logger takes what the SDK says. Nil: slog.Default().
	Logger *slog.Logger
	// MetricsHandler takes what the SDK measures, see Metrics. Nil: nothing is measured.
	MetricsHandler client.MetricsHandler
	// Interceptors wrap every call of the client; one that is also a worker interceptor serves the workers of this
	// client as well. The first is the outermost.
	Interceptors []interceptor.ClientInterceptor
	// DialOptions are added to those of the gRPC connection.
	DialOptions []grpc.DialOption
}

// TLS names the PEM files with which the cluster is reached. It is on when Enabled is set or any file is named.
type TLS struct {
	// Enabled asks for TLS with the machine's own certificate authorities and no client certificate.
	Enabled bool
	// CertFile and KeyFile are this client's certificate (mutual TLS); both or neither. They are read anew at every
	// handshake, so a renewed certificate needs no restart.
	CertFile, KeyFile string
	// CAFile holds the authorities that vouch for the cluster. Empty: those of the machine.
	CAFile string
	// ServerName is the name that the cluster's certificate must carry. Empty: the host of Config.Address.
	ServerName string
}

// WithDefaults returns the configuration with its empty fields filled.
func (c Config) WithDefaults() Config {
	if c.Address == "" {
		c.Address = DefaultAddress
	}
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if c.TaskQueue == "" {
		c.TaskQueue = DefaultTaskQueue
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Dial connects to the cluster and fails when it does not answer. The connection outlives ctx, which bounds only the
// dialling; close it with Client.Close.
//
// Errors: a TLS file that is missing or unreadable; whatever gRPC says of a cluster that is away.
func Dial(ctx context.Context, cfg Config) (client.Client, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("engine: dialling Temporal at %s: %w", options.HostPort, err)
	}
	return c, nil
}

// DialLazy prepares a client that connects with its first call. A process can start with it while the cluster is
// away; until then its calls fail with serviceerror.Unavailable.
//
// Errors: a TLS file that is missing or unreadable, an address that is none.
func DialLazy(cfg Config) (client.Client, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("engine: preparing a client for Temporal at %s: %w", options.HostPort, err)
	}
	return c, nil
}

// Healthy returns nil when the cluster's frontend answers that it is serving, else why it is not. It says nothing of
// workers. Give ctx a deadline: without one it waits for the SDK's own, 10 seconds.
func Healthy(ctx context.Context, c client.Client) error {
	if _, err := c.CheckHealth(ctx, nil); err != nil {
		return fmt.Errorf("engine: Temporal is not healthy: %w", err)
	}
	return nil
}

func (c Config) options() (client.Options, error) {
	c = c.WithDefaults()
	tlsConfig, err := c.TLS.config()
	if err != nil {
		return client.Options{}, err
	}
	return client.Options{
		HostPort:       c.Address,
		Namespace:      c.Namespace,
		Identity:       c.Identity,
		Logger:         log.NewStructuredLogger(c.Logger),
		MetricsHandler: c.MetricsHandler,
		Interceptors:   c.Interceptors,
		ConnectionOptions: client.ConnectionOptions{
			TLS: tlsConfig, GetSystemInfoTimeout: 10 * time.Second, DialOptions: c.DialOptions,
		},
		// Heartbeats would carry the machine's platform and hosting into the cluster's visible records.
		DisableWorkerEnvironmentInfo: true,
	}, nil
}

// config returns nil where TLS is off.
func (t TLS) config() (*tls.Config, error) {
	if t == (TLS{}) || (!t.Enabled && t.CertFile == "" && t.KeyFile == "" && t.CAFile == "") {
		return nil, nil
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, errors.New("engine: TLS wants a certificate and its key, or neither")
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CertFile != "" {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("engine: reading the client certificate: %w", err)
			}
			return &pair, nil
		}
		// A wrong file should be told at the start, not at the first handshake.
		if _, err := load(nil); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = load
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("engine: reading the certificate authorities: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("engine: no PEM certificate in %s", t.CAFile)
		}
	}
	return cfg, nil
}
