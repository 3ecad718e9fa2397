package store

import (
	"context"
	"database/sql/driver"
	"errors"
)

// preparing is SQLite's connector, whose connections keep the statements that
// they have prepared, as pgx does. Preparing takes longer than most statements
// here; GORM's own cache does not help inside of transactions.
type preparing struct{ driver.Connector }

// Connect implements driver.Connector.
func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver has changed: it lacks a method of sqliteConn"), conn.Close())
	}
	return &preparedConn{sqliteConn: full, statements: map[string]*preparedStatement{}}, nil
}

// sqliteConn is what the driver's connections can do and database/sql asks for.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

type sqliteStatement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// preparedConn is used by one goroutine at a time, as database/sql promises.
type preparedConn struct {
	sqliteConn
	statements map[string]*preparedStatement
}

type preparedStatement struct {
	sqliteStatement
	open bool // its rows are being read
}

// mostPrepared bounds what a connection keeps; there are about a hundred
// different statements, and lists with their filters beside them.
const mostPrepared = 500

// prepared returns the statement, or nil where it is in use.
func (c *preparedConn) prepared(ctx context.Context, query string) (*preparedStatement, error) {
	if s := c.statements[query]; s != nil {
		if s.open {
			return nil, nil //nolint:nilnil // documented
		}
		return s, nil
	}
	if len(c.statements) >= mostPrepared {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	full, ok := stmt.(sqliteStatement)
	if !ok {
		return nil, errors.Join(errors.New("the SQLite driver has changed: it lacks a method of sqliteStatement"), stmt.Close())
	}
	s := &preparedStatement{sqliteStatement: full}
	c.statements[query] = s
	return s, nil
}

func (c *preparedConn) forget() error {
	var failed error
	for query, s := range c.statements {
		if !s.open {
			failed = errors.Join(failed, s.Close())
			delete(c.statements, query)
		}
	}
	return failed
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 { // perhaps a script
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	s, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.open = true
	return &preparedRows{rows, s}, nil
}

// Close implements driver.Conn.
func (c *preparedConn) Close() error {
	var failed error
	for _, s := range c.statements {
		failed = errors.Join(failed, s.Close())
	}
	return errors.Join(failed, c.sqliteConn.Close())
}

type preparedRows struct {
	driver.Rows
	of *preparedStatement
}

// Close implements driver.Rows.
func (r *preparedRows) Close() error {
	r.of.open = false
	return r.Rows.Close()
}
