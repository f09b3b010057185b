package telemetry

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
)

// WriteMetrics returns every metric in the format that the Accept header prefers of Prometheus text (which is the default
// and has classic histograms), OpenMetrics and protobuf (which has native histograms). When some metrics cannot be read, it
// returns the others and the reason; without a body nothing could be written.
func (r *Registry) WriteMetrics(accept string) (contentType string, body []byte, err error) {
	families, gatherErr := r.prom.Gather()
	format := expfmt.NegotiateAccept(http.Header{"Accept": {accept}}, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	var out bytes.Buffer
	encoder := expfmt.NewEncoder(&out, format)
	for _, f := range families {
		if err := encoder.Encode(f); err != nil {
			return "", nil, fmt.Errorf("encode metric %q: %w", f.GetName(), err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			return "", nil, fmt.Errorf("encode metrics: %w", err)
		}
	}
	if gatherErr != nil {
		gatherErr = fmt.Errorf("gather metrics: %w", gatherErr)
	}
	return string(format), out.Bytes(), gatherErr
}
