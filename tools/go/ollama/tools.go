//go:build tools

// Package tools pins the Ollama server: `go build github.com/ollama/ollama` in this
// module builds exactly what go.sum names.
package tools

import _ "github.com/ollama/ollama"
