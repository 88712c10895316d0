// An adapter between the conformance suite and a client library: a line in, a call of the library, a line out.
//
// Fill in what is marked BLANK, from the top down. The rest of this file is the protocol, and is complete: it needs Go 1.21 and nothing
// else. An error that a blank returns is reported as the library's; what is written to os.Stderr is shown with a case that fails.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"time"
)

// Blank is a part of this adapter that is not written yet.
type Blank string

func (blank Blank) Error() string { return string(blank) }

// hello is BLANK 1: who the library is. What it does not declare here is not judged. Features that work as soon as the blanks do:
// "abandon" (a cancelled receive loses nothing), "cancel" (a call ends with its context), "buffered" (blank 4), "census"
// (blank 8), "error-kinds" (blank 9).
var hello = object{
	"control":    1,
	"adapter":    "my-adapter 1",
	"library":    "my-library 0.0.0",
	"language":   "go",
	"transports": []string{"ws", "stdio"},
	"features":   []string{},
	"limits":     object{},
}

// Connection is the library's connection, and Body its body.
type (
	Connection any
	Body       any
)

// Request is what the application asks for.
type Request struct {
	Method    string   `json:"method"`
	URL       string   `json:"url"`
	Headers   []Header `json:"headers"`
	Body      []byte   `json:"-"`         // nil: none
	TimeoutMs *int64   `json:"timeoutMs"` // nil: none
	Redirect  string   `json:"redirect"`  // "follow", "stop", or "": what the library does by itself
	RequestID string   `json:"requestId"` // with the feature "caller-ids"
}

// Header is a header of a request or of a response.
type Header struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	ValueEnvVar string `json:"valueEnvVar,omitempty"` // in requests, with the feature "header-env-vars"
}

// Head is the head of a response.
type Head struct {
	Status  int
	Headers []Header
}

// openWebSocket is BLANK 2: connects, makes the handshake, and returns the library's connection.
func openWebSocket(url string) (Connection, error) {
	return nil, Blank("blank 2: open a connection")
}

// openStdio is BLANK 2: lets the library start its executor, argv with env added to what it inherits; else as above.
func openStdio(argv []string, env map[string]string) (Connection, error) {
	return nil, Blank("blank 2: open a connection")
}

// callStreamed is BLANK 3: makes a call whose body comes in pieces. The context ends when the application gives the call up or drops the body.
func callStreamed(ctx context.Context, connection Connection, request Request) (Head, Body, error) {
	return Head{}, nil, Blank("blank 3: start a streamed call")
}

// callBuffered is BLANK 4: makes a call whose response has its whole body. Only with the feature "buffered".
func callBuffered(ctx context.Context, connection Connection, request Request) (Head, []byte, error) {
	return Head{}, nil, Blank("blank 4: start a buffered call")
}

// receive is BLANK 5: returns the next chunk, or io.EOF at the clean end. Called again behind an end or an error.
func receive(ctx context.Context, body Body) ([]byte, error) {
	return nil, Blank("blank 5: receive a chunk")
}

// drop is BLANK 6: lets go of a body without reading on. A receive may be waiting, whose context has ended.
func drop(body Body) error {
	return Blank("blank 6: drop a body")
}

// closeConnection is BLANK 7: closes a connection.
func closeConnection(connection Connection) error {
	return Blank("blank 7: close a connection")
}

// census is BLANK 8: says what the library holds: "routes", and if it can tell "calls" and "queuedBytes". Only with the feature "census".
func census(connection Connection) (object, error) {
	return nil, Blank("blank 8: count what the library holds")
}

// failureOf is BLANK 9: which kind an error of the library is; "rpc" also has the executor's "code". Only with the feature "error-kinds".
func failureOf(err error) object {
	return object{"kind": "other", "message": err.Error()}
}

// From here on nothing is to be filled in.

const (
	lineBytes = 8 * 1024 * 1024
	dataBytes = 65_536
	// A receive that is to be given up where it waits has waited by then.
	abandonAfter = time.Millisecond
)

type object map[string]any

type command struct {
	ID         uint64            `json:"id"`
	Command    string            `json:"command"`
	Conn       string            `json:"conn"`
	Op         string            `json:"op"`
	Transport  string            `json:"transport"`
	Argv       []string          `json:"argv"`
	Env        map[string]string `json:"env"`
	Stream     bool              `json:"stream"`
	BodyBase64 []byte            `json:"bodyBase64"`
	BodyFill   *struct {
		PatternBase64 []byte `json:"patternBase64"`
		Bytes         int    `json:"bytes"`
	} `json:"bodyFill"`
	Max     int  `json:"max"`
	Bytes   *int `json:"bytes"`
	Abandon bool `json:"abandon"`
	Foreign bool `json:"foreign"`
	Request
}

