# The chores. `make demo` shows the product, `make test` proves it.
.PHONY: demo test lint guests simulate bench bench-quick

demo:    ## a remittance from order to credited card, through every real layer
	@.ci/setup build
	@cargo build --locked --bins
	@target/debug/demo

test:    ## every test of the workspace, against real parts
	@.ci/setup test
	@.ci/test

lint:    ## formatting, lints as errors, licences and sources of dependencies
	@.ci/setup build
	cargo fmt --all --check
	@for guest in remittance hostile; do cargo fmt --check --manifest-path guest-programs/$$guest/Cargo.toml || exit 1; done
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --workspace --lib --test planted --features crashpoint/failpoints,simulation/planted-bugs -- -D warnings
	cargo fmt --check --manifest-path tests/engines/Cargo.toml
	cargo clippy --locked --manifest-path tests/engines/Cargo.toml --target-dir target/engines --all-targets -- -D warnings
	@.ci/deny

guests:  ## rebuild the guest templates under guest-programs/prebuilt
	@.ci/setup guests
	@guest-programs/build.sh
	@guest-programs/hostile/build.sh

simulate: ## histories in which everything goes wrong: SEEDS=n FROM=n, or SEED=n for one, told in full; DATABASE=postgres
	@.ci/setup build
	@cargo run --locked --release -q -p simulation --bin simulate -- $(if $(SEED),--seed $(SEED),--from $(or $(FROM),0) --seeds $(or $(SEEDS),20000)) $(if $(DATABASE),--database $(DATABASE))

bench:   ## measure against the named references, into target/bench.json; ONLY=name for one part
	@.ci/setup bench
	@ONLY=$(ONLY) .ci/bench

bench-quick: ## the short form, and what got worse by more than a fifth; KEEP=1 keeps its ratios
	@.ci/setup bench
	@ONLY=$(ONLY) KEEP=$(KEEP) .ci/bench quick
