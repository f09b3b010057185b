// Package modelmock is a model that misbehaves on demand: a server of OpenAI's protocol for tests and demonstrations, with
// latencies of real models and the faults that real servers have shown. It answers from what the prompt holds, or with a
// given text.
package modelmock

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Config is what a Server does until it is told otherwise.
type Config struct {
	Model   string  // its name; empty is "mock"
	Profile Profile // the zero value answers at once
	Faults  []Fault
	Text    string // of every answer; empty quotes the prompt
	Seed    uint64 // of latencies and faults: the same requests in the same order get the same
}

// Server is an http.Handler. It may be used concurrently. Beside the protocol's paths it answers
//
//	GET /stats    what it has done, as Stats
//	GET /faults   its faults; PUT sets them: [{"fault": "stall", "share": 0.2, "after": 3}]
//	PUT /profile  sets the profile: "slow"
type Server struct {
	mux *http.ServeMux

	mu     sync.Mutex
	config Config
	stats  Stats
}

// Stats is what a Server has done.
type Stats struct {
	Requests         int64          `json:"requests"` // for completions
	InFlight         int64          `json:"in_flight"`
	MostInFlight     int64          `json:"most_in_flight"`
	Completed        int64          `json:"completed"` // answered whole, with or without harmless faults
	Cancelled        map[Phase]int  `json:"cancelled"` // by their clients
	LastCancelled    time.Time      `json:"last_cancelled"`
	Faults           map[Kind]int64 `json:"faults"`
	PromptTokens     int64          `json:"prompt_tokens"` // of the answers that were completed
	CompletionTokens int64          `json:"completion_tokens"`
}

// AllCancelled counts what clients cancelled in any phase.
func (s Stats) AllCancelled() int {
	n := 0
	for _, count := range s.Cancelled {
		n += count
	}
	return n
}

// Phase is how far an answer has come.
type Phase string

// The phases of an answer.
const (
	BeforeHeaders    Phase = "before_headers"
	BeforeFirstToken Phase = "before_first_token"
	Streaming        Phase = "streaming"
)

// New returns a Server. It fails when a fault is not known.
func New(c Config) (*Server, error) {
	if c.Model == "" {
		c.Model = "mock"
	}
	s := &Server{mux: http.NewServeMux(), config: c, stats: Stats{Cancelled: map[Phase]int{}, Faults: map[Kind]int64{}}}
	if err := s.SetFaults(c.Faults...); err != nil {
		return nil, err
	}
	s.mux.HandleFunc("POST /v1/chat/completions", s.complete)
	s.mux.HandleFunc("GET /v1/models", s.models)
	s.mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.Stats()) })
	s.mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, s.current().Faults) })
	s.mux.HandleFunc("PUT /faults", s.putFaults)
	s.mux.HandleFunc("PUT /profile", s.putProfile)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// SetFaults replaces the faults, for the requests that come from now on.
func (s *Server) SetFaults(faults ...Fault) error {
	for _, f := range faults {
		if err := f.check(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Faults = append([]Fault{}, faults...)
	return nil
}

// SetProfile replaces the profile, for the requests that come from now on.
func (s *Server) SetProfile(p Profile) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Profile = p
}

// SetText replaces the text of the answers, for the requests that come from now on. An empty one quotes the prompt.
func (s *Server) SetText(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config.Text = text
}

// Stats returns what the server has done.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Cancelled, stats.Faults = maps.Clone(stats.Cancelled), maps.Clone(stats.Faults)
	return stats
}

func (s *Server) current() Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// begin counts a request and draws what it meets.
func (s *Server) begin() (Config, map[Kind]int, *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	s.stats.InFlight++
	s.stats.MostInFlight = max(s.stats.MostInFlight, s.stats.InFlight)
	random := rand.New(rand.NewPCG(s.config.Seed, uint64(s.stats.Requests))) //nolint:gosec // latencies, not secrets
	drawn := map[Kind]int{}
	for _, f := range s.config.Faults {
		if random.Float64() < f.Share {
			drawn[f.Kind] = f.After
			s.stats.Faults[f.Kind]++
		}
	}
	return s.config, drawn, random
}

// end counts how a request ended.
func (s *Server) end(a *answer, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.InFlight--
	switch {
	case a.done:
		s.stats.Completed++
		s.stats.PromptTokens += int64(a.usage.PromptTokens)
		s.stats.CompletionTokens += int64(a.usage.CompletionTokens)
	case gone:
		s.stats.Cancelled[a.phase]++
		s.stats.LastCancelled = time.Now()
	}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	const created = 1767225600 // 2026-01-01
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []map[string]any{
		{"id": s.current().Model, "object": "model", "created": created, "owned_by": "mock"},
	}})
}

// maxControl bounds what the control paths read.
const maxControl = 64 << 10

func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	err := json.NewDecoder(io.LimitReader(r.Body, maxControl)).Decode(&faults)
	if err == nil {
		err = s.SetFaults(faults...)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("set faults: %v", err))
		return
	}
	writeJSON(w, http.StatusOK, slices.Clip(faults))
}

func (s *Server) putProfile(w http.ResponseWriter, r *http.Request) {
	var name string
	var p Profile
	err := json.NewDecoder(io.LimitReader(r.Body, maxControl)).Decode(&name)
	if err == nil {
		p, err = ProfileNamed(name)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request_error", fmt.Sprintf("set profile: %v", err))
		return
	}
	s.SetProfile(p)
	writeJSON(w, http.StatusOK, name)
}

// writeJSON writes an answer whose type always encodes; a client that does not take it has left.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// writeError writes an error as the protocol has it.
func writeError(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, errorBody(kind, message))
}

func errorBody(kind, message string) map[string]any {
	return map[string]any{"error": map[string]any{"message": message, "type": kind, "param": nil, "code": nil}}
}
