#!/usr/bin/env bash
# Builds keyflip.h's library and installs it into a prefix: capi/install.sh PREFIX.
#
# With cargo-c (`cargo install cargo-c`) this is `cargo cinstall -p keyflip-capi --release --prefix PREFIX --libdir PREFIX/lib`. Without, the same files are
# put there by hand.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 PREFIX" >&2; exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

if cargo cinstall --version >/dev/null 2>&1; then
    exec cargo cinstall --locked -p keyflip-capi --release --prefix "$prefix" --libdir "$prefix/lib"
fi

version=$(cargo metadata --locked --no-deps --format-version 1 |
    grep -o '"name":"keyflip-capi","version":"[^"]*"' | cut -d'"' -f8)
abi=${version%.*}
target=$(cargo metadata --locked --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)/release
cargo rustc --locked -p keyflip-capi --lib --release --crate-type cdylib -- -C link-arg=-Wl,-soname,libkeyflip.so."$abi"
cargo rustc --locked -p keyflip-capi --lib --release --crate-type staticlib
install -d "$prefix"/include "$prefix"/lib/pkgconfig "$prefix"/share/cmake/keyflip
install -m 644 capi/include/keyflip.h "$prefix"/include/
install -m 644 capi/cmake/*.cmake "$prefix"/share/cmake/keyflip/
install -m 644 "$target"/libkeyflip_c.a "$prefix"/lib/libkeyflip.a
install -m 755 "$target"/libkeyflip_c.so "$prefix"/lib/libkeyflip.so."$version"
ln -sf libkeyflip.so."$version" "$prefix"/lib/libkeyflip.so."$abi"
ln -sf libkeyflip.so."$version" "$prefix"/lib/libkeyflip.so
cat >"$prefix"/lib/pkgconfig/keyflip.pc <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: Keyflip
Description: SRTP and SRTCP with keys that can be replaced while packets fly
Version: $version
Libs: -L\${libdir} -lkeyflip
Cflags: -I\${includedir}
Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
PC
echo "installed into $prefix"
