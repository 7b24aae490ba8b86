#!/usr/bin/env bash
# Asks the engine and other implementations of cron the same questions, and explains every difference.
#
#   run.sh [--count N] [--seed N]   a sample, in less than a minute; for CI
#   run.sh --full                   100,000 questions, every change of every zone's clock; writes docs/differential.md
#
# What it needs from PyPI and npm it installs into target/differential; without python3, npm or a network it says so
# and is skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/tests/differential
work=$PWD/target/differential

count=3000 seed=1 full=()
while [ $# -gt 0 ]; do
    case $1 in
    --full) full=(--full) count=100000 ;;
    --count) count=$2 && shift ;;
    --seed) seed=$2 && shift ;;
    *) echo "usage: $0 [--full] [--count N] [--seed N]" >&2 && exit 2 ;;
    esac
    shift
done

skip() {
    echo "SKIPPED: the comparison with other implementations of cron: $1"
    exit 0
}
for program in python3 npm node; do
    command -v "$program" >/dev/null || skip "there is no $program"
done
mkdir -p "$work"
if ! cmp -s "$here/requirements.txt" "$work/requirements.txt"; then
    python3 -m venv "$work/venv" >/dev/null 2>&1 || skip "python3 has no venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >"$work/pip.log" 2>&1 ||
        skip "pip cannot install $(tr '\n' ' ' <"$here/requirements.txt")"
    cp "$here/requirements.txt" "$work/requirements.txt"
fi
if ! cmp -s "$here/package.json" "$work/package.json" || [ ! -d "$work/node_modules/cron-parser" ]; then
    cp "$here/package.json" "$work/package.json"
    npm install --prefix "$work" --no-audit --no-fund --silent >"$work/npm.log" 2>&1 || {
        rm "$work/package.json"
        skip "npm cannot install cron-parser"
    }
fi

if [ ${#full[@]} -gt 0 ]; then
    folder=$work/full page=$PWD/docs/differential.md
else
    folder=$work/sample page=$work/sample.md
fi
mkdir -p "$folder"
# Only the database of PyPI counts, not the machine's.
export PYTHONTZPATH=
python="$work/venv/bin/python"
# With these others named too, the libraries have the features that the release build of all gave them.
cargo build --quiet --release -p dormouse -p dormouse-sim -p dormouse-large -p dormouse-engine --example next_times
engine=${CARGO_TARGET_DIR:-$PWD/target}/release/examples/next_times

"$python" "$here/generate.py" --count "$count" --seed "$seed" --into "$folder" "${full[@]}"
"$engine" <"$folder/questions.jsonl" >"$folder/ours.jsonl"
"$engine" <"$folder/offsets.jsonl" >"$folder/ours-offsets.jsonl"
node "$here/ask_cron_parser.js" "$folder" &
waiting=$!
"$python" "$here/ask_croniter.py" "$folder"
"$python" "$here/ask_apscheduler.py" "$folder"
wait "$waiting"
"$python" "$here/compare.py" "$folder" "$page" docs/schedules.md
