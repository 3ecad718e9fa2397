package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jackc/pgx/v5"

	"ringback/engine/embedded/freeport"
)

const plugin = "postgres12_pgx"

// services in the order of their ports: each has one for calls and one for gossip.
var services = []string{"frontend", "history", "matching", "worker"}

type object = map[string]any

// writeConfig writes the server's configuration file and the one of its dynamic configuration beside it. JSON is YAML.
func writeConfig(path string, ports []int, o options) error {
	dynamicPath := filepath.Join(filepath.Dir(path), "dynamic.yaml")
	dynamic := object{}
	for key, value := range o.dynamic {
		dynamic[key] = []object{{"value": value}}
	}
	if err := write(dynamicPath, dynamic); err != nil {
		return err
	}
	main, err := datastore(o.main, 20)
	if err != nil {
		return err
	}
	visibility, err := datastore(o.visible, 10)
	if err != nil {
		return err
	}
	frontend := freeport.Address(ports[0])
	rpc := object{}
	for i, name := range services {
		rpc[name] = object{"rpc": object{
			"grpcPort": ports[2*i], "membershipPort": ports[2*i+1], "bindOnIP": freeport.Host,
		}}
	}
	disabled := object{"state": "disabled"}
	return write(path, object{
		"log": object{"stdout": true, "level": "warn"},
		"persistence": object{
			"defaultStore": "main", "visibilityStore": "visibility", "numHistoryShards": shards,
			"datastores": object{"main": main, "visibility": visibility},
		},
		"global":   object{"membership": object{"maxJoinDuration": "30s", "broadcastAddress": freeport.Host}},
		"services": rpc,
		"clusterMetadata": object{
			"failoverVersionIncrement": 10, "masterClusterName": "active", "currentClusterName": "active",
			"clusterInformation": object{"active": object{
				"enabled": true, "initialFailoverVersion": 1, "rpcName": "frontend", "rpcAddress": frontend,
			}},
		},
		"dcRedirectionPolicy": object{"policy": "noop"},
		"archival":            object{"history": disabled, "visibility": disabled},
		"namespaceDefaults":   object{"archival": object{"history": disabled, "visibility": disabled}},
		"publicClient":        object{"hostPort": frontend},
		"dynamicConfigClient": object{"filepath": dynamicPath, "pollInterval": "10s"},
	})
}

func datastore(dsn string, connections int) (object, error) {
	parsed, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if filepath.IsAbs(parsed.Host) {
		return nil, fmt.Errorf("Temporal needs PostgreSQL over TCP, %s is a socket", parsed.Host) //nolint:staticcheck // a name
	}
	return object{"sql": object{
		"pluginName": plugin, "databaseName": parsed.Database,
		"connectAddr":     net.JoinHostPort(parsed.Host, strconv.Itoa(int(parsed.Port))),
		"connectProtocol": "tcp", "user": parsed.User, "password": parsed.Password,
		"maxConns": connections, "maxIdleConns": connections, "maxConnLifetime": "1h",
	}}, nil
}

func write(path string, value object) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
