// Command plugged is the whole desk in one process, as ringback-dev is, with one connector more: it brings events to the
// address that it is given, looks for what may have arrived before it sends it again, and does with the desk what it is told.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"ringback/api"
	"ringback/book"
	"ringback/callback"
	"ringback/config"
	"ringback/connectors"
	"ringback/engine"
	"ringback/engine/embedded"
	"ringback/observe"
	"ringback/serve"
	"ringback/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "plugged:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	source := config.Source{Environ: os.Environ()}
	flag.StringVar(&source.File, "config", "", "configuration file")
	data := flag.String("data", "", "folder of everything durable")
	listen := flag.String("listen", "", "HOST:PORT of the API")
	temporal := flag.Int("temporal-port", 0, "port of the engine")
	address := flag.String("system", "", "address of the other system")
	types := flag.String("types", "", "types of the events that it is given")
	flag.Parse()

	cfg, err := config.Load(source)
	if err != nil {
		return err
	}
	cfg.Settings.Server.Listen, cfg.Settings.Server.DevTokens = *listen, true
	cfg.Settings.Server.RequestsPerSecond = 0 // tests are impatient
	logger := observe.Logger(os.Stderr, cfg.Settings.Telemetry.LogLevel)
	server, err := embedded.Start(ctx, embedded.Config{DataDir: *data, Port: *temporal, Namespace: cfg.Settings.Temporal.Namespace, Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	book, err := store.OpenSQLite(ctx, filepath.Join(*data, "desk.db"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	if err := book.Migrate(ctx); err != nil {
		return err
	}
	registry := observe.Registry()
	c, err := engine.Dial(ctx, engine.Config{
		Address: server.Address(), Namespace: cfg.Settings.Temporal.Namespace, Logger: logger, MetricsHandler: engine.Metrics(registry),
		DialOptions: []grpc.DialOption{api.WatchSends()},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	desk := &serve.Desk{Config: cfg, Store: book, Client: c, Logger: logger, Registry: registry}
	desk.Plugged = []serve.Plug{func(deps func(string) connectors.Deps) (connectors.Connector, error) {
		return &system{deps: deps(name), address: *address, types: strings.Split(*types, ",")}, nil
	}}
	if err := desk.Introduce(ctx); err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return desk.API(ctx, l) })
	running.Go(func() error { return desk.Work(ctx) })
	fmt.Println("serving")
	return running.Wait()
}

const name = "shaky"

// system is the connector.
type system struct {
	deps    connectors.Deps
	address string
	types   []string
}

// Name implements connectors.Connector.
func (s *system) Name() string { return name }

// Wants implements connectors.Connector.
func (s *system) Wants(book.Intake, *callback.Policy) bool { return s.address != "" }

// Types implements connectors.Connector.
func (s *system) Types() []callback.EventType {
	types := make([]callback.EventType, len(s.types))
	for i, t := range s.types {
		types[i] = callback.EventType(t)
	}
	return types
}

// Deliver implements connectors.Connector.
func (s *system) Deliver(ctx context.Context, d connectors.Delivery) error {
	if d.Again {
		switch status, after, err := s.call(ctx, http.MethodGet, "/operations/"+d.OperationID, nil); {
		case err != nil:
			return &connectors.Owed{Code: connectors.Unavailable, Detail: "no answer", Err: err}
		case status == http.StatusOK:
			return nil
		case status != http.StatusNotFound:
			return owed(status, after)
		}
	}
	sent := map[string]any{"operation": d.OperationID, "callback": d.Callback.ID, "seq": d.Event.Seq, "type": d.Event.Fact.Type()}
	if d.Outage != nil {
		sent["words"] = d.Outage.EndWords
	}
	status, after, err := s.call(ctx, http.MethodPost, "/operations", sent)
	switch {
	case err != nil:
		return &connectors.Owed{Code: connectors.Unavailable, Detail: "no answer", Err: err}
	case status != http.StatusCreated:
		return owed(status, after)
	}
	return nil
}

func owed(status int, after time.Duration) error {
	code := connectors.Unavailable
	if status == http.StatusTooManyRequests {
		code = connectors.RateLimited
	}
	return &connectors.Owed{Code: code, Detail: fmt.Sprintf("it answered with the status %d", status), RetryAfter: after}
}

func (s *system) call(ctx context.Context, method, path string, body any) (status int, after time.Duration, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return 0, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, method, s.address+path, bytes.NewReader(raw))
	if err != nil {
		return 0, 0, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return 0, 0, err
	}
	if seconds, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		after = time.Duration(seconds) * time.Second
	}
	return res.StatusCode, after, nil
}

// Path implements connectors.Inbound.
func (s *system) Path() string { return name }

// Run implements connectors.Runner: it remembers that it ran.
func (s *system) Run(ctx context.Context) error {
	if err := s.deps.Memory.Remember(ctx, name, "ran", "yes"); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// Receive implements connectors.Inbound: it does with the desk what a test says.
func (s *system) Receive(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Do, Key, Staff, Callback, Name, Note string
		Body                                 any
		Promise                              connectors.Promise
	}
	answer := map[string]any{}
	err := json.NewDecoder(r.Body).Decode(&in)
	ctx, desk := r.Context(), s.deps.Desk
	if err == nil {
		switch in.Do {
		case "promise":
			answer["id"], err = desk.Promise(ctx, name, in.Key, in.Promise)
		case "command":
			err = desk.Do(ctx, in.Key, in.Staff, in.Callback, in.Name, in.Body)
		case "called":
			err = desk.CustomerCalled(ctx, name, in.Key, in.Callback, in.Note)
		case "tag missing":
			err = desk.TagMissing(ctx, name, in.Callback)
		case "callbacks", "open":
			ids := []string{}
			note := func(v book.View) error { ids = append(ids, v.State.ID); return nil }
			if in.Do == "open" {
				err = desk.Open(ctx, in.Promise.Source.System, note)
			} else {
				var all []book.View
				all, err = desk.Callbacks(ctx, in.Promise.Source.System, in.Promise.Source.Ref)
				for _, v := range all {
					ids = append(ids, v.State.ID)
				}
			}
			answer["ids"] = ids
		case "ran":
			answer["ran"], _, err = s.deps.Memory.Recall(ctx, name, "ran")
		default:
			err = s.deps.Kept.Keep(ctx, connectors.Message{Connector: name, Reason: "it says nothing that is known", Media: "application/json", Body: []byte(in.Note)})
		}
	}
	var fault *callback.Fault
	if errors.As(err, &fault) {
		answer["code"], answer["existing"] = fault.Code, fault.Existing
	} else if err != nil {
		answer["error"] = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.deps.Logger.Error("an answer was lost", "error", err.Error())
	}
}

// Replay implements connectors.Replayer.
func (s *system) Replay(_ context.Context, m connectors.Message) error {
	if string(m.Body) != "understood" {
		return callback.Invalid("note", "expected what is understood")
	}
	return nil
}
