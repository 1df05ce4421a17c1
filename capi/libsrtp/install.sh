#!/usr/bin/env bash
# Builds libsrtp2.so.1 and libsrtp2.a on Keyflip, and installs them with their header: capi/libsrtp/install.sh PREFIX.
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 PREFIX" >&2; exit 2; }
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."
cargo build --locked --release -p keyflip-libsrtp
target=$(cargo metadata --locked --no-deps --format-version 1 | grep -o '"target_directory":"[^"]*"' | cut -d'"' -f4)/release
install -d "$prefix"/include/srtp2 "$prefix"/lib/pkgconfig
install -m 644 capi/libsrtp/include/srtp2/*.h "$prefix"/include/srtp2/
install -m 644 "$target"/libkeyflip_srtp2.a "$prefix"/lib/libsrtp2.a
install -m 755 "$target"/libkeyflip_srtp2.so "$prefix"/lib/libsrtp2.so.1
ln -sf libsrtp2.so.1 "$prefix"/lib/libsrtp2.so
cat >"$prefix"/lib/pkgconfig/libsrtp2.pc <<PC
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: libsrtp2
Description: libsrtp2's interface on Keyflip
Version: 2.8.0
Libs: -L\${libdir} -lsrtp2
Cflags: -I\${includedir}
Libs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc
PC
echo "installed into $prefix"
