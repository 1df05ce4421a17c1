#!/usr/bin/env bash
# Builds and installs the C interfaces into a scratch prefix, and runs C programs and real clients on them. Says of each what became of it; exits 1 if
# one failed.
#
#     capi/tests/run.sh [NAME...]     all, or those whose names begin so: c, libsrtp, pylibsrtp, gstreamer
set -uo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/capi/tests
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
wanted=("$@")
passed=() failed=()

is_wanted() {
    [ ${#wanted[@]} = 0 ] && return
    local name
    for name in "${wanted[@]}"; do [[ $1 == "$name"* ]] && return; done
    return 1
}

# check NAME COMMAND...: runs it, and shows what it said if it failed.
check() {
    local name=$1 log=$scratch/log
    shift
    is_wanted "$name" || return 0
    if "$@" >"$log" 2>&1; then
        passed+=("$name")
        echo "ok      $name: $(tail -n 1 "$log" | cut -c -120)"
    else
        failed+=("$name")
        echo "FAILED  $name"
        sed 's/^/        /' "$log" | tail -n 40
    fi
}

install_packages() {
    local sudo package missing=()
    sudo=$([ "$(id -u)" = 0 ] || echo sudo)
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    $sudo apt-get -qq update
    DEBIAN_FRONTEND=noninteractive $sudo apt-get -qq install -y "${missing[@]}" >/dev/null
}

# ---- keyflip.h

headers_compile() {
    local standard compiler
    printf '#include <keyflip.h>\nint main(void) { return KEYFLIP_OK; }\n' >"$scratch/header.c"
    cp "$scratch/header.c" "$scratch/header.cpp"
    for standard in c99 c11 c17; do
        for compiler in gcc clang; do
            $compiler -std=$standard -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$scratch/header.c" -o /dev/null || return
        done
    done
    for standard in c++11 c++17 c++20; do
        for compiler in g++ clang++; do
            $compiler -std=$standard -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$scratch/header.cpp" -o /dev/null || return
        done
    done
    echo "C99, C11, C17, C++11, C++17 and C++20 under gcc and clang"
}

# build COMPILER STANDARD SOURCE: links by pkg-config, warnings are errors; says where the program is.
build() {
    local program flags
    program=$scratch/$(basename "$3").$1
    flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs keyflip) || return
    # shellcheck disable=SC2086
    $1 -std="$2" -O1 -g -Wall -Wextra -Werror "$3" $flags -pthread -Wl,-rpath,"$prefix/lib" -o "$program" || return
    echo "$program"
}

c_program() {
    local program
    program=$(build "$1" "$2" "$3") || return
    shift 3
    timeout 120 "$program" "$@"
}

linked_statically() {
    local flags
    flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs-only-L --static keyflip) || return
    # shellcheck disable=SC2086
    gcc -std=c99 -Wall -Wextra -Werror "$here/c/basic.c" $flags -l:libkeyflip.a -lpthread -lm -ldl -o "$scratch/static" || return
    ldd "$scratch/static" | grep keyflip && return 1
    "$scratch/static"
}

by_cmake() {
    mkdir -p "$scratch/cmake" || return
    cat >"$scratch/cmake/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(user C)
find_package(keyflip REQUIRED)
add_executable(shared "$here/c/basic.c")
target_link_libraries(shared keyflip::keyflip)
add_executable(static "$here/c/basic.c")
target_link_libraries(static keyflip::keyflip_static)
CMAKE
    cmake -S "$scratch/cmake" -B "$scratch/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null &&
        cmake --build "$scratch/cmake/build" >/dev/null && "$scratch/cmake/build/shared" && "$scratch/cmake/build/static"
}

only_its_own_symbols() {
    local others
    others=$(nm -D --defined-only "$prefix/lib/libkeyflip.so" | awk '{print $3}' | grep -v '^keyflip_')
    [ -z "$others" ] || { echo "also exported: $others"; return 1; }
    # Every function of the header is exported, and no other.
    diff <(grep -oE '\bkeyflip_[a-z_]+\(' "$prefix/include/keyflip.h" | tr -d '(' | sort -u) \
        <(nm -D --defined-only "$prefix/lib/libkeyflip.so" | awk '{print $3}' | sort -u) || return
    echo "$(nm -D --defined-only "$prefix/lib/libkeyflip.so" | wc -l) functions"
}

unloaded() {
    gcc -std=c11 -Wall -Wextra -Werror -I"$prefix/include" "$here/c/unload.c" -pthread -ldl -o "$scratch/unload" || return
    "$scratch/unload" "$prefix/lib/libkeyflip.so"
}

if is_wanted c- || [[ " ${wanted[*]:-}" == *" c"* ]]; then
    echo "==== keyflip.h"
    install_packages gcc g++ clang cmake pkg-config
    capi/install.sh "$prefix" >"$scratch/install.log" 2>&1 || { cat "$scratch/install.log"; exit 1; }
    check c-headers headers_compile
    for compiler in gcc clang; do
        check "c-basic-$compiler" c_program $compiler c99 "$here/c/basic.c"
        check "c-threads-$compiler" c_program $compiler c11 "$here/c/threads.c"
        check "c-fork-$compiler" c_program $compiler c11 "$here/c/fork.c"
        check "c-receiver-$compiler" c_program $compiler c11 capi/examples/receiver.c 2
    done
    check c-session-g++ c_program g++ c++17 capi/examples/session.cpp
    check c-session-clang++ c_program clang++ c++17 capi/examples/session.cpp
    check c-static linked_statically
    check c-cmake by_cmake
    check c-symbols only_its_own_symbols
    check c-unload unloaded
fi

echo "==== passed: ${passed[*]:-none}"
[ ${#failed[@]} = 0 ] || { echo "==== FAILED: ${failed[*]}"; exit 1; }
