// Package centrifuge is two servers of the comparison made with
// github.com/centrifugal/centrifuge.
package centrifuge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/liveim/im/bench/peers/internal/rooms"
	"github.com/liveim/im/bench/rig"
)

const (
	queueMaxSize = 1 << 30          // bytes that may wait for one client: in effect no limit
	cacheSize    = 16 << 20         // bytes of prepared messages
	writeTimeout = time.Minute      // of one write to a client
	historyTTL   = time.Hour        // longer than a scenario
	shutdownWait = 10 * time.Second // for the connections to close
)

// Server is a node of the library with its memory broker, a channel for each room, JSON protocol, anonymous
// clients that subscribe by a command. In both forms (all of v0.40.1):
//
//   - Config.ClientQueueMaxSize is 1 GB instead of 1 MB, and WebsocketConfig.WriteTimeout a minute instead of a
//     second: beyond them the library disconnects a client, and the comparison must not lose messages. By
//     default a publisher never waits: Node.Publish only puts the message into the clients' queues.
//   - PingPongConfig.PongTimeout is off, as the load generator answers only the pings of WebSocket. The library's
//     own pings, every 25 seconds, stay on.
//   - With deflate, WebsocketConfig.Compression is on and the cache of prepared messages has 16 MB, so that
//     what many clients get is compressed once ("may drastically reduce compression memory and CPU spikes during
//     broadcasts"; the library calls it experimental, and without it each connection would compress for itself).
//     Every message is compressed whatever its size, the default.
//   - Where the scenario asks for history, publications are kept in the memory broker, and a client fetches them
//     by a history command behind its subscription. They come newest first.
//
// See NewDefault and NewTuned for what differs.
type Server struct {
	rooms.HTTP
	node    *centrifuge.Node
	publish []centrifuge.PublishOption
	copied  bool // the broker keeps what is published
}

// NewDefault returns a server whose connections have the library's defaults.
func NewDefault(setup rig.Setup) (rig.Server, error) {
	return start(setup, centrifuge.ConnectReply{}, centrifuge.WebsocketConfig{})
}

// NewTuned returns a server with what the library has for many messages to many connections:
//
//   - ConnectReply.WriteDelay 20 ms: what gathers for a client meanwhile goes in one frame ("may reduce CPU usage of
//     both server and client in case of high message rate inside individual connections"; up to 5 times: changelog
//     of v0.28.0).
//   - MaxMessagesInFrame without limit, as 16 messages in 20 ms would throttle a storm to 800 a second.
//   - ReplyWithoutQueue: "replies sent directly to the client's transport thus avoiding possible delays".
//   - WriteWithTimer: a timer instead of a goroutine for each connection's writer: the same processor time when
//     measured, and here Publish waits while a write to a client is stuck. QueueInitialCap stays at its default
//     2, as queues keep what they grew to under load (QueueShrinkDelay, default 1 second).
//   - WebsocketConfig.UseWriteBufferPool and ProcessCommandsOffReadLoop, for "large pools of mostly-idle
//     connections": no write buffer for each connection, and half the stack.
func NewTuned(setup rig.Setup) (rig.Server, error) {
	reply := centrifuge.ConnectReply{
		WriteDelay:         20 * time.Millisecond,
		MaxMessagesInFrame: -1,
		ReplyWithoutQueue:  true,
		WriteWithTimer:     true,
	}
	return start(setup, reply, centrifuge.WebsocketConfig{UseWriteBufferPool: true, ProcessCommandsOffReadLoop: true})
}

// Dialect is how clients speak to both servers: the library's JSON protocol.
func Dialect() rig.Dialect {
	return rig.Dialect{
		Path: rooms.Path,
		Hello: func(room int) [][]byte {
			return [][]byte{
				[]byte(`{"id":1,"connect":{}}`),
				fmt.Appendf(nil, `{"id":2,"subscribe":{"channel":%q}}`, channel(room)),
				fmt.Appendf(nil, `{"id":3,"history":{"channel":%q,"limit":-1,"reverse":true}}`, channel(room)),
			}
		},
		Joined: `"subscribe":{`,
	}
}

func channel(room int) string { return "r" + strconv.Itoa(room) }

func start(setup rig.Setup, reply centrifuge.ConnectReply, config centrifuge.WebsocketConfig) (rig.Server, error) {
	node, err := centrifuge.New(centrifuge.Config{ClientQueueMaxSize: queueMaxSize})
	if err != nil {
		return nil, err
	}
	s := &Server{node: node}
	reply.Credentials = &centrifuge.Credentials{}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) { return reply, nil })
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			answer(centrifuge.SubscribeReply{}, nil)
		})
		client.OnHistory(func(e centrifuge.HistoryEvent, answer centrifuge.HistoryCallback) {
			answer(s.history(e, setup.History))
		})
	})
	if setup.History > 0 {
		s.publish = []centrifuge.PublishOption{centrifuge.WithHistory(setup.History, historyTTL)}
		s.copied = true
	}
	if err := node.Run(); err != nil {
		return nil, err
	}
	config.WriteTimeout = writeTimeout
	config.PingPongConfig.PongTimeout = -1
	if setup.Deflate {
		config.Compression = true
		config.CompressionPreparedMessageCacheSize = cacheSize
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", centrifuge.NewWebsocketHandler(node, config))
	s.HTTP = rooms.NewHTTP(mux)
	return s, nil
}

func (s *Server) history(e centrifuge.HistoryEvent, limit int) (centrifuge.HistoryReply, error) {
	if limit == 0 {
		return centrifuge.HistoryReply{Result: &centrifuge.HistoryResult{}}, nil
	}
	result, err := s.node.History(e.Channel, centrifuge.WithLimit(limit), centrifuge.WithReverse(true))
	return centrifuge.HistoryReply{Result: &result}, err
}

// Publish implements rig.Server.
func (s *Server) Publish(room int, message []byte) error {
	if s.copied {
		message = bytes.Clone(message)
	}
	_, err := s.node.Publish(channel(room), message, s.publish...)
	return err
}

// Close ends the server and its connections.
func (s *Server) Close() error {
	err := s.HTTP.Close()
	ctx, cancel := context.WithTimeout(context.Background(), shutdownWait)
	defer cancel()
	if stopped := s.node.Shutdown(ctx); stopped != nil {
		return stopped
	}
	return err
}
