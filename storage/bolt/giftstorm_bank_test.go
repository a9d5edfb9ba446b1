package bolt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/liveim/im/gift"
)

// stormBank is a payment service with a book of its own, in a process that is not killed. One call in a hundred
// fails and one hangs, before or after it has been carried out; and one order in a hundred is declined.
type stormBank struct {
	mu    sync.Mutex // protects the fields below
	book  map[string]*stormAccount
	calls int
	fails int
	hangs int
}

type stormAccount struct {
	amount                      int64
	reserved, committed, undone bool
	commits                     int // times that money was taken
}

// taken is what the bank has of the giver's money.
func (a *stormAccount) taken() int64 {
	if a.committed && !a.undone {
		return a.amount
	}
	return 0
}

// declines tells of an order whether it is declined.
func declines(id string) bool {
	h := fnv.New32a()
	_, _ = io.WriteString(h, id)
	return h.Sum32()%100 == 0
}

func (b *stormBank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lot := rand.IntN(400)
	fail, hang := lot < 4, lot >= 4 && lot < 8
	b.mu.Lock()
	b.calls++
	if fail {
		b.fails++
	}
	if hang {
		b.hangs++
	}
	b.mu.Unlock()
	trouble := func() bool {
		if hang {
			<-r.Context().Done() // until the caller gives up
		}
		if fail {
			http.Error(w, "no answer", http.StatusInternalServerError)
		}
		return fail || hang
	}
	late := lot%2 == 1
	if !late && trouble() {
		return
	}
	amount, err := strconv.ParseInt(r.FormValue("amount"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	declined := b.carryOut(r.URL.Path, r.FormValue("id"), amount)
	if late && trouble() {
		return
	}
	if declined {
		w.WriteHeader(http.StatusPaymentRequired)
	}
}

func (b *stormBank) carryOut(call, id string, amount int64) (declined bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.book[id]
	if a == nil {
		a = &stormAccount{amount: amount}
		b.book[id] = a
	}
	switch {
	case call == "/refund":
		a.undone = true
	case a.undone || declines(id) || a.amount != amount || call == "/commit" && !a.reserved:
		return true
	case call == "/reserve":
		a.reserved = true
	case !a.committed:
		a.committed = true
		a.commits++
	}
	return false
}

// remoteCharge is the host's side of the bank.
type remoteCharge struct {
	url    string
	client *http.Client
}

func (c *remoteCharge) call(ctx context.Context, path string, o gift.Order) error {
	form := url.Values{"id": {o.ID}, "amount": {strconv.FormatInt(o.Amount, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path+"?"+form.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusPaymentRequired:
		return &gift.Declined{Reason: "the bank says no"}
	}
	return fmt.Errorf("the bank says %s", resp.Status)
}

func (c *remoteCharge) Reserve(ctx context.Context, o gift.Order) error {
	return c.call(ctx, "/reserve", o)
}

func (c *remoteCharge) Commit(ctx context.Context, o gift.Order) error {
	return c.call(ctx, "/commit", o)
}

func (c *remoteCharge) Refund(ctx context.Context, o gift.Order) error {
	return c.call(ctx, "/refund", o)
}

// stormGiver sends requests to whatever process is there.
type stormGiver struct {
	url    string
	client *http.Client
}

// stormAnswer is what a giver gets.
type stormAnswer struct {
	Op, Code, Status, Reason string
	Body                     struct {
		Order string
		State gift.State
	}
}

var errAgain = errors.New("no answer; send it again")

// send sends one gift once. An error that is errAgain leaves the outcome open.
func (g *stormGiver) send(ctx context.Context, user, room, cid string, count int) (stormAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	body := fmt.Sprintf(`{"op":"gift.send","id":1,"room":%q,"cid":%q,"body":{"gift":"rose","count":%d}}`, room, cid, count)
	raw, err := g.post(ctx, "/im/send", user, body)
	if err != nil {
		return stormAnswer{}, errAgain
	}
	var answers []stormAnswer
	if err := json.Unmarshal(raw, &answers); err != nil || len(answers) == 0 {
		return stormAnswer{}, fmt.Errorf("the hub answers %.200s", raw)
	}
	a := answers[len(answers)-1]
	switch {
	case a.Op == "ack" && a.Status == "ok" && a.Body.Order != "", a.Code == string(gift.CodeDeclined):
		return a, nil
	case a.Code == "timeout" || a.Code == "overloaded" || a.Code == "shutdown" || a.Status == "unknown":
		return a, errAgain
	}
	return a, fmt.Errorf("the hub answers %.200s", raw)
}

func (g *stormGiver) post(ctx context.Context, path, user, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+path, nil)
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.ContentLength = int64(len(body))
	}
	req.Header.Set("Authorization", "Bearer "+user)
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}
