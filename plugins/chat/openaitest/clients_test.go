package openaitest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// call is what a client is to do.
type call struct {
	Base    string          `json:"base"`
	Key     string          `json:"key"`
	Retries int             `json:"retries"`
	Action  string          `json:"action"` // create, stream, models or get
	Params  json.RawMessage `json:"params,omitempty"`
	Path    string          `json:"path,omitempty"`
}

// outcome is what a client's caller sees.
type outcome struct {
	IDs       []string       `json:"ids"` // different ones of chunks, or of models
	Text      string         `json:"text"`
	Finish    string         `json:"finish"`
	Usages    []usage        `json:"usages"`
	Extension map[string]any `json:"extension"`
	Error     *failure       `json:"error"`
}

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
}

type failure struct {
	Status  int    `json:"status"`
	Type    string `json:"type"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Request string `json:"request"`
}

// client is an official client.
type client interface {
	do(t *testing.T, c call) outcome
}

// goClient is the one for Go.
type goClient struct{}

func (goClient) do(t *testing.T, c call) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sdk := openai.NewClient(option.WithBaseURL(c.Base), option.WithAPIKey(c.Key), option.WithMaxRetries(c.Retries))
	params := param.Override[openai.ChatCompletionNewParams](c.Params)
	var o outcome
	var err error
	switch c.Action {
	case "create":
		var answer *openai.ChatCompletion
		if answer, err = sdk.Chat.Completions.New(ctx, params); err == nil {
			o = outcome{
				IDs: []string{answer.ID}, Text: answer.Choices[0].Message.Content, Finish: answer.Choices[0].FinishReason,
				Usages:    []usage{usageOf(answer.Usage)},
				Extension: extension(t, answer.JSON.ExtraFields["innatural"].Raw()),
			}
		}
	case "stream":
		o, err = readStream(t, sdk.Chat.Completions.NewStreaming(ctx, params))
	case "models":
		models := sdk.Models.ListAutoPaging(ctx)
		for models.Next() {
			o.IDs = append(o.IDs, models.Current().ID)
		}
		err = models.Err()
	case "get":
		err = sdk.Get(ctx, c.Path, nil, nil)
	}
	o.Error = failureOf(t, err)
	return o
}

// readStream reads a stream as callers do, with the accumulator.
func readStream(t *testing.T, stream *ssestream.Stream[openai.ChatCompletionChunk]) (o outcome, err error) {
	t.Helper()
	defer func() { err = errors.Join(err, stream.Close()) }()
	var all openai.ChatCompletionAccumulator
	for stream.Next() {
		chunk := stream.Current()
		if !all.AddChunk(chunk) {
			t.Errorf("the accumulator refuses %s", chunk.RawJSON())
		}
		if !slices.Contains(o.IDs, chunk.ID) {
			o.IDs = append(o.IDs, chunk.ID)
		}
		if chunk.JSON.Usage.Valid() {
			o.Usages = append(o.Usages, usageOf(chunk.Usage))
		}
		if raw := chunk.JSON.ExtraFields["innatural"].Raw(); raw != "" {
			o.Extension = extension(t, raw)
		}
	}
	if len(all.Choices) > 0 {
		o.Text, o.Finish = all.Choices[0].Message.Content, all.Choices[0].FinishReason
	}
	if len(o.Usages) > 0 && usageOf(all.Usage) != o.Usages[0] {
		t.Errorf("usage adds up to %+v", all.Usage)
	}
	return o, stream.Err()
}

func usageOf(u openai.CompletionUsage) usage {
	return usage{u.PromptTokens, u.CompletionTokens, u.TotalTokens}
}

func extension(t *testing.T, raw string) map[string]any {
	t.Helper()
	if raw == "" {
		return nil
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Error(err)
	}
	return v
}

// failureOf returns what an error of the client says.
func failureOf(t *testing.T, err error) *failure {
	t.Helper()
	if err == nil {
		return nil
	}
	if api, ok := errors.AsType[*openai.Error](err); ok {
		return &failure{api.StatusCode, api.Type, api.Code, api.Message, api.Response.Header.Get("X-Request-Id")}
	}
	if broken, ok := errors.AsType[*ssestream.StreamError](err); ok {
		var v struct{ Error failure }
		if err := json.Unmarshal(broken.Event.Data, &v); err != nil {
			t.Errorf("%v in %s", err, broken.Event.Data)
		}
		return &v.Error
	}
	t.Errorf("the client fails with %v", err)
	return &failure{Message: err.Error()}
}

// nodeClient is the one for Node, in a process of its own.
type nodeClient struct {
	mu    sync.Mutex
	calls *json.Encoder
	seen  *bufio.Reader
}

// nodeInstalled installs the client once, and returns where.
var nodeInstalled = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(program), "node")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"package.json", "package-lock.json", "client.mjs"} {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install the client: %w\n%s", err, out)
	}
	return dir, nil
})

// startNode starts the client. It skips the test where there is no Node.
func startNode(t *testing.T) *nodeClient {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("the client for Node is not checked: there is no %s (make deps installs it)", program)
		}
	}
	dir, err := nodeInstalled()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "client.mjs")
	cmd.Dir = dir
	stderr := &strings.Builder{}
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = cmd.Wait()
		if s := stderr.String(); s != "" {
			t.Logf("the client wrote:\n%s", s)
		}
	})
	return &nodeClient{calls: json.NewEncoder(in), seen: bufio.NewReader(out)}
}

func (n *nodeClient) do(t *testing.T, c call) outcome {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.calls.Encode(c); err != nil {
		t.Fatal(err)
	}
	line, err := n.seen.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the client has ended: %v", err)
	}
	var o outcome
	if err := json.Unmarshal(line, &o); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return o
}
