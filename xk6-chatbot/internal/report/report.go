// Package report writes what a run showed as text, JSON and one HTML file.
package report

import (
	"fmt"

	"github.com/innatural/chatbot/xk6-chatbot/internal/record"
)

// Options says where the files go.
type Options struct {
	Dir string // folder of the files; none are written when it is empty
}

// Files returns the text for the terminal under "stdout", and the content of each file under its path. data is what k6 passes to
// handleSummary.
func Files(run *record.Run, _ map[string]any, _ Options) (map[string]string, error) {
	return map[string]string{"stdout": fmt.Sprintf("%d turns\n", run.Turns)}, nil
}
