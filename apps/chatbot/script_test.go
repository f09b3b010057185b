package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write expected outputs and generated files instead of comparing them")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"chatbot": main, "probe": probe, "plain-proxy": plainProxy})
}

// TestScripts runs the commands as users do. Beside testscript's own commands the scripts have
//
//	run NAME PROGRAM ARGS...          runs a program behind the script
//	start NAME PROGRAM ARGS...        runs a server, waits until it says where it listens, and sets $NAME to its URL
//	signal NAME HUP|TERM|INT
//	exit NAME CODE                    waits for the end
//	await NAME PATTERN                waits for new output of a program or of a held request
//	http METHOD URL STATUS [PATTERN]  sends a request, once
//	until URL STATUS [PATTERN]        asks until the answer is so
//	hold NAME URL                     asks without waiting for the answer, which ends with a line "end STATUS"
//	occupy NAME                       listens, and sets $NAME to the address
//	replace WAY FILE BY               gives a file new content: inplace, rename, away or remove
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Values[stateKey{}] = &state{outputs: map[string]*output{}, programs: map[string]*program{}}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"run":     command(3, run),
			"start":   command(3, start),
			"signal":  command(2, sendSignal),
			"exit":    command(2, exit),
			"await":   command(2, await),
			"http":    command(3, httpOnce),
			"until":   command(2, httpUntil),
			"hold":    command(2, hold),
			"occupy":  command(1, occupy),
			"replace": command(3, replace),
		},
	})
}

// patience bounds every wait of a script.
const patience = time.Minute

type stateKey struct{}

// state is what the commands of one script share.
type state struct {
	outputs  map[string]*output
	programs map[string]*program
}

func stateOf(ts *testscript.TestScript) *state { return ts.Value(stateKey{}).(*state) }

type program struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has
}

// ended says whether the program has, all its output being there. A held request is none.
func (p *program) ended() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// command refuses negation and too few arguments.
func command(least int, run func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < least {
			ts.Fatalf("this command takes no ! and at least %d arguments", least)
		}
		run(ts, args)
	}
}

// output gathers what comes, and is searched from where the last search ended.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	seen int
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) find(re *regexp.Regexp) ([]string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := o.text.Bytes()[o.seen:]
	at := re.FindSubmatchIndex(fresh)
	if at == nil {
		return nil, false
	}
	o.seen += at[1]
	var groups []string
	for i := 0; i < len(at); i += 2 {
		groups = append(groups, string(fresh[at[i]:at[i+1]]))
	}
	return groups, true
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// poll asks until the answer is yes, and fails the script when it takes too long.
func poll(ts *testscript.TestScript, what string, done func() bool) {
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s", what)
		}
	}
}

func (s *state) await(ts *testscript.TestScript, name, pattern string) []string {
	o := s.outputs[name]
	if o == nil {
		ts.Fatalf("nothing is called %s", name)
	}
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		hopeless := time.Now().After(end) || s.programs[name].ended()
		if groups, found := o.find(re); found {
			return groups
		}
		if hopeless {
			ts.Fatalf("waited in vain for %s in the output of %s:\n%s", pattern, name, o)
		}
	}
}

func start(ts *testscript.TestScript, args []string) {
	run(ts, args)
	ts.Setenv(args[0], stateOf(ts).await(ts, args[0], `at (https?://\S+)$`)[1])
}

func run(ts *testscript.TestScript, args []string) {
	s, o := stateOf(ts), &output{}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.Getenv("WORK"), o, o
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "POLICY__LOG__LEVEL", "MODEL_URL", "GOCOVERDIR"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	ts.Check(cmd.Start())
	started := &program{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // exit looks at the state
		close(started.exited)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-started.exited
	})
	s.outputs[args[0]], s.programs[args[0]] = o, started
}

func (s *state) program(ts *testscript.TestScript, name string) *program {
	if s.programs[name] == nil {
		ts.Fatalf("no program is called %s", name)
	}
	return s.programs[name]
}

func sendSignal(ts *testscript.TestScript, args []string) {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}
	ts.Check(stateOf(ts).program(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func exit(ts *testscript.TestScript, args []string) {
	started := stateOf(ts).program(ts, args[0])
	select {
	case <-started.exited:
	case <-time.After(patience):
		ts.Fatalf("%s does not end:\n%s", args[0], stateOf(ts).outputs[args[0]])
	}
	if got := strconv.Itoa(started.cmd.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with %s, want %s:\n%s", args[0], got, args[1], stateOf(ts).outputs[args[0]])
	}
}

func await(ts *testscript.TestScript, args []string) { stateOf(ts).await(ts, args[0], args[1]) }

var client = &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request and says whether the answer is as wanted.
func ask(method, url, status, pattern string) (answer string, ok bool) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		return err.Error(), false
	}
	response, err := client.Do(req)
	if err != nil {
		return err.Error(), false
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	body, err := io.ReadAll(response.Body)
	matched, bad := regexp.Match(pattern, body)
	ok = errors.Join(err, bad) == nil && matched && strconv.Itoa(response.StatusCode) == status
	return response.Status + "\n" + string(body), ok
}

func httpOnce(ts *testscript.TestScript, args []string) {
	if answer, ok := ask(args[0], args[1], args[2], strings.Join(args[3:], " ")); !ok {
		ts.Fatalf("%s answers %s", args[1], answer)
	}
}

func httpUntil(ts *testscript.TestScript, args []string) {
	poll(ts, strings.Join(args, " "), func() bool {
		_, ok := ask("GET", args[0], args[1], strings.Join(args[2:], " "))
		return ok
	})
}

func hold(ts *testscript.TestScript, args []string) {
	o, ended := &output{}, make(chan struct{})
	stateOf(ts).outputs[args[0]] = o
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args[1], nil)
	ts.Check(err)
	ts.Defer(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		response, err := client.Do(req)
		if err == nil {
			_, err = io.Copy(o, response.Body)
			err = errors.Join(err, response.Body.Close())
		}
		if err != nil {
			_, _ = io.WriteString(o, "\nbroken: "+err.Error()+"\n") // it takes everything
			return
		}
		_, _ = io.WriteString(o, "\nend "+strconv.Itoa(response.StatusCode)+"\n")
	}()
}

func occupy(ts *testscript.TestScript, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() }) // nobody was served
	ts.Setenv(args[0], l.Addr().String())
}

func replace(ts *testscript.TestScript, args []string) {
	file, text := ts.MkAbs(args[1]), []byte(ts.ReadFile(args[2]))
	switch args[0] {
	case "inplace":
		ts.Check(os.WriteFile(file, text, 0o600))
	case "rename":
		ts.Check(os.WriteFile(file+".new", text, 0o600))
		ts.Check(os.Rename(file+".new", file))
	case "away":
		ts.Check(os.Rename(file, file+"~"))
		ts.Check(os.WriteFile(file, text, 0o600))
	case "remove":
		ts.Check(os.Remove(file))
		ts.Check(os.WriteFile(file, text, 0o600))
	default:
		ts.Fatalf("%s is no way to replace a file", args[0])
	}
}
