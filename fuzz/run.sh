#!/usr/bin/env bash
# Runs the fuzz targets under AddressSanitizer, with cargo-fuzz and the nightly compiler.
#
#   fuzz/run.sh SECONDS [TARGET...]    each target for so long, all unless named; says how many inputs each executed; exits 1 on a finding
#   fuzz/run.sh control [TARGET...]    each target with a mistake planted, from nothing; exits 1 if one does not find it
#   fuzz/run.sh minimise [TARGET...]   what runs have found of interest joins the corpora that are shipped, made as small as covers the same
#
# What runs find of interest goes to `found/TARGET` in cargo's target folder; an input that is a finding to `artifacts/TARGET`.
set -euo pipefail
cd "$(dirname "$0")"

usage="usage: fuzz/run.sh SECONDS|control|minimise [TARGET...]"
what=${1:?$usage}
shift
[[ $what =~ ^([0-9]+|control|minimise)$ ]] || { echo "$usage" >&2; exit 2; }
# The longest that a planted mistake may stay hidden.
control_seconds=300
# tests/corpora.rs says the same.
most_files=300

rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
mapfile -t known < <(cargo +nightly fuzz list)
[ $# -gt 0 ] || set -- "${known[@]}"
for target in "$@"; do
    [[ " ${known[*]} " == *" $target "* ]] || { echo "no target $target; there are: ${known[*]}" >&2; exit 2; }
done

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
log=$(mktemp)
scratch=$(mktemp -d)
trap 'rm -rf "$log" "$scratch"' EXIT

# Arguments: the target, corpora (new inputs go to the first), --, flags of libFuzzer.
fuzz() {
    local target=$1
    shift
    cargo +nightly fuzz run "$target" "$@"
}
limits() {
    local dictionary=dict/$1.dict
    printf '%s\n' -max_len=4096 -timeout=20 -print_final_stats=1
    [ ! -f "$dictionary" ] || printf '%s\n' "-dict=$dictionary"
}
executed() { awk '/stat::number_of_executed_units/ {print $2}' "$log" | tail -n 1; }

failed=()
for target in "$@"; do
    found=$CARGO_TARGET_DIR/found/$target
    mkdir -p "$found" "corpus/$target"
    mapfile -t flags < <(limits "$target")
    case $what in
    control)
        mkdir -p "$scratch/$target"
        if KEYFLIP_FUZZ_PLANT=1 fuzz "$target" "$scratch/$target" -- "${flags[@]}" -max_total_time="$control_seconds" \
            -artifact_prefix="$scratch/" >"$log" 2>&1; then
            echo "$target: the planted mistake was not found in $(executed) executions"
            failed+=("$target")
        elif ! grep -q '^thread .* panicked at' "$log"; then
            tail -n 30 "$log"
            failed+=("$target")
        else
            echo "$target: the planted mistake was found after $(executed) executions"
        fi
        ;;
    minimise)
        mkdir "$scratch/$target"
        fuzz "$target" "$scratch/$target" "$found" "corpus/$target" -- "${flags[@]}" -set_cover_merge=1 -use_counters=0 >"$log" 2>&1 ||
            { tail -n 30 "$log"; exit 1; }
        # Of more than a corpus may have, those whose names (hashes) come first.
        find "$scratch/$target" -type f | sort | tail -n +"$((most_files + 1))" | xargs -r rm
        rm -rf "corpus/$target"
        mv "$scratch/$target" "corpus/$target"
        echo "$target: $(find "corpus/$target" -type f | wc -l) files, $(du -sb "corpus/$target" | cut -f1) octets"
        ;;
    *)
        if ! fuzz "$target" "$found" "corpus/$target" -- "${flags[@]}" -max_total_time="$what" >"$log" 2>&1; then
            tail -n 60 "$log"
            failed+=("$target")
        fi
        echo "$target: $(executed) executions in $what s"
        ;;
    esac
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "findings, or controls that failed: ${failed[*]}" >&2
    exit 1
fi