// order is a read that an op was given.
type order struct {
	max     int  // chunks, at most
	bytes   *int // no more of them once so many bytes have come
	abandon bool // the first receive is given up where it waits
}

// op is a call. Its worker makes it, and then reads its body when it is told to.
type op struct {
	name     string
	ctx      context.Context
	cancel   context.CancelFunc
	orders   []order // that the worker has not begun
	busy     bool    // the worker makes the call, or reads
	body     Body    // once it is there
	answered bool    // the response was told
	dropped  bool    // nothing more is told
	done     bool    // the worker has ended
}

// adapter carries out commands. All names of the suite live as long as the process. The mutex guards everything, and the
// library is never called under it.
type adapter struct {
	sync.Mutex
	changed     *sync.Cond
	connections map[string]Connection
	ops         map[string]*op
	closing     int
	events      int
}

// write writes one line. The mutex is held.
func (a *adapter) write(line object) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func (a *adapter) reply(id uint64, reply string, members object) {
	a.Lock()
	defer a.Unlock()
	a.write(join(object{"id": id, "reply": reply}, members))
}

// refuse replies to a command that failed.
func (a *adapter) refuse(id uint64, err error) {
	var blank Blank
	if errors.As(err, &blank) {
		a.reply(id, "unsupported", object{"reason": err.Error()})
	} else {
		a.reply(id, "error", object{"where": "library", "message": err.Error()})
	}
}

// finish replies to a command that has no result.
func (a *adapter) finish(id uint64, err error) {
	if err != nil {
		a.refuse(id, err)
	} else {
		a.reply(id, "ok", nil)
	}
}

// tell writes an event of an op. The mutex is held.
func (a *adapter) tell(o *op, event string, members object) {
	if o.dropped {
		return
	}
	a.events++
	a.write(join(object{"n": a.events, "event": event, "op": o.name}, members))
}

// execute carries out one command; what waits for the network goes on beside the next one.
func (a *adapter) execute(c command) {
	a.Lock()
	connection, o := a.connections[c.Conn], a.ops[c.Op]
	a.Unlock()
	switch c.Command {
	case "hello":
		a.reply(c.ID, "hello", hello)
	case "open":
		go a.open(c)
	case "request":
		ctx, cancel := context.WithCancel(context.Background())
		o = &op{name: c.Op, ctx: ctx, cancel: cancel, busy: true}
		a.Lock()
		a.ops[c.Op] = o
		a.Unlock()
		a.reply(c.ID, "ok", nil)
		go a.work(o, connection, c)
	case "read":
		if c.Max == 0 {
			c.Max = 1
		}
		a.startReading(c.ID, o, order{c.Max, c.Bytes, c.Abandon})
	case "drain":
		a.startReading(c.ID, o, order{math.MaxInt, nil, false})
	case "drop":
		if c.Foreign {
			a.reply(c.ID, "unsupported", object{"reason": "every thread of Go is alike"})
			return
		}
		a.finish(c.ID, a.letGo(o))
	case "cancel":
		a.Lock()
		answered := o.answered
		a.Unlock()
		if answered {
			a.finish(c.ID, nil)
		} else {
			a.finish(c.ID, a.letGo(o))
		}
	case "sync":
		go a.settle(c.ID)
	case "census":
		held, err := census(connection)
		if err != nil {
			a.refuse(c.ID, err)
			return
		}
		a.reply(c.ID, "census", held)
	case "close":
		a.Lock()
		a.closing++
		a.Unlock()
		go func() {
			a.finish(c.ID, closeConnection(connection))
			a.Lock()
			a.closing--
			a.changed.Broadcast()
			a.Unlock()
		}()
	case "bye":
		a.reply(c.ID, "ok", nil)
		os.Exit(0)
	default:
		a.reply(c.ID, "unsupported", object{"reason": "unknown command"})
	}
}

func (a *adapter) open(c command) {
	var connection Connection
	var err error
	if c.Transport == "ws" {
		connection, err = openWebSocket(c.URL)
	} else {
		connection, err = openStdio(c.Argv, c.Env)
	}
	var blank Blank
	switch {
	case errors.As(err, &blank):
		a.refuse(c.ID, err)
	case err != nil:
		a.reply(c.ID, "failed", failureOf(err))
	default:
		a.Lock()
		a.connections[c.Conn] = connection
		a.Unlock()
		a.reply(c.ID, "opened", nil)
	}
}

