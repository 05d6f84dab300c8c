# demo: everything from a fresh machine to a container whose log line arrives in syslog. test: everything and all tests.
SHIM_TARGET := x86_64-unknown-linux-gnu
.PHONY: setup shim demo test
setup:
	@missing=""; for p in gcc:gcc busybox:busybox-static nft:nftables ip:iproute2 docker-registry:docker-registry rsyslogd:rsyslog skopeo:skopeo ps:procps; do \
	  command -v $${p%%:*} >/dev/null || missing="$$missing $${p##*:}"; done; \
	if [ -n "$$missing" ]; then apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends $$missing; fi
shim:
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --locked --profile shim -p gantry-shim --target $(SHIM_TARGET)
	mkdir -p target/debug && cp target/$(SHIM_TARGET)/shim/gantry-shim target/debug/gantry-shim.new && mv target/debug/gantry-shim.new target/debug/gantry-shim
demo: setup shim
	cargo build --locked -p gantryd -p gantry
	tests/demo.sh target/debug
test: setup shim
	cargo build --locked -p gantryd -p gantry
	cargo test --locked -p gantry-config -p gantry-sandbox -p gantry-runtime -p gantry-storage -p gantry-registry -p gantry-log -p gantry-actors -p gantry -p gantryd -p gantry-network
	cargo test --locked -p gantry-tests -- --test-threads=6
	tests/demo.sh target/debug
