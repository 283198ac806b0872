# Everything here needs only Go (1.21 or later fetches the right toolchain by
# itself), make and git; test-peers and bench-peers also need Debian's mail software, strace and root.
export GOTOOLCHAIN = auto
export CGO_ENABLED ?= 0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s

.PHONY: run build install test check soak test-peers bench bench-backlog bench-peers

# The whole product against a toy internet on loopback.
run: build
	./bin/homing demo $(ARGS)

build:
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/homing ./cmd/homing

# As root, after a build: to /usr/local/bin, with a user and a unit of systemd.
install:
	@./scripts/install

test:
	go test -timeout 20m ./...

check:
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo 'these files want gofmt -w'; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	CGO_ENABLED=1 go test -race -timeout 30m ./...
	./scripts/fuzz $(FUZZTIME)

# Against mail software of others, which wants root; scripts/peers fetches some of it.
test-peers:
	HOMING_PEERS=1 go test -count=1 ./integration/peers
	HOMING_PEERS=1 go test -count=1 -run Peer ./integration
	go -C integration/receivers test -count=1 .

# The server killed 500 times under mixed load (KILLS=n for another number).
KILLS ?= 500
soak:
	HOMING_SOAK=$(KILLS) go test -count=1 -timeout 2h -v -run 'TestNothingIsLostWhenTheServerIsKilled' ./integration/

# HOMING_BACKLOG=10000,100000,1000000 says how many recipients wait (a million takes minutes).
bench:
	go test -run '^$$' -bench . -benchmem ./...

# The server with a long queue beside itself with an empty one (ARGS='-queued 1000000').
bench-backlog: build
	go run ./integration/backlogbench -bin ./bin/homing $(ARGS)

# The relay job beside Debian's Postfix, near and over 50 ms of round trip; only the ratios count.
bench-peers: build
	go run ./integration/relaybench -bin ./bin/homing $(ARGS)
