package main

import (
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// BenchmarkStart is the time from starting the built program to the shop's first answer. The promise: under 150 ms.
func BenchmarkStart(b *testing.B) {
	bin := filepath.Join(b.TempDir(), "chatbot")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for b.Loop() {
		b.StopTimer()
		l, err := net.Listen("tcp", "127.0.0.1:0") // a free port
		if err != nil {
			b.Fatal(err)
		}
		address := l.Addr().String()
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		server := exec.CommandContext(b.Context(), bin, "serve", "--listen", address)
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); ; {
			if res, err := http.Get("http://" + address + "/api/products"); err == nil {
				res.Body.Close()
				break
			}
			if time.Now().After(deadline) {
				b.Fatal("no answer within 10 s")
			}
			time.Sleep(time.Millisecond)
		}
		b.StopTimer()
		http.DefaultClient.CloseIdleConnections()
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			b.Fatal(err)
		}
		if err := server.Wait(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
