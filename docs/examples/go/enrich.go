// go run enrich.go TEXT: submits a text and waits for its result, cancels it too late, asks one agent, runs a task.
// NATS_URL says where the broker is. Written for Go 1.19 and github.com/nats-io/nats.go 1.22 or newer.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

const (
	alreadyThere = 10071            // the broker has a submission under this id
	beingStored  = 10164            // only in a cluster: one is on its way, so ask again
	retryFor     = 20 * time.Second // a cluster that loses a leader stalls for up to eight seconds
)

// Task is what is submitted or run. Text has to be valid UTF-8.
type Task struct {
	Text     string         `json:"text"`
	Wanted   []string       `json:"wanted,omitempty"`
	TimeoutS float64        `json:"timeout_s,omitempty"`
	Metadata map[string]any `json:"metadata,omitempty"`
}

// Error is one of the closed list of codes; take one that you do not know as "internal".
type Error struct {
	Code, Message string
	Retryable     bool
}

// Answer holds its value or its error.
type Answer struct {
	Value json.RawMessage
	Error *Error
}

// Result is a task's one terminal result.
type Result struct {
	Status   string
	Answers  map[string]Answer
	Error    *Error
	Metadata map[string]any
}

// Entity counts in Unicode code points, as every offset in an answer does.
type Entity struct {
	Start, End int
	Text, Type string
}

// Submit publishes a task; true: the broker took it, false: it is in the mesh already, as a retry finds it.
func Submit(js nats.JetStreamContext, lane, address string, task Task) (bool, error) {
	body, err := json.Marshal(task)
	if err != nil {
		return false, err
	}
	subject := fmt.Sprintf("slm.v1.submit.%s.%s", lane, address)
	for giveUp := time.Now().Add(retryFor); ; time.Sleep(250 * time.Millisecond) {
		_, err = js.Publish(subject, body, nats.ExpectLastSequencePerSubject(0))
		var refused *nats.APIError
		switch {
		case err == nil:
			return true, nil
		case errors.As(err, &refused) && refused.ErrorCode == alreadyThere:
			return false, nil
		case !mayPass(err, refused) || time.Now().After(giveUp):
			return false, err
		}
	}
}

// A stream without a leader looks like none at all; 503 is a broker that is busy or full.
func mayPass(err error, refused *nats.APIError) bool {
	if refused != nil {
		return refused.ErrorCode == beingStored || refused.Code == 503
	}
	return errors.Is(err, nats.ErrNoStreamResponse) || errors.Is(err, nats.ErrTimeout)
}

// Wait returns a task's result. nats.ErrTimeout says that it has not come yet, and nothing about the task.
func Wait(js nats.JetStreamContext, address string, within time.Duration) (*Result, error) {
	// An ordered consumer begins with what is stored: a result that came before this call is found too.
	done, err := js.SubscribeSync("slm.v1.done."+address, nats.BindStream("SLM_DONE"), nats.OrderedConsumer())
	if err != nil {
		return nil, err
	}
	defer done.Unsubscribe()
	message, err := done.NextMsg(within)
	if err != nil {
		return nil, err
	}
	var result Result
	return &result, json.Unmarshal(message.Data, &result)
}

// Cancelled is the reply to a request to cancel: how the task ended, or why it has not.
type Cancelled struct {
	Status *string `json:"status"`
	Error  *Error  `json:"error"`
}

// Cancel cancels a task; one that has ended stays as it is.
func Cancel(nc *nats.Conn, tenant, class, id string) (reply Cancelled, err error) {
	err = call(nc, fmt.Sprintf("slm.v1.cancel.%s.%s", tenant, class), map[string]string{"task_id": id}, 10*time.Second, &reply)
	return reply, err
}

// Ask asks one agent. nats.ErrNoResponders says that nobody of that name is there.
func Ask(nc *nats.Conn, agent, text string) (answer Answer, err error) {
	err = call(nc, "slm.v1.ask."+agent, Task{Text: text}, 10*time.Second, &answer)
	return answer, err
}

// Run runs a whole task while the caller waits; nothing is stored, nothing is tried again.
func Run(nc *nats.Conn, tenant, class string, task Task) (result Result, err error) {
	budget := task.TimeoutS
	if budget == 0 {
		budget = 30
	}
	within := time.Duration((budget + 2) * float64(time.Second)) // the mesh answers "expired" before this client gives up
	err = call(nc, fmt.Sprintf("slm.v1.run.%s.%s", tenant, class), task, within, &result)
	return result, err
}

func call(nc *nats.Conn, subject string, body any, within time.Duration, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	message := nats.NewMsg(subject)
	message.Data = data // a traceparent of yours goes here: message.Header.Set("traceparent", …)
	reply, err := nc.RequestMsg(message, within)
	if err != nil {
		return err
	}
	return json.Unmarshal(reply.Data, into)
}

// Slice returns a part of a text by code points; text[start:end] would count bytes.
func Slice(text string, start, end int) string {
	return string([]rune(text)[start:end])
}

func main() {
	text := "Marta Ruiz of Acme called from Bilbao: two pallets are missing. 📦"
	if len(os.Args) > 1 {
		text = os.Args[1]
	}
	url := os.Getenv("NATS_URL")
	if url == "" {
		url = nats.DefaultURL
	}
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	check(err)
	defer nc.Drain()
	js, err := nc.JetStream()
	check(err)

	id := nuid.Next()
	address := "acme.internal." + id // tenant, data class, and the id under which you may repeat it
	task := Task{Text: text, Wanted: []string{"sentiment", "entities"}, Metadata: map[string]any{"ticket": 4711}}
	first, err := Submit(js, "interactive", address, task)
	check(err)
	again, err := Submit(js, "interactive", address, task) // a retry: harmless
	check(err)
	done, err := Wait(js, address, time.Minute)
	check(err)
	show("submit", map[string]any{"first": first, "again": again, "status": done.Status, "metadata": done.Metadata, "error": done.Error})
	var found struct{ Entities []Entity }
	if value := done.Answers["entities"].Value; len(value) > 0 {
		check(json.Unmarshal(value, &found))
	}
	names := []string{}
	for _, entity := range found.Entities {
		names = append(names, Slice(text, entity.Start, entity.End))
	}
	show("entities", found.Entities)
	show("names", names)

	cancelled, err := Cancel(nc, "acme", "internal", id) // too late: the result that came first stands
	check(err)
	show("cancel", cancelled)

	answer, err := Ask(nc, "sentiment", text)
	check(err)
	show("ask", answer.Value)

	ran, err := Run(nc, "acme", "internal", Task{Text: text, Wanted: []string{"summary"}, TimeoutS: 10})
	check(err)
	show("run", map[string]any{"status": ran.Status, "summary": ran.Answers["summary"].Value, "error": ran.Error})
}

func show(what string, value any) {
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{what: value}))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
