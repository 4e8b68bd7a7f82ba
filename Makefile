.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

SANDBOX := target/sandbox
SPEED ?= 60
HELM ?= target/tools/helm
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
	PATH="$(CURDIR)/target/tools:$$PATH" RUST_LOG=debug FAULT_SEED=$$(git rev-parse HEAD 2>/dev/null || echo none) cargo test --workspace 2>&1 | tee target/test-output.log
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

.PHONY: bench-verdict
bench-verdict: build ## What the verdict does beside what other tools do, by simulation, into docs/verdict-tables.md; fails where a bound is broken; SAMPLE=1: a part, in minutes
	target/debug/bench_verdict $(if $(SAMPLE),--sample) | tee $(if $(SAMPLE),target,docs)/verdict-tables.md

# Without pulling anything: the same files that deploy/Dockerfile puts into the image. A binary of more than 20 MB is too large.
.PHONY: image
image: ## The controller's image from this machine's release build, with buildah: localhost/orchestra-controller
	cargo build --release --locked -p orchestra-controller
	@size=$$(stat -c %s target/release/orchestra-controller); echo "the binary has $$size bytes"; test $$size -le 20000000
	rm -rf target/rootfs && deploy/rootfs.sh target/release/orchestra-controller target/rootfs
	container=$$(buildah from scratch) && buildah copy --quiet $$container target/rootfs / \
	  && buildah config --user 65532:65532 --entrypoint '["/orchestra-controller"]' $$container \
	  && buildah commit --quiet --timestamp 0 --rm $$container localhost/orchestra-controller

.PHONY: clients
clients: ## Install Google's Python clients into target/clients, for make test to try on the sandbox
	python3 -m venv target/clients
	target/clients/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt

.PHONY: tools
tools: $(HELM) ## Install Helm and kubectl into target/tools

$(HELM):
	python3 tests/tools/fetch.py $(dir $(HELM))

.PHONY: crds
crds: ## Write crds/*.yaml from the types
	cargo run -q -p orchestra-crds --bin crdgen -- crds

.PHONY: docs-plots
docs-plots: build ## Draw the pictures of docs/verdict.md anew
	for name in healthy broken; do \
	  target/debug/kubectl-orchestra backtest --trace docs/traces/$$name.csv --plot docs/verdict-$$name.svg >/dev/null || exit 1; done

.PHONY: generate
generate: crds $(HELM) ## Write all that is made from the code: crds/, references, dashboards, alerts, parts of the chart, deploy/
	cargo run -q -p orchestra-tests --bin generate -- .
	$(call render,deploy/controller.yaml)

# The manifest for plain kubectl: what the chart makes with its defaults, without Helm's own labels.
define render
{ printf '%s\n' '# Made from charts/orchestra by `make generate`; do not edit. After the CRDs: kubectl apply -f crds/' \
  '# In Google Cloud it acts as the Kubernetes service account below: docs/install.md.' \
  'apiVersion: v1' 'kind: Namespace' 'metadata:' '  name: orchestra-system'; \
  $(HELM) template orchestra charts/orchestra --namespace orchestra-system --set crds.enabled=false \
  | sed -e '/helm.sh\/chart:/d' -e '/managed-by: Helm/d' -e '/^# Source:/d'; } > $(1)
endef

.PHONY: lint
lint: lint-rust lint-fmt lint-clippy lint-deps lint-generated lint-chart lint-alerts lint-deny ## Formatting, clippy, dependency direction, generated files, chart, alerts, licences

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
lint-generated: $(HELM)
	@rm -rf target/generated && mkdir -p target/generated/crds target/generated/deploy
	@cargo run -q -p orchestra-crds --bin crdgen -- target/generated/crds
	@cargo run -q -p orchestra-tests --bin generate -- target/generated
	@$(call render,target/generated/deploy/controller.yaml)
	@cd target/generated && find . -type f | while read -r file; do \
	  diff -u "../../$$file" "$$file" || { echo "$$file is stale: make generate" >&2; exit 1; }; done
	@echo "generated files: ok"

.PHONY: lint-chart
lint-chart: $(HELM)
	@for values in charts/orchestra/ci/*.yaml; do $(HELM) lint --strict --quiet charts/orchestra -f $$values || exit 1; done
	@echo "chart: ok"

# Prometheus' own tool reads the alerts, and tries each in a case where it fires and one where it is silent.
.PHONY: lint-alerts
lint-alerts:
	@if command -v promtool >/dev/null; then \
	  promtool check rules dashboards/alerts.yaml >/dev/null && promtool test rules dashboards/alerts_test.yaml >/dev/null \
	  || { promtool test rules dashboards/alerts_test.yaml; exit 1; }; echo "alerts: ok"; \
	else echo "alerts: not checked, promtool is not there (Debian has it in the package prometheus)"; fi

.PHONY: lint-deny
lint-deny:
	cargo deny check bans licenses sources
