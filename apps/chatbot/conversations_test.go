package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/innatural/chatbot/framework/frameworktest/redistest"
)

// instance is the program as a process of its own.
type instance struct {
	url  string
	kill func() // as a power cut would
}

var listening = regexp.MustCompile(`at (https?://\S+)\n`)

// startInstance serves a policy, until the end of the test at the latest.
func startInstance(t *testing.T, policy string) *instance {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.toml"), []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	out := &output{}
	cmd := exec.Command("chatbot", "serve", "--policy", "policy.toml")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	i := &instance{kill: sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
	})}
	t.Cleanup(i.kill)
	eventually(t, "the program listens", func() bool {
		found, ok := out.find(listening)
		if ok {
			i.url = found[1]
		}
		return ok
	})
	return i
}

const conversationsPolicy = `
version = 1
[server]
listen = "127.0.0.1:0"
[log.access]
enabled = false
[plugins.chat]
max_turns = 100
store = %q
path = %q
[cache.redis]
host = %q
port = %d
[[routes]]
method = "POST"
path = "/api/chat"
handler = "chat"
audience = "user"
[[routes]]
path = "/api/chat/export"
handler = "chat.export"
audience = "admin"
`

// say sends a message and returns the status and the answer.
func (i *instance) say(session, message string) (status int, answer string, err error) {
	body, err := json.Marshal(map[string]string{"sessionId": session, "message": message, "language": "fr"})
	if err != nil {
		return 0, "", err
	}
	res, err := client.Post(i.url+"/api/chat", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }() // it is read
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// messages returns what is kept of a conversation, and fails the test where an answer is missing.
func (i *instance) messages(t *testing.T, session string) []string {
	t.Helper()
	res, err := client.Get(i.url + "/api/chat/export?sessionId=" + session)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }() // it is read
	var a struct {
		Conversation struct {
			Count int
			Turns []struct{ Message, Answer string }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&a); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", res.Status, err)
	}
	var said []string
	for _, turn := range a.Conversation.Turns {
		said = append(said, turn.Message)
		if turn.Answer == "" {
			t.Errorf("%s: %q has no answer", session, turn.Message)
		}
	}
	if a.Conversation.Count != len(said) {
		t.Errorf("%s: %d turns are counted, %d kept", session, a.Conversation.Count, len(said))
	}
	return said
}

// Customers talk to two instances that share Redis, each message to either; one instance is killed between two turns and another one
// takes its place. Every conversation is kept whole, in order and apart from the others.
func TestConversationsOnTwoInstances(t *testing.T) {
	server := redistest.Start(t)
	policy := fmt.Sprintf(conversationsPolicy, "redis", "", "127.0.0.1", server.Port)
	first, second := startInstance(t, policy), startInstance(t, policy)
	const customers, turns, atOnce = 40, 20, 8 // more at once keep a small machine from answering Redis in time
	message := func(customer, turn int) string {
		return fmt.Sprintf("un savon pour le client %d, message %d", customer, turn)
	}
	talk := func(from, to int, instances ...*instance) {
		var all sync.WaitGroup
		places := make(chan struct{}, atOnce)
		for customer := range customers {
			all.Go(func() {
				places <- struct{}{}
				defer func() { <-places }()
				for turn := from; turn < to; turn++ {
					status, answer, err := http.StatusConflict, "", error(nil)
					for tries := 0; err == nil && status == http.StatusConflict && tries < 6; tries++ { // as a 409 asks to
						status, answer, err = instances[rand.IntN(len(instances))].say("customer"+strconv.Itoa(customer), message(customer, turn))
					}
					if err != nil || status != http.StatusOK {
						t.Errorf("customer %d, turn %d: %d %s %v", customer, turn, status, answer, err)
						return
					}
				}
			})
		}
		all.Wait()
	}
	talk(0, turns/2, first, second)
	first.kill()
	talk(turns/2, turns, second, startInstance(t, policy))
	for customer := range customers {
		said := second.messages(t, "customer"+strconv.Itoa(customer))
		if len(said) != turns {
			t.Errorf("customer %d: %d of %d turns are kept", customer, len(said), turns)
		}
		for turn, s := range said {
			if s != message(customer, turn) {
				t.Errorf("customer %d, turn %d: %q", customer, turn, s)
			}
		}
	}
}

// One customer sends several messages at once, to both instances: each is answered and kept once, or refused 409 and not kept.
func TestOneConversationOnTwoInstancesAtOnce(t *testing.T) {
	server := redistest.Start(t)
	policy := fmt.Sprintf(conversationsPolicy, "redis", "", "127.0.0.1", server.Port)
	instances := []*instance{startInstance(t, policy), startInstance(t, policy)}
	var mu sync.Mutex
	answered := map[string]bool{}
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			message := fmt.Sprintf("un savon, message %d", n)
			status, answer, err := instances[n%2].say("one", message)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && status == http.StatusOK:
				answered[message] = true
			case err == nil && status == http.StatusConflict && strings.Contains(answer, `"conversation_busy"`):
			default:
				t.Errorf("%s: %d %s %v", message, status, answer, err)
			}
		})
	}
	all.Wait()
	said := instances[0].messages(t, "one")
	for _, message := range said {
		if !answered[message] {
			t.Errorf("%q is kept twice, or was not answered", message)
		}
		delete(answered, message)
	}
	if len(answered) > 0 || len(said) == 0 {
		t.Errorf("answered and not kept: %v", answered)
	}
}

// An instance that is killed keeps what it had written to its file.
func TestFileOutlivesAnInstanceThatIsKilled(t *testing.T) {
	policy := fmt.Sprintf(conversationsPolicy, "bbolt", filepath.Join(t.TempDir(), "chat.db"), "", 6379)
	first := startInstance(t, policy)
	for n := range 5 {
		if status, answer, err := first.say("anna", fmt.Sprint("message ", n)); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	first.kill()
	if said := startInstance(t, policy).messages(t, "anna"); len(said) != 5 || said[4] != "message 4" {
		t.Errorf("kept: %q", said)
	}
}

// While Redis hangs every customer is answered, in the time that Redis has, and what was said is there when it is back.
func TestCustomersAreAnsweredWhileRedisHangs(t *testing.T) {
	server := redistest.Start(t)
	policy := fmt.Sprintf(conversationsPolicy, "redis", "", "127.0.0.1", server.Port)
	first, second := startInstance(t, policy), startInstance(t, policy)
	say := func(message string) {
		t.Helper()
		if status, answer, err := first.say("anna", message); err != nil || status != http.StatusOK {
			t.Fatalf("%d %s %v", status, answer, err)
		}
	}
	say("before")
	server.Hang()
	began := time.Now()
	for n := range 20 {
		say(fmt.Sprint("during ", n))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("20 messages took %s", took)
	}
	server.Resume()
	eventually(t, "all is in Redis", func() bool { return len(second.messages(t, "anna")) == 21 })
	if said := second.messages(t, "anna"); said[0] != "before" || said[20] != "during 19" {
		t.Errorf("kept: %q", said)
	}
}
