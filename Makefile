# The commands of the project. `make test` installs what it needs.
export INSTA_UPDATE ?= no
cargo := cargo --locked

.PHONY: demo test lint e2e bench

demo: ## the real webhook on built-in samples, no cluster
	$(cargo) run --quiet -- demo

test: ## all tests, on a fresh machine too
	tests/run

lint: ## format, clippy, docs
	cargo fmt --check
	$(cargo) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(cargo) doc --no-deps

e2e: ## the real API server alone
	set -e; environment="$$(tests/setup)"; eval "$$environment"; $(cargo) test --test cluster

bench: ## the numbers of README.md
	set -e; environment="$$(tests/setup)"; eval "$$environment"; $(cargo) bench --bench validate --bench agent --bench compare --bench generate
