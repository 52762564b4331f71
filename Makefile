# The commands that the README names.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.PHONY: run demo test lint bench screenshots build

RELEASE := target/release
# Starts every command line it is given; when one ends, or Ctrl-C comes, all end.
TOGETHER := together() { trap 'kill $$(jobs -p) 2>/dev/null || true; wait' EXIT; trap 'exit 130' INT TERM; \
	for line in "$$@"; do $$line & done; wait -n; }

# This host, scraped by a collector on the embedded store: prints the address and the first sign-in.
run: build
	$(TOGETHER)
	together "$(RELEASE)/mect-exporter" "$(RELEASE)/mect-collector serve --config config/run.toml"

# A collector with 200 simulated servers, some of them slow, failing or flapping.
demo: build
	$(TOGETHER)
	mkdir -p data/demo
	echo '[]' > data/demo/targets.json
	together "$(RELEASE)/mect-collector simulate --servers 200 --targets data/demo/targets.json" \
		"$(RELEASE)/mect-collector serve --config config/demo.toml"

build:
	echo '== build'
	cargo build --release --locked --package mect-exporter --package mect-collector

# Every test, against the real programs that the tests start.
test:
	echo '== what the tests need'
	.ci/install
	echo '== build'
	cargo build --workspace --locked
	echo '== tests'
	cargo test --workspace --locked --no-fail-fast

lint:
	echo '== format'
	cargo fmt --all --check
	echo '== clippy'
	cargo clippy --workspace --all-targets --locked -- -D warnings
	echo '== rustdoc'
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked
	echo '== licences and sources of dependencies'
	if cargo deny --version >/dev/null 2>&1; then
		cargo fetch --locked
		cargo deny --offline --config .deny.toml check bans licenses sources
	else
		echo 'not checked: cargo-deny is not installed (cargo install cargo-deny)'
	fi

# Ratios against peers in the same run. Fails when one misses its goal.
bench:
	echo '== what the benches need'
	.ci/install bench
	cargo bench --workspace --locked --no-fail-fast

# A picture of every page in light, dark and as on a phone.
SCREENSHOTS := target/screenshots
screenshots:
	echo '== what the browser needs'
	.ci/install
	echo '== $(SCREENSHOTS)'
	SCREENSHOTS_TO="$(abspath $(SCREENSHOTS))" cargo test --package mect-collector --locked --test browser every_page
