# Everything a person or a machine does with this tree. Each target does its own set-up; Go, make and a C compiler (for the
# race detector) are all it needs.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 1m
GOBUILD  := go build -trimpath -buildvcs=false -ldflags "-X sealpost/cli.version=$(VERSION)"
TARGETS  := linux/amd64 linux/arm64 windows/amd64 windows/arm64 darwin/arm64
# SQLite and its C library, translated to Go, the parser of TOML, and the arithmetic of keys and passphrases run
# without the race detector in them: no memory that our goroutines share is read there alone. Stories need a
# quarter less of the CPU. A package that uses atomics, as Badger does, stays out of the list: the linker takes
# one copy of an instance of a generic, and the detector would miss the order that it makes elsewhere.
NO_RACE  := modernc.org/sqlite/lib modernc.org/libc modernc.org/memory github.com/BurntSushi/toml crypto/internal/fips140/bigmod \
            golang.org/x/crypto/scrypt $(addprefix crypto/internal/fips140/,mlkem edwards25519/... nistec/...)
RACE     := -race $(patsubst %,-gcflags=%=-race=false,$(NO_RACE))
# The stories run a hub, which is Linux's; everything else must hold on Windows too.
PORTABLE := $$(go list ./... | grep -v -e /e2e -e /bench)

# A Debian version begins with a digit and grows; an untagged tree counts as before the first release.
DEB_ARCH    ?= $(shell go env GOARCH)
DEB_VERSION ?= $(subst -,+,$(if $(filter v%,$(VERSION)),$(patsubst v%,%,$(VERSION)),0.0.0+git$(shell git log -1 --format=%cd --date=format:%Y%m%d%H%M 2>/dev/null).$(VERSION)))

.PHONY: screenshots deb zip services wine shares build demo test bench bench-small bench-compare soak fuzz lint cross deps clean

build: ## the one binary, bin/sealpost
	$(GOBUILD) -o bin/sealpost .

demo: build ## a hub, four labs and three research centres on this machine, until Ctrl-C
	bin/sealpost demo

# The stories take the longest, and go first. Tests wait for a third of their time, so one package more than
# there are cores runs at a time.
TEST     := -p $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))) -parallel 4 -timeout 35m ./e2e ./...

test: ## every test, with the race detector; make lint vets
	@echo 'go test -vet=off $(RACE) $(TEST)'
	@{ SEALPOST_TEST_FLAGS="$(RACE)" go test -vet=off $(RACE) -v $(TEST) 2>&1; echo "exit $$?"; } | awk -f .ci/tests.awk

bench: ## the whole of sealpost beside the ceiling of the CPU, and then the benchmarks of its parts; BENCHFLAGS="-size 256MiB" and the like
	mkdir -p bin
	go build -trimpath -o bin/bench ./bench/e2e
	bin/bench -json bin/bench.json -table bin/bench.txt -svg bin/bench.svg $(BENCHFLAGS)
	go test -run '^$$' -bench . -benchmem -timeout 60m ./...
	go -C bench/jetstream test -run '^$$' -bench . -benchtime 20000x -timeout 30m

bench-small: ## 100,000 files of 4 KiB dropped at once, for one and for three recipients, beside the ceiling of the CPU
	mkdir -p bin
	go build -trimpath -o bin/bench ./bench/e2e
	bin/bench -only steps,small -small 100000 $(BENCHFLAGS)

bench-compare: ## the same drop through sealpost, rsync with age, sftp, Syncthing and NNCP, as far as they are installed
	mkdir -p bin
	go build -trimpath -o bin/bench ./bench/e2e
	bin/bench -exec bench/compare/compare.sh $(BENCHFLAGS)

soak: ## the long forms of the stories and fault tests; twenty minutes and more
	SEALPOST_SOAK=1 go test -count=1 -timeout 0 -v ./e2e/... ./spool/... ./agent/... ./envelope

fuzz: ## every fuzz target for FUZZTIME, two at a time
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sort | sed 's|^\(.*\)/[^/]*:func \(.*\)$$|\1 \2 $(FUZZTIME)|' | \
	  xargs -P 2 -L 1 .ci/fuzz

lint: ## formatting, vet and staticcheck, for Linux and for Windows
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt would change: $$unformatted"; exit 1; }
	go vet ./...
	go -C bench/jetstream vet ./...
	GOOS=windows go vet $(PORTABLE)
	staticcheck=$$(go tool -n staticcheck) && $$staticcheck ./... && GOOS=windows $$staticcheck $(PORTABLE)

cross: ## builds for every system that sealpost runs on; what they make is thrown away
	@set -e; for target in $(TARGETS); do \
	  echo "==> build for $$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 $(GOBUILD) -o /dev/null .; \
	done

deps: ## the modules, checked against go.sum
	go mod download
	go mod verify

deb: ## the Debian package, bin/sealpost_VERSION_ARCH.deb
	mkdir -p bin/package
	GOOS=linux GOARCH=$(DEB_ARCH) CGO_ENABLED=0 $(GOBUILD) -o bin/package/sealpost .
	go -C packaging run -mod=mod ./manual "$(CURDIR)/bin/package" # -mod=mod: follows the program's own go.mod
	cp CHANGELOG.md bin/package/changelog
	go -C packaging run ./licences "$(CURDIR)" "$(CURDIR)/bin/package/third-party-licences" linux $(DEB_ARCH)
	gzip -9nf bin/package/man1/*.1 bin/package/changelog bin/package/third-party-licences
	cd packaging && DEB_VERSION="$(DEB_VERSION)" DEB_ARCH="$(DEB_ARCH)" go tool nfpm package --packager deb --target ../bin/

zip: ## the Windows agent, bin/sealpost_VERSION_windows_ARCH.zip
	mkdir -p bin/package/windows
	GOOS=windows GOARCH=$(DEB_ARCH) CGO_ENABLED=0 $(GOBUILD) -o bin/package/windows/sealpost.exe .
	go -C packaging run ./licences "$(CURDIR)" "$(CURDIR)/bin/package/windows/third-party-licences.txt" windows $(DEB_ARCH)
	go -C packaging run ./zip "$(CURDIR)/bin/sealpost_$(DEB_VERSION)_windows_$(DEB_ARCH).zip" \
	  ../bin/package/windows/sealpost.exe ../docs/services.md ../config/agent.example.toml ../LICENSE \
	  ../bin/package/windows/third-party-licences.txt

screenshots: ## the pictures of docs/console.md, from a real browser; needs chromium
	mkdir -p docs/console
	go test ./hub/console -count=1 -run TestInABrowser -screenshots "$(CURDIR)/docs/console"

services: ## the services under a real systemd, in namespaces of their own; needs root
	SEALPOST_SYSTEMD=1 go test -count=1 -timeout 15m -v ./e2e/systemd

wine: ## the agent as sealpost.exe under Wine, against a hub on Linux; SEALPOST_WINE names Wine, see e2e/wine/chroot.sh
	go test -count=1 -timeout 15m -v ./e2e/wine

shares: ## trays and inboxes on NFSv4 and SMB, in a virtual machine; SEALPOST_SHARES names one, see e2e/shares/machine.sh
	go test -count=1 -timeout 35m -v ./e2e/shares

clean:
	rm -rf bin sealpost-demo
