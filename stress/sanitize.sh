#!/usr/bin/env bash
# Runs keyflip-stress under a sanitizer, with an instrumented standard library.
#
#   stress/sanitize.sh thread|address [ARGUMENTS OF keyflip-stress...]
#
# Exits 0 if the sanitizer reports nothing (there is no suppression file) and its control is reported: the same program with reclamation broken
# on purpose, which frees what it should retire.
set -euo pipefail

usage="usage: stress/sanitize.sh thread|address [ARGUMENTS OF keyflip-stress...]"
sanitizer=${1:?$usage}
shift
case "$sanitizer" in
thread | address) ;;
*)
    echo "$usage" >&2
    exit 2
    ;;
esac
[ $# -gt 0 ] || set -- --seconds 5

cd "$(dirname "$0")/.."
host=$(rustc -vV | awk '/^host:/ {print $2}')
if [ ! -f "$(rustc --print sysroot)/lib/rustlib/src/rust/library/std/src/lib.rs" ]; then
    rustup component add rust-src
fi

# The sanitizer itself ships with the stable toolchain; the flags to use it do not.
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="-Zsanitizer=$sanitizer -g"
# AddressSanitizer watches allocations, and knows nothing of the slots that keys lie in otherwise.
[ "$sanitizer" = thread ] || RUSTFLAGS+=" --cfg keyflip_keys_on_heap"
build() {
    cargo build --release -Zbuild-std --target "$host" --target-dir "$1" -p keyflip-stress "${@:2}"
}
sound=target/$sanitizer
broken=target/$sanitizer-control
report='WARNING: ThreadSanitizer|ERROR: AddressSanitizer|ERROR: LeakSanitizer'
log=$(mktemp)
trap 'rm -f "$log"' EXIT

build "$sound"
# halt_on_error: a first report ends the run, and makes it fail.
# quarantine_size_mb: freed memory kept back must stay below the growth that the scenarios allow.
export TSAN_OPTIONS="halt_on_error=1" ASAN_OPTIONS="detect_leaks=1:quarantine_size_mb=32"
echo "== $sanitizer: $*"
"$sound/$host/release/keyflip-stress" "$@" 2>&1 | tee "$log"
if grep -qE "$report" "$log"; then
    echo "$sanitizer: reports above" >&2
    exit 1
fi

# Only the library is built anew: the rest of the control is the sound build.
mkdir -p "$broken"
[ -d "$broken/$host" ] || cp -a "$sound/." "$broken"
build "$broken" -Zprofile-rustflags --config 'profile.release.package.keyflip.rustflags=["--cfg", "keyflip_free_at_once"]'
echo "== $sanitizer, control: reclamation broken on purpose"
if "$broken/$host/release/keyflip-stress" "$@" >"$log" 2>&1; then
    echo "$sanitizer: the control ran through, so the run before shows nothing" >&2
    exit 1
fi
if ! grep -qE "$report" "$log"; then
    tail -n 20 "$log" >&2
    echo "$sanitizer: the control failed without a report" >&2
    exit 1
fi
grep -m1 -E "$report" "$log"
echo "$sanitizer: clean, and the control is reported"
