# Everything is a target; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := go build -ldflags "-s -w -X main.version=$(VERSION)"
# What is compiled for a release serves tests and linters too: a dependency as large as k6 is compiled once.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath
TOOLS := bin/tools
CLIENTS := plugins/chat/openaitest
MANIFESTS := apps/chatbot/deploy/manifests
LOADKIT := xk6-chatbot
FUZZTIME ?= 20s

.PHONY: help build run test race lint fmt generate check dashboards eval bench k6 bench-peers fuzz deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/chatbot and bin/bench
	$(GO_BUILD) -o bin/chatbot ./apps/chatbot
	$(GO_BUILD) -o bin/bench ./apps/bench

run: build ## serve the shop on 127.0.0.1:5000 (ARGS="--listen 127.0.0.1:8080" for more)
	bin/chatbot serve --policy policies/chatbot.toml $(ARGS)

test: deps build k6 ## run all tests, installing what they need; the race detector looks at framework and plugins
	CGO_ENABLED=1 go test -race -timeout 20m ./framework/... ./plugins/...
	go test -timeout 20m ./apps/... ./dashboards/... ./policies/...
	go test -C $(CLIENTS) -timeout 10m ./...
	go test -C $(MANIFESTS) -timeout 10m ./...
	go test -C dashboards/generate ./...
	go test -C $(LOADKIT) -timeout 15m ./...
	CGO_ENABLED=1 go test -C $(LOADKIT) -race ./internal/...

race: deps build k6 ## run all tests with the race detector, those of whole programs too, for half an hour
	CGO_ENABLED=1 go test -race -timeout 30m ./...

deps:
	@.ci/deps

lint: $(TOOLS)/golangci-lint $(TOOLS)/gofumpt ## check style, vet and imports
	$(TOOLS)/golangci-lint run ./...
	cd $(CLIENTS) && $(CURDIR)/$(TOOLS)/golangci-lint run ./...
	cd $(MANIFESTS) && $(CURDIR)/$(TOOLS)/golangci-lint run ./...
	cd $(LOADKIT) && $(CURDIR)/$(TOOLS)/golangci-lint run ./...
	cd dashboards/generate && $(CURDIR)/$(TOOLS)/golangci-lint run ./...
	@test -z "$$($(TOOLS)/gofumpt -l framework plugins apps policies dashboards $(LOADKIT))" || { $(TOOLS)/gofumpt -d framework plugins apps policies dashboards $(LOADKIT); exit 1; }
	go test -run TestDependencies ./framework

fmt: $(TOOLS)/golangci-lint build ## format the code and the policies
	$(TOOLS)/golangci-lint fmt ./...
	bin/chatbot fmt policies/*.toml

generate: ## write what is generated: the README's reference and the policies' schema
	go generate ./...

check: generate dashboards ## fail when something generated is not current
	git diff --exit-code -- README.md policies dashboards

dashboards: ## write the dashboards (IMAGES=2m: and draw the README's pictures, from so long a load)
	go run -C dashboards/generate .
	$(if $(IMAGES),$(MAKE) k6 && go test -count=1 ./dashboards -run TestPanels -images $(IMAGES))

eval: ## measure how well customers are understood (SET=directory for other utterances than the held-out ones)
	@go run ./plugins/chat/internal/responder/eval $(if $(SET),-set $(SET))

bench: ## measure what is promised (takes a few minutes)
	go test -run '^$$' -bench . -benchmem ./framework/... ./plugins/... ./apps/...
	FAULT_SECONDS=30 go test -count=1 -v -run TestFaultsUnderLoad ./framework
	ROLLOUTS=5 go test -count=1 -v -timeout 20m -run 'Rollout|HandOver' ./apps/chatbot/deploy
	FAULTS=all go test -count=1 -run TestEveryFaultUnderLoad ./apps/chatbot

k6: ## build bin/k6, a k6 with k6/x/chatbot, the load kit
	go build -C xk6-chatbot -ldflags "-s -w" -o ../bin/k6 ./cmd/k6

bench-peers: build ## measure a hit against bare Fiber, nginx, Varnish and Express, installing what is missing (ARGS="-rounds 9")
	.ci/peers
	go build -o bin/peers/peers ./apps/bench/peers
	PATH="$$PATH:/usr/sbin" bin/peers/peers $(ARGS)

fuzz: ## fuzz every parser and key for FUZZTIME each
	@for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

clean: ## remove what was built
	rm -rf bin

$(TOOLS)/golangci-lint: .tools/go.mod
	go build -C .tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(TOOLS)/gofumpt: .tools/go.mod
	go build -C .tools -o ../$@ mvdan.cc/gofumpt
