.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

SANDBOX := target/sandbox
SPEED ?= 60
SEEDS ?= 200
FIRST ?= 0
export SEEDS FIRST
SECRETS := --secret cherry-ai-project/openai-api-key --secret cherry-ai-project/anthropic-api-key

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 12

.PHONY: build
build: ## Build everything
	cargo build --workspace --bins

.PHONY: demo
demo: ## Three environments, a good release that promotes, bad ones that roll back
	cargo build -p orchestra-controller -p orchestra-sandbox
	target/debug/orchestra-sandbox demo --speed $(SPEED)

.PHONY: sandbox
sandbox: build ## A cluster, a cloud and a controller that stay up, for kubectl: KUBECONFIG=target/sandbox/kubeconfig
	target/debug/orchestra-sandbox serve --kubeconfig $(SANDBOX)/kubeconfig --speed $(SPEED) --with-controller $(SECRETS)

.PHONY: test
test: build ## Everything that needs no cluster; fails too when a secret's value is anywhere in the output
	mkdir -p target
	RUST_LOG=debug FAULT_SEED=$$(git rev-parse HEAD 2>/dev/null || echo none) cargo test --workspace 2>&1 | tee target/test-output.log
	@if grep -q 'sandbox-secret-value-[a-z]' target/test-output.log; then echo 'a secret is in the test output' >&2; exit 1; fi

.PHONY: e2e
e2e: build ## The shipped manifests and controller against the cluster of KUBECONFIG; without it, the sandbox's
	target/debug/e2e

.PHONY: faults
faults: ## Every fault at every call of every scenario; make test tries a sample that changes with the commit
	ALL_FAULTS=1 cargo test -p orchestra-tests --test simulated faults -- --nocapture

.PHONY: simulate
simulate: ## Random releases, edits, faults and time: make simulate SEEDS=2000 [FIRST=seed]
	cargo run -q -p orchestra-tests --bin simulate

.PHONY: bench
bench: build ## 10,000 objects and 1,000 services: what calls take, and what the controller needs
	target/debug/bench

.PHONY: clients
clients: ## Install Google's Python clients into target/clients, for make test to try on the sandbox
	python3 -m venv target/clients
	target/clients/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt

.PHONY: crds
crds: ## Write crds/*.yaml from the types
	cargo run -q -p orchestra-crds --bin crdgen -- crds

.PHONY: lint
lint: lint-rust lint-fmt lint-clippy lint-deps lint-generated lint-deny ## Formatting, clippy, dependency direction, generated files, licences

# The Rust version that is promised is the one that everything here is tried with.
.PHONY: lint-rust
lint-rust:
	@promised=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	  grep -q "^channel = \"$$promised\(\.[0-9]*\)\?\"" rust-toolchain.toml && rustc --version | grep -q "^rustc $$promised\." \
	  || { echo "Cargo.toml promises Rust $$promised, and another is used: see rust-toolchain.toml" >&2; exit 1; }
	@echo "Rust version: ok"

.PHONY: lint-fmt
lint-fmt:
	cargo fmt --all --check

.PHONY: lint-clippy
lint-clippy:
	cargo clippy --workspace --all-targets -- -D warnings

# The decisions must not be able to do I/O, the Google SDK has one door, and production holds no sandbox.
.PHONY: lint-deps
lint-deps:
	@for crate in orchestra-crds orchestra-planner; do \
	  if cargo tree -q -p $$crate -e normal --prefix none | grep -E '^(tokio|hyper|reqwest|rand|google-cloud)[ -]'; then \
	    echo "$$crate must not depend on these" >&2; exit 1; fi; done
	@if cargo tree -q -p orchestra-controller -e normal --prefix none | grep -E '^(orchestra-(sandbox|tests)|kubectl-orchestra) '; then \
	  echo "the controller must not depend on these" >&2; exit 1; fi
	@if grep -lE '^google-cloud' {crds,planner,controller,sandbox,cli,tests}/Cargo.toml; then \
	  echo "only cloud/ may name the Google SDK" >&2; exit 1; fi
	@echo "dependency direction: ok"

.PHONY: lint-generated
lint-generated:
	@mkdir -p target/crds && cargo run -q -p orchestra-crds --bin crdgen -- target/crds
	@diff -u crds/orchestraenvironments.yaml target/crds/orchestraenvironments.yaml \
	  && diff -u crds/rollouts.yaml target/crds/rollouts.yaml \
	  || { echo "crds/*.yaml is stale: make crds" >&2; exit 1; }
	@echo "generated files: ok"

.PHONY: lint-deny
lint-deny:
	cargo deny check bans licenses sources
