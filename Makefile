# demo: everything from a fresh machine to a container whose log line arrives in syslog. test: everything and all tests.
# chaos: networks under random work and kills, longer than test: CHAOS_SEQUENCES sequences, 200 containers that know each other.
# chaos-logs: 20 containers with three log drivers each for CHAOS_SECONDS, while daemon, actors, receivers and disk fail; every line accounted for.
# fuzz: hostile input, FUZZ_SECONDS for each target. lint: formatting, clippy, licences and sources. bench: gantry beside dockerd. vm: cgroup v2, in a virtual machine.
# install: what `make release` built, and systemd's units, under DESTDIR and PREFIX.
SHIM_TARGET := x86_64-unknown-linux-gnu
DENY_VERSION := 0.20.2
FUZZ_VERSION := 0.13.2
FUZZ_SECONDS := 60
FUZZ_TARGETS := archive challenge dns dockerfile layer localfile logoptions manifest patterns reference
FLUENT_VERSION := 1.0.10
CHAOS_SEQUENCES := 500
CHAOS_KILLS := 100
CHAOS_NEIGHBOURS := 200
CHAOS_SECONDS := 600
GELF_VERSION := 2.0.0
OTLP_VERSION := 1.44.0
SNAPPY_VERSION := 2.14.0
MOTO_VERSION := 5.2.5
GCLOUD_LOGGING_VERSION := 3.17.0
PROMETHEUS_VERSION := 0.26.0
PREFIX := /usr/local
BUILT := target/release
.PHONY: setup shim fault build demo test chaos chaos-logs fuzz lint bench vm release install
setup:
	@missing=""; for p in gcc:gcc busybox:busybox-static nft:nftables ip:iproute2 docker-registry:docker-registry htpasswd:apache2-utils rsyslogd:rsyslog openssl:openssl skopeo:skopeo ps:procps runc:runc node:nodejs npm:npm journalctl:systemd stress:stress mkfs.xfs:xfsprogs docker-compose:docker-compose curl:curl perl:perl git:git umoci:umoci bsdtar:libarchive-tools bzip2:bzip2 xz:xz-utils python3:python3 pip3:python3-pip; do \
	  command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; done; \
	ls /usr/lib/*/rsyslog/lmnsd_gtls.so > /dev/null 2>&1 || missing="$$missing rsyslog-gnutls"; \
	[ -e /usr/share/doc/libivykis0 ] || missing="$$missing libivykis0"; [ -e /usr/share/doc/libnet1 ] || missing="$$missing libnet1"; \
	if [ -n "$$missing" ]; then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing; fi
	@# Its package and rsyslog's exclude each other: it is only unpacked.
	@[ -d target/receivers/syslog-ng ] || (mkdir -p target/receivers/deb && cd target/receivers/deb && apt-get download -q syslog-ng-core && dpkg-deb -x syslog-ng-core_*.deb ../syslog-ng)
	@[ -d target/receivers/node_modules/@fluent-org/logger ] || npm install --silent --no-audit --no-fund --prefix target/receivers @fluent-org/logger@$(FLUENT_VERSION)
	@[ -d target/receivers/node_modules/graygelf ] || npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/receivers graygelf@$(GELF_VERSION)
	@[ -d target/receivers/python/cramjam ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target target/receivers/python opentelemetry-proto==$(OTLP_VERSION) cramjam==$(SNAPPY_VERSION)
	@[ -d target/receivers/python/prometheus_client ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target target/receivers/python prometheus-client==$(PROMETHEUS_VERSION)
	@[ -d target/receivers/moto/moto ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target target/receivers/moto 'moto[server]==$(MOTO_VERSION)'
	@[ -d target/receivers/gcp/google ] || pip3 install --quiet --disable-pip-version-check --root-user-action=ignore --target target/receivers/gcp google-cloud-logging==$(GCLOUD_LOGGING_VERSION)
shim:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --profile shim -p gantry-shim --target $(SHIM_TARGET)
	mkdir -p target/debug && cp target/$(SHIM_TARGET)/shim/gantry-shim target/debug/gantry-shim.new && mv target/debug/gantry-shim.new target/debug/gantry-shim
build: shim
	cargo build --locked -p gantryd -p gantry
# The daemon in which panics can be armed, under a name of its own; the ordinary one then comes back without compiling.
fault: shim
	cargo build --locked -p gantryd -p gantry --features gantryd/fault
	mv target/debug/gantryd target/debug/gantryd-fault
	cargo build --locked -p gantryd -p gantry
demo: setup build
	tests/demo.sh target/debug
test: setup fault
	@command -v docker >/dev/null || apt-get install -yq --no-install-recommends docker-cli || \
	  { echo "the end-to-end tests drive Docker's command line: install docker-cli or docker-ce-cli"; exit 1; }
	cargo test --locked --workspace --exclude gantry-tests --no-fail-fast
	@# The shim's own tests left theirs, linked dynamically, in its place.
	$(MAKE) shim
	cargo test --locked -p gantry-tests --no-fail-fast -- --test-threads=6
	tests/demo.sh target/debug
chaos: setup build
	GANTRY_KILLS=$(CHAOS_KILLS) cargo test --locked -p gantry-tests --test network_kills -- --nocapture
	GANTRY_NEIGHBOURS=$(CHAOS_NEIGHBOURS) cargo test --locked -p gantry-tests --test network_scale -- --nocapture
	GANTRY_SEQUENCES=$(CHAOS_SEQUENCES) cargo test --locked -p gantry-tests --test network_sequences -- --nocapture
chaos-logs: setup fault
	CHAOS_SECONDS=$(CHAOS_SECONDS) cargo test --locked -p gantry-tests --test chaos_logs -- --nocapture
# What it finds new goes to tests/fuzz/found; what breaks something, to tests/fuzz/artifacts: mend it, and commit the input to the corpus.
fuzz: setup
	command -v cargo-fuzz >/dev/null || cargo install --locked --version $(FUZZ_VERSION) cargo-fuzz
	@for t in $(FUZZ_TARGETS); do mkdir -p tests/fuzz/found/$$t; \
	  cargo fuzz run --fuzz-dir tests/fuzz -s none $$t tests/fuzz/found/$$t tests/fuzz/corpus/$$t -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=10 || exit 1; done
lint:
	cargo fmt --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	command -v cargo-deny >/dev/null || cargo install --locked --version $(DENY_VERSION) cargo-deny
	cargo deny --all-features check bans licenses sources
bench: shim
	cargo build --locked --release -p gantryd
	cp target/$(SHIM_TARGET)/shim/gantry-shim target/release/
	tests/bench/run
vm: setup build
	@for p in qemu-system-x86_64:qemu-system-x86 cpio:cpio depmod:kmod mkfs.xfs:xfsprogs; do \
	  command -v $${p%%:*} >/dev/null || apt-get install -yq --no-install-recommends $${p##*:}; done
	tests/vm/run target/debug
release: shim
	cargo build --locked --release -p gantryd -p gantry
	cp target/$(SHIM_TARGET)/shim/gantry-shim target/release/
install:
	@for p in gantryd gantry gantry-shim; do test -x $(BUILT)/$$p || { echo "$(BUILT)/$$p is missing: make release"; exit 1; }; done
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(BUILT)/gantryd $(BUILT)/gantry $(BUILT)/gantry-shim $(DESTDIR)$(PREFIX)/bin
	sed 's|@BINDIR@|$(PREFIX)/bin|' config/gantry.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/gantry.service
	install -m 644 config/gantry.socket $(DESTDIR)$(PREFIX)/lib/systemd/system
	@share=$(DESTDIR)$(PREFIX)/share; install -d $$share/bash-completion/completions $$share/zsh/site-functions $$share/fish/vendor_completions.d; \
	$(BUILT)/gantry completion bash > $$share/bash-completion/completions/gantry && \
	$(BUILT)/gantry completion zsh > $$share/zsh/site-functions/_gantry && \
	$(BUILT)/gantry completion fish > $$share/fish/vendor_completions.d/gantry.fish
