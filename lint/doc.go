// Package lint holds the rules of the house that no linter can state; .golangci.yml holds the others. It has tests only.
package lint
