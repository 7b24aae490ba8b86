# Thin: every target is one command that can be run by hand. `make check` never writes to the sources.
# SEED=n replays one history of the simulator, SEEDS=n runs that many. SCALE=0.01 makes the large runs small, COUNTS=1
# judges only what they count, LARGE="sleep flood" runs only these.

SIM = cargo run --quiet --release --package dormouse-sim --
ifdef SEED
SIM_ARGS = --seed $(SEED)
else
SIM_ARGS = --seeds $(or $(SEEDS),1000)
endif

.PHONY: check fix test sim large demo bench bench-quick full

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	.ci/deny

fix:
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

test:
	cargo test --workspace

sim:
	$(SIM) $(SIM_ARGS)

large:
	cargo build --quiet --release --package dormouse --package dormouse-large
	cargo run --quiet --release --package dormouse-large -- --scale $(or $(SCALE),1) $(if $(COUNTS),--counts) $(LARGE)

demo:
	cargo run --quiet --release -- demo

bench:
	cargo bench --package dormouse-benches

bench-quick:
	cargo bench --package dormouse-benches -- --quick

full:
	FULL=1 SEEDS=50000 .ci/run