func (a *adapter) startReading(id uint64, o *op, reads order) {
	a.reply(id, "ok", nil)
	a.Lock()
	defer a.Unlock()
	o.orders = append(o.orders, reads)
	a.changed.Broadcast()
}

// letGo gives up a call or drops its body, and waits until the worker has noticed.
func (a *adapter) letGo(o *op) error {
	a.Lock()
	o.dropped = true
	body := o.body
	o.body = nil
	a.changed.Broadcast()
	a.Unlock()
	o.cancel()
	if body != nil {
		if err := drop(body); err != nil {
			return err
		}
	}
	a.Lock()
	defer a.Unlock()
	for !o.done {
		a.changed.Wait()
	}
	return nil
}

// settle replies when all connections are closed that were to be, and every idle worker has begun its next read.
func (a *adapter) settle(id uint64) {
	a.Lock()
	for !a.isSettled() {
		a.changed.Wait()
	}
	a.Unlock()
	a.reply(id, "ok", nil)
}

func (a *adapter) isSettled() bool {
	for _, o := range a.ops {
		if len(o.orders) > 0 && !o.busy && !o.done {
			return false
		}
	}
	return a.closing == 0
}

// work makes the call of an op; then every further step is a read that was asked for.
func (a *adapter) work(o *op, connection Connection, c command) {
	request := c.Request
	request.Body = c.body()
	var head Head
	var body Body
	var whole []byte
	var err error
	if c.Stream {
		head, body, err = callStreamed(o.ctx, connection, request)
	} else {
		head, whole, err = callBuffered(o.ctx, connection, request)
	}
	if head.Headers == nil {
		head.Headers = []Header{}
	}
	members := object{"status": head.Status, "headers": head.Headers}
	a.Lock()
	defer a.Unlock()
	switch {
	case err != nil:
		a.tell(o, "call-failed", failureOf(err))
	case c.Stream && o.dropped:
		a.Unlock()
		drop(body)
		a.Lock()
	case c.Stream:
		o.answered, o.body = true, body
		a.tell(o, "response", members)
		a.read(o, body)
	default:
		o.answered = true
		a.tell(o, "response", join(members, bytesOf(whole)))
	}
	o.done = true
	a.changed.Broadcast()
}

// read receives whenever the op is told to, until it is dropped. The mutex is held.
func (a *adapter) read(o *op, body Body) {
	for {
		o.busy = false
		for len(o.orders) == 0 && !o.dropped {
			a.changed.Wait()
		}
		if o.dropped {
			return
		}
		reads := o.orders[0]
		o.orders, o.busy = o.orders[1:], true
		a.changed.Broadcast()
		received := 0
		for count := 0; count < reads.max && (reads.bytes == nil || received < *reads.bytes) && !o.dropped; count++ {
			a.Unlock()
			chunk, err := receiveOnce(o.ctx, body, reads.abandon && count == 0)
			a.Lock()
			if err == io.EOF {
				a.tell(o, "end", nil)
				break
			} else if err != nil {
				a.tell(o, "stream-failed", failureOf(err))
				break
			}
			a.tell(o, "chunk", bytesOf(chunk))
			received += len(chunk)
		}
	}
}

// receiveOnce receives; if it is to be abandoned, gives the receive up where it waits, and receives again.
func receiveOnce(ctx context.Context, body Body, abandon bool) ([]byte, error) {
	if abandon {
		attempt, cancel := context.WithTimeout(ctx, abandonAfter)
		defer cancel()
		if chunk, err := receive(attempt, body); !errors.Is(err, context.DeadlineExceeded) {
			return chunk, err
		}
	}
	return receive(ctx, body)
}

// body is the body that a command describes.
func (c command) body() []byte {
	if c.BodyFill == nil {
		return c.BodyBase64
	}
	pattern, count := c.BodyFill.PatternBase64, c.BodyFill.Bytes
	return bytes.Repeat(pattern, count/len(pattern)+1)[:count]
}

// bytesOf returns the members that stand for bytes.
func bytesOf(data []byte) object {
	sum := sha256.Sum256(data)
	members := object{"bytes": len(data), "sha256": hex.EncodeToString(sum[:])}
	if len(data) <= dataBytes {
		members["dataBase64"] = base64.StdEncoding.EncodeToString(data)
	}
	return members
}

func join(line object, members object) object {
	for name, value := range members {
		line[name] = value
	}
	return line
}

func main() {
	a := &adapter{connections: map[string]Connection{}, ops: map[string]*op{}}
	a.changed = sync.NewCond(a)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytes+1)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			os.Stderr.WriteString("a command cannot be read: " + err.Error() + "\n")
			continue
		}
		a.execute(c)
	}
}
