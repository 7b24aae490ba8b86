# Thin: every target is one command that can be run by hand. `make check` never writes.
# SEED=n replays one history of the simulator, SEEDS=n runs that many.

SIM = cargo run --quiet --release --package dormouse-sim --
ifdef SEED
SIM_ARGS = --seed $(SEED)
else
SIM_ARGS = --seeds $(or $(SEEDS),1000)
endif

.PHONY: check fix test sim demo bench full

check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings

fix:
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all

test:
	cargo test --workspace

sim:
	$(SIM) $(SIM_ARGS)

demo:
	cargo run --quiet --release -- demo

bench:
	cargo bench --workspace

full:
	FULL=1 SEEDS=50000 .ci/run
