package engine_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"ringback/engine"
)

var quiet = slog.New(slog.DiscardHandler)

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg := engine.Config{}.WithDefaults()
	require.Equal(t, "127.0.0.1:7233", cfg.Address)
	require.Equal(t, "ringback", cfg.Namespace)
	require.Equal(t, "ringback", cfg.TaskQueue)
	require.NotNil(t, cfg.Logger)
	require.Equal(t, "elsewhere", engine.Config{Namespace: "elsewhere"}.WithDefaults().Namespace)
}

func TestDialWhileTheEngineIsAway(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	cfg := engine.Config{Address: listener.Addr().String(), Logger: quiet}
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()

	_, err = engine.Dial(ctx, cfg)
	require.ErrorContains(t, err, "dialling Temporal at "+cfg.Address)

	c, err := engine.DialLazy(cfg)
	require.NoError(t, err)
	defer c.Close()
	require.ErrorContains(t, engine.Healthy(ctx, c), "not healthy")
}

func TestPrepareEndsWithItsContext(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c, err := engine.DialLazy(engine.Config{Address: listener.Addr().String(), Logger: quiet})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, listener.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, engine.Prepare(ctx, c, "", 0), `preparing namespace "ringback"`)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	files := newCertificates(t)
	address := serveTLS(t, files)

	dial := func(t *testing.T, cfg engine.TLS) error {
		t.Helper()
		c, err := engine.DialLazy(engine.Config{Address: address, Logger: quiet, TLS: cfg})
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return engine.Healthy(ctx, c)
	}
	t.Run("mutual", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, dial(t, engine.TLS{CertFile: files.cert, KeyFile: files.key, CAFile: files.ca, ServerName: "temporal.test"}))
	})
	t.Run("wrong name", func(t *testing.T) {
		t.Parallel()
		require.Error(t, dial(t, engine.TLS{CertFile: files.cert, KeyFile: files.key, CAFile: files.ca, ServerName: "other.test"}))
	})
	t.Run("no client certificate", func(t *testing.T) {
		t.Parallel()
		require.Error(t, dial(t, engine.TLS{CAFile: files.ca, ServerName: "temporal.test"}))
	})
	t.Run("unknown authority", func(t *testing.T) {
		t.Parallel()
		require.Error(t, dial(t, engine.TLS{Enabled: true, ServerName: "temporal.test"}))
	})
	t.Run("key without certificate", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, dial(t, engine.TLS{KeyFile: files.key}), "a certificate and its key")
	})
	t.Run("missing file", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, dial(t, engine.TLS{CAFile: files.ca + ".none"}), os.ErrNotExist)
		require.ErrorIs(t, dial(t, engine.TLS{CertFile: files.cert + ".none", KeyFile: files.key}), os.ErrNotExist)
	})
	t.Run("no certificate in it", func(t *testing.T) {
		t.Parallel()
		require.ErrorContains(t, dial(t, engine.TLS{CAFile: files.key}), "no PEM certificate in")
	})
}

type certificates struct{ ca, cert, key string }

// newCertificates writes one self-signed certificate, its own authority, good for both ends.
func newCertificates(t *testing.T) certificates {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "temporal.test"}, DNSNames: []string{"temporal.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	files := certificates{
		ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(files.ca, certPEM, 0o600))
	require.NoError(t, os.WriteFile(files.cert, certPEM, 0o600))
	require.NoError(t, os.WriteFile(files.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	return files
}

func serveTLS(t *testing.T, files certificates) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	text, err := os.ReadFile(files.ca)
	require.NoError(t, err)
	require.True(t, authorities.AppendCertsFromPEM(text))
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: authorities, ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	workflowservice.RegisterWorkflowServiceServer(server, systemInfo{})
	checks := health.NewServer()
	checks.SetServingStatus("temporal.api.workflowservice.v1.WorkflowService", healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(server, checks)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

// systemInfo is as much of Temporal as the SDK asks for when it connects.
type systemInfo struct {
	workflowservice.UnimplementedWorkflowServiceServer
}

func (systemInfo) GetSystemInfo(
	context.Context, *workflowservice.GetSystemInfoRequest,
) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{}, nil
}
