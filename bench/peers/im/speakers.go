package impeer

import (
	"context"
	"fmt"
	"sync"

	"github.com/liveim/im"
	"github.com/liveim/im/bench/rig"
	"github.com/liveim/im/transport/pipe"
)

// The budget of a room is for what clients send, not for what the host does. So danmaku
// come from clients that live in the server's process and watch little themselves.
type speakers struct {
	peers []*pipe.Peer
	next  int
	text  []byte
	all   sync.WaitGroup
}

// speaking is how many clients take turns in a room.
const speaking = 20

// say sends a danmaku as the next client. One goroutine at a time calls it for a room.
func (s *server) say(room int, message []byte) error {
	who := s.speakers[room]
	if who == nil {
		var err error
		if who, err = newSpeakers(s.hub, name(room)); err != nil {
			return err
		}
		s.speakers[room] = who
	}
	who.next++
	who.text = fmt.Appendf(who.text[:0], `{"op":"send","id":%d,"room":%q,"kind":"danmaku","body":%s}`, who.next, name(room), message)
	return who.peers[who.next%speaking].Send(context.Background(), who.text)
}

func newSpeakers(hub *im.Hub, room string) (*speakers, error) {
	who := &speakers{}
	for i := range speaking {
		conn, peer := pipe.New(&pipe.Options{Buffer: 1 << 20})
		if _, err := hub.Attach(conn, im.User{ID: fmt.Sprintf("speaker-%s-%d", room, i)}); err != nil {
			return nil, err
		}
		if err := peer.Send(context.Background(), fmt.Appendf(nil, `{"op":"join","id":1,"room":%q,"tier":"critical"}`, room)); err != nil {
			return nil, err
		}
		who.peers = append(who.peers, peer)
		who.all.Go(func() {
			for {
				if _, err := peer.Recv(context.Background()); err != nil {
					return
				}
			}
		})
	}
	return who, nil
}

func (who *speakers) wait() {
	for _, p := range who.peers {
		_ = p.Close()
	}
	who.all.Wait()
}

var _ rig.Server = (*server)(nil)
