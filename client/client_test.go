package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/liveim/im"
	"github.com/liveim/im/internal/wire"
)

func isCode(err error, code im.Code) bool { return errors.Is(err, &im.Error{Code: code}) }

func TestDialRefusedForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		f.refuseNext(&im.Error{Code: im.CodeUnauthorized})
		c, err := Dial(t.Context(), "", &Options{Dial: f.dial})
		if c != nil || !isCode(err, im.CodeUnauthorized) {
			t.Fatalf("Dial = %v, %v; want an unauthorized error", c, err)
		}
	})
}

func TestDialTriesAgainUntilContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		for range 100 {
			f.refuseNext(errCut)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := Dial(ctx, "", &Options{Dial: f.dial})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errCut) {
			t.Errorf("Dial: %v; want the deadline and the last failure", err)
		}
		if n := len(f.attempts()); n < 3 {
			t.Errorf("%d attempts within a minute", n)
		}
	})
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t) // takes the connection and says nothing
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := Dial(ctx, "", &Options{Dial: f.dial})
		if !errors.Is(err, errDialTimeout) {
			t.Errorf("Dial: %v; want %v", err, errDialTimeout)
		}
	})
}

func TestHelloNeverLeaksTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "sekrit-token"
		var logs bytes.Buffer
		f := newFakeServer(t)
		dialed := going(func() (*Client, error) {
			return Dial(t.Context(), "", &Options{
				Dial:   f.dial,
				Token:  func(context.Context) (string, error) { return secret, nil },
				Logger: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
		})
		for range 2 { // a refused token is asked for once more
			p := f.next()
			if r := p.expect(wire.OpHello); r.Token != secret {
				t.Errorf("hello has token %q", r.Token)
			}
			p.send(`{"op":"bye","code":"unauthorized","reason":"no"}`)
		}
		_, err := dialed()
		if !isCode(err, im.CodeUnauthorized) {
			t.Errorf("Dial: %v; want unauthorized", err)
		}
		if strings.Contains(logs.String()+err.Error(), secret) {
			t.Errorf("the token shows:\n%s%v", &logs, err)
		}
		if logs.Len() == 0 {
			t.Error("nothing was logged")
		}
	})
}

func TestTokenIsAskedForAgain(t *testing.T) {
	for name, end := range map[string]func(*peer){
		"bye":           func(p *peer) { p.send(`{"op":"bye","code":"expired"}`) },
		"close code":    func(p *peer) { p.drop(closeError(im.CodeExpired.CloseCode(), "")) },
		"error, no id":  func(p *peer) { p.send(`{"op":"error","code":"expired"}`) },
		"error of send": func(p *peer) { p.sendf(`{"op":"error","id":%d,"code":"expired"}`, p.expect(wire.OpSend).ID) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeServer(t)
				n := 0
				c, p := dialFake(t, f, Options{Token: func(context.Context) (string, error) {
					n++
					return fmt.Sprint("token", n), nil
				}})
				r := joinFake(t, c, p, "42", nil)
				sent := going(func() (Receipt, error) { return r.SendAs(t.Context(), "c-1", im.Chat, "hi") })
				synctest.Wait()
				end(p)
				p = f.next()
				if h := p.expect(wire.OpHello); h.Token != "token2" {
					t.Errorf("second hello has token %q", h.Token)
				}
				p.send(`{"op":"welcome","user":{"id":"u1"}}`)
				p.join()
				p.sendf(`{"op":"ack","id":%d,"status":"ok"}`, p.expect(wire.OpSend).ID)
				if _, err := sent(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRefusedWhileOnline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		r := joinFake(t, c, p, "42", nil)
		sent := going(func() (Receipt, error) { return r.Send(t.Context(), im.Chat, "hi") })
		synctest.Wait()
		p.send(`{"op":"bye","code":"kicked","reason":"enough"}`)
		<-c.Done()
		if _, err := sent(); !isCode(err, im.CodeKicked) {
			t.Errorf("send: %v", err)
		}
		for name, err := range map[string]error{"client": c.Err(), "room": r.Err(), "status": c.Status().Err} {
			if !isCode(err, im.CodeKicked) {
				t.Errorf("%s ends with %v; want kicked", name, err)
			}
		}
		if _, err := c.Join(t.Context(), "43", nil); !isCode(err, im.CodeKicked) {
			t.Errorf("join afterwards: %v", err)
		}
		if _, err := r.Next(t.Context()); !isCode(err, im.CodeKicked) {
			t.Errorf("updates end with %v", err)
		}
	})
}

func TestReconnectHonoursAdvice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		start := time.Now()
		p.send(`{"op":"bye","code":"shutdown","retry_ms":4200}`)
		synctest.Wait()
		s := c.Status()
		if s.Phase != PhaseWaiting || s.Until.Sub(start) < 4200*time.Millisecond || !isCode(s.Err, im.CodeShutdown) {
			t.Errorf("status %+v", s)
		}
		f.accept()
		if d := f.attempts()[1].Sub(start); d < 4200*time.Millisecond || d > 4700*time.Millisecond {
			t.Errorf("came back after %v; want 4.2 s and up to half a second of jitter", d)
		}
	})
}

func TestStatusIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []Phase
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{OnStatus: func(s ConnStatus) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, s.Phase)
		}})
		p.drop(errCut)
		f.accept()
		synctest.Wait()
		c.Close()
		mu.Lock()
		defer mu.Unlock()
		if s := fmt.Sprint(got); s != "[connecting online waiting connecting online closed]" {
			t.Error(s)
		}
	})
}

func TestSilentServerIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		start := time.Now()
		p.expect(wire.OpPing)
		if d := time.Since(start); d != 37500*time.Millisecond {
			t.Errorf("asked after %v; want one and a half heartbeats", d)
		}
		p.send(`{"op":"pong","at":1}`) // lives
		p.expect(wire.OpPing)          // and then does not answer any more
		f.accept()
		if d := time.Since(start); d > 90*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if err := c.Status().Err; c.Status().Phase == PhaseOnline && err != nil {
			t.Error(err)
		}
	})
}

func TestCloseDuringEverything(t *testing.T) {
	for name, begin := range map[string]func(*testing.T, *fakeServer) *Client{
		"send": func(t *testing.T, f *fakeServer) *Client {
			c, p := dialFake(t, f, Options{})
			r := joinFake(t, c, p, "42", nil)
			go func() {
				if _, err := r.Send(context.Background(), im.Chat, 1); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}()
			return c
		},
		"join": func(t *testing.T, f *fakeServer) *Client {
			c, _ := dialFake(t, f, Options{})
			go func() {
				if _, err := c.Join(context.Background(), "42", nil); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}()
			return c
		},
		"updates": func(t *testing.T, f *fakeServer) *Client {
			c, p := dialFake(t, f, Options{})
			r := joinFake(t, c, p, "42", nil)
			go func() {
				for range r.Updates(context.Background()) {
					t.Error("an update")
				}
			}()
			go func() {
				for range c.Directs(context.Background()) {
					t.Error("a direct message")
				}
			}()
			return c
		},
		"waiting": func(t *testing.T, f *fakeServer) *Client {
			c, p := dialFake(t, f, Options{})
			p.send(`{"op":"bye","code":"overloaded","retry_ms":600000}`)
			return c
		},
		"connecting": func(t *testing.T, f *fakeServer) *Client {
			c, p := dialFake(t, f, Options{})
			p.drop(errCut)
			f.next()
			return c
		},
		"token": func(t *testing.T, f *fakeServer) *Client {
			n := 0
			c, p := dialFake(t, f, Options{Token: func(ctx context.Context) (string, error) {
				if n++; n > 1 {
					<-ctx.Done()
				}
				return "t", ctx.Err()
			}})
			p.drop(errCut)
			f.next()
			return c
		},
		"full": func(t *testing.T, f *fakeServer) *Client {
			c, p := dialFake(t, f, Options{})
			joinFake(t, c, p, "42", &JoinOptions{Buffer: 1})
			p.send(eventsMsg("42", 100, 101, 102), eventsMsg("42", 102, 103))
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := begin(t, newFakeServer(t))
				synctest.Wait()
				go c.Close()
				c.Close()
				c.Close()
				if !errors.Is(c.Err(), ErrClosed) {
					t.Error(c.Err())
				}
				synctest.Wait()
			})
		})
	}
}

func TestPingRefreshDirect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{Token: func(context.Context) (string, error) { return "t", nil }})
		ping := going(func() (time.Duration, error) {
			d, at, err := c.Ping(t.Context())
			if at.UnixMilli() != 1764000000000 {
				t.Errorf("server time %v", at)
			}
			return d, err
		})
		r := p.expect(wire.OpPing)
		<-time.After(30 * time.Millisecond) // the way, in the bubble's time
		p.sendf(`{"op":"pong","id":%d,"at":1764000000000}`, r.ID)
		if d, err := ping(); d != 30*time.Millisecond || err != nil {
			t.Errorf("ping: %v, %v", d, err)
		}

		go func() {
			r := p.expect(wire.OpRefresh)
			p.sendf(`{"op":"welcome","id":%d,"user":{"id":"u1","name":"Anna"}}`, r.ID)
		}()
		if err := c.Refresh(t.Context()); err != nil || c.User().Name != "Anna" {
			t.Errorf("refresh: %v, %+v", err, c.User())
		}

		p.send(`{"op":"direct","kind":"notice","event":"d1","at":1764000000000,"body":{"text":"psst"}}`)
		for ev := range c.Directs(t.Context()) {
			if ev.ID != "d1" || ev.Kind != im.Notice || string(ev.Body) != `{"text":"psst"}` {
				t.Errorf("direct message %+v", ev)
			}
			break
		}
	})
}

func TestPingIsLostWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeServer(t)
		c, p := dialFake(t, f, Options{})
		ping := going(func() (int, error) { _, _, err := c.Ping(t.Context()); return 0, err })
		p.expect(wire.OpPing)
		p.drop(errCut)
		if _, err := ping(); !errors.Is(err, ErrConnLost) {
			t.Error(err)
		}
	})
}
