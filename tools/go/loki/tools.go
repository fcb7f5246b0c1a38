//go:build tools

// Package tools pins Loki: `go build github.com/grafana/loki/v3/cmd/loki` in this module builds
// exactly what go.sum names.
package tools

import _ "github.com/grafana/loki/v3/cmd/loki"
