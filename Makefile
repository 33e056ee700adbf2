.DEFAULT_GOAL := help
# Cargo locks its directory and uses all cores: side by side gains nothing.
.NOTPARALLEL:
.PHONY: help setup test soak bench lint deny core ci clean

# Where tests find the real services. Tests make the same choice themselves
# when these are not set.
STACK = DRIFTLINE_TEST_PG_BIN="$$(tests/setup/postgres.sh)" \
	DRIFTLINE_TEST_LOCALSTACK="$(CURDIR)/localstack/start.sh"
# Library, program, integration and documentation tests of all crates.
# Benchmarks are not among them.
TEST = cargo test --locked --no-fail-fast --workspace --features failpoints
# Seeds of the simulation, optimised: it needs no driver.
SEEDS = cargo test --locked --no-fail-fast --release --no-default-features --test simulation seeds_

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

setup: ## Install what tests need: PostgreSQL, PgBouncer and LocalStack
	@tests/setup/postgres.sh >/dev/null
	@tests/setup/pgbouncer.sh >/dev/null
	@localstack/setup.sh

test: setup ## Run all tests, against a real PostgreSQL and LocalStack
	$(STACK) $(TEST)
	DRIFTLINE_SEEDS=10000 $(SEEDS)

soak: setup ## Run the tests optimised, and those that repeat for much longer
	DRIFTLINE_SOAK=1 $(STACK) $(TEST) --release

bench: setup ## Measure the hybrid repository, drift, audits, and scale
	$(STACK) cargo bench --locked --bench hybrid --bench drift --bench scale

lint: ## Check format, lints and documentation
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --all-features

# cargo-deny is not installed with the rest: its project offers it built, or `cargo install --locked cargo-deny`.
deny: ## Check the dependencies: licences, versions, sources, advisories
	cargo deny --locked check licenses bans sources
	@if cargo deny fetch db; then cargo deny --locked check advisories; \
	else echo 'the advisories are out of reach, and were not looked at' >&2; fi

core: ## Build without default features, and without any driver
	cargo build --locked --no-default-features
	@tree=$$(cargo tree --locked --no-default-features -e normal --prefix none) || exit 1; \
	if printf '%s\n' "$$tree" | grep -E '^(sqlx|aws)'; then \
		echo 'error: the core depends on a driver' >&2; exit 1; \
	fi

ci: lint core test ## Everything that must pass before a merge

clean: ## Remove what was built, and the installed LocalStack
	cargo clean
