package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// testServer is the server of this test binary: one that it starts in a
// directory of its own, or one that runs already, of which IM_POSTGRES is the
// connection string.
type testServer struct {
	conn  string // connection string
	dir   string // "" if the server is not ours
	bin   string
	port  int
	flags []string
	proc  *os.Process
	done  chan struct{} // closed when proc has ended
	err   error         // why there is no server

	pool *pgxpool.Pool
}

// server is the one server of the test binary; schemas counts what tests made there.
var (
	server  *testServer
	schemas atomic.Int64
)

// serverUser is whom the server runs as: it refuses root.
func serverUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("the tests run as root, and there is neither a user postgres nor a user nobody for the server")
}

// binDir finds the newest server that is installed.
func binDir() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("there is no initdb, neither in PATH nor under /usr/lib/postgresql: install PostgreSQL (Debian: apt-get install postgresql), or set IM_POSTGRES to the connection string of a server")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

func startServer() *testServer {
	s := &testServer{conn: os.Getenv("IM_POSTGRES")}
	if s.conn == "" {
		s.err = s.create()
	}
	if s.err == nil {
		s.err = s.prepare()
	}
	return s
}

// prepare makes the pool that tests share, and what the examples expect.
func (s *testServer) prepare() (err error) {
	if s.pool, err = s.newPool(); err != nil {
		return err
	}
	if _, err := s.pool.Exec(context.Background(), "DROP SCHEMA IF EXISTS example_log, example_ledger CASCADE"); err != nil {
		return err
	}
	return os.Setenv("DATABASE_URL", s.conn)
}

func (s *testServer) newPool() (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(s.conn)
	if err != nil {
		return nil, err
	}
	c.MaxConns = 8
	return pgxpool.NewWithConfig(context.Background(), c)
}

func (s *testServer) create() (err error) {
	if s.bin, err = binDir(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "im-postgres-"); err != nil {
		return err
	}
	who, err := serverUser()
	if err != nil {
		return err
	}
	if who != nil {
		if err := os.Chown(s.dir, int(who.Uid), int(who.Gid)); err != nil {
			return err
		}
	}
	initdb := s.command("initdb", "--pgdata", s.dir+"/data", "--username", "im", "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// From version 14 on a server need not go through all its files after a crash.
	if s.command("postgres", "-D", s.dir+"/data", "-C", "recovery_init_sync_method").Run() == nil {
		s.flags = []string{"-c", "recovery_init_sync_method=syncfs"}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return err
	}
	s.conn = fmt.Sprintf("host=127.0.0.1 port=%d user=im dbname=postgres sslmode=disable", s.port)
	return s.start()
}

func (s *testServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	cmd.SysProcAttr.Credential, _ = serverUser()
	return cmd
}

// start starts the server and waits until it answers. After a crash the
// processes of the old one may need a moment to end, so that it may take several tries.
func (s *testServer) start() error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		var out bytes.Buffer
		cmd := s.command("postgres", append(s.flags, "-D", s.dir+"/data", "-p", strconv.Itoa(s.port), "-k", s.dir, "-h", "127.0.0.1",
			"-c", "max_connections=60", "-c", "shared_buffers=32MB", "-c", "fsync=on", "-c", "log_min_messages=fatal")...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			return err
		}
		s.proc, s.done = cmd.Process, make(chan struct{})
		go func() {
			defer close(s.done)
			_ = cmd.Wait()
		}()
		err := s.answers(deadline)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("start the server: %w: %s", err, out.String())
		}
	}
}

// answers waits until the server takes connections or has ended.
func (s *testServer) answers(deadline time.Time) error {
	for {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		c, err := pgx.Connect(ctx, s.conn)
		cancel()
		if err == nil {
			return c.Close(context.Background())
		}
		select {
		case <-s.done:
			return fmt.Errorf("it has ended: %w", err)
		case <-time.After(20 * time.Millisecond):
			if time.Now().After(deadline) {
				return err
			}
		}
	}
}

// mustBeOurs skips a test that kills the server if that may have other users.
func (s *testServer) mustBeOurs(t testing.TB) {
	t.Helper()
	if s.dir == "" {
		t.Skip("IM_POSTGRES names a server that is not the tests' to kill")
	}
}

// crash kills the server and all its processes at once, and starts it again.
func (s *testServer) crash(t testing.TB) {
	t.Helper()
	s.mustBeOurs(t)
	// The postmaster tells its processes to quit at once; none writes anything more.
	if err := s.proc.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	<-s.done
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server, if it is ours.
func (s *testServer) stop() {
	if s.pool != nil {
		s.pool.Close()
	}
	if s.dir == "" {
		return
	}
	if s.proc != nil {
		_ = s.proc.Signal(syscall.SIGQUIT)
		<-s.done
	}
	_ = os.RemoveAll(s.dir)
}

// crashQuietly is crash for tests whose calls do not meet connections to the old server.
func (s *testServer) crashQuietly(t testing.TB) {
	t.Helper()
	s.crash(t)
	s.pool.Reset()
}

// newPool returns another pool of the test server.
func newPool(t testing.TB, c *pgxpool.Config) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.NewWithConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// database returns the pool of the server.
func database(testing.TB) *pgxpool.Pool { return server.pool }

// newSchema returns the name of a schema that does not exist, and drops it at
// the end of the test: a server that crashed goes through all its files.
func newSchema(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("im_test_%d_%d", os.Getpid(), schemas.Add(1))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := server.pool.Exec(ctx, "DROP SCHEMA IF EXISTS "+name+" CASCADE"); err != nil {
			t.Errorf("drop the schema: %v", err)
		}
	})
	return name
}
