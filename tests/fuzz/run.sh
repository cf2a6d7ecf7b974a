#!/usr/bin/env bash
#
# Runs every fuzz target of a build for a while, each from its seeds, and says how it went:
#
#   tests/fuzz/run.sh SECONDS BUILDDIR
#
# One line per target: its name, how many inputs it ran, ok or failed. A target that finds something
# prints its output, with the input in base64. Exit status 1 when one has failed.
set -euo pipefail

if [ $# -ne 2 ]; then
	sed -n '3,8s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi
seconds=$1
build=$(cd "$2" && pwd)
seeds=$(cd "$(dirname "$0")" && pwd)/seeds
JOBS=$(nproc)
RSS_LIMIT_MB=2048
INPUT_TIMEOUT_S=20
MAX_INPUT_BYTES=8192

# Memory rather than a disk, where there is: some targets work on small files.
base=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || base=/dev/shm
work=$(mktemp -d "$base/larder-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT

# run_one PROGRAM
run_one() {
	local program=$1 name status=0
	local dir executions

	name=$(basename "$program")
	dir=$work/$name
	mkdir -p "$dir/corpus" "$dir/tmp"
	cp -r "$seeds/${name#fuzz_}/." "$dir/corpus/"
	TMPDIR=$dir/tmp "$program" -max_total_time="$seconds" -timeout="$INPUT_TIMEOUT_S" \
		-rss_limit_mb="$RSS_LIMIT_MB" -max_len="$MAX_INPUT_BYTES" -print_final_stats=1 \
		-artifact_prefix="$dir/" "$dir/corpus" >"$dir/log" 2>&1 || status=$?
	executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$dir/log")
	if [ "$status" -eq 0 ] && [ "${executions:-0}" -gt 0 ]; then
		printf '%-20s %10s executions  ok\n' "$name" "$executions"
	else
		printf '%-20s %10s executions  failed\n' "$name" "${executions:-no}"
		tail -n 60 "$dir/log"
		touch "$work/failed"
	fi
}

programs=$(find "$build" -maxdepth 1 -name 'fuzz_*' -type f -perm -u+x | sort)
if [ -z "$programs" ]; then
	echo "no fuzz_* programs in $build" >&2
	exit 1
fi
running=0
for program in $programs; do
	if [ "$running" -ge "$JOBS" ]; then
		wait -n
		running=$((running - 1))
	fi
	run_one "$program" &
	running=$((running + 1))
done
wait
[ ! -e "$work/failed" ]
