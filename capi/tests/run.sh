#!/usr/bin/env bash
# Builds and installs the C interfaces into a scratch prefix, and runs C programs and real clients on them. Says of each what became of it; exits 1 if
# one failed.
#
#     capi/tests/run.sh [NAME...]     all, or those whose names begin so: c, libsrtp, pylibsrtp, gstreamer, janus
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

# ---- libsrtp2's interface

srtp=capi/libsrtp/tests
stock_dir() { dirname "$(ldconfig -p | awk '/libsrtp2.so.1 /{print $NF; exit}')"; }

srtp_headers() {
    local standard compiler
    printf '#include <srtp2/srtp.h>\nint main(void) { return srtp_init(); }\n' >"$scratch/srtp.c"
    cp "$scratch/srtp.c" "$scratch/srtp.cpp"
    for compiler in gcc clang; do
        for standard in c99 c11 c17; do
            $compiler -std=$standard -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$scratch/srtp.c" -o /dev/null || return
        done
        $compiler -std=c11 -Wall -Wextra -Werror -I"$prefix/include" -c $srtp/c/layout.c -o /dev/null || return
        # The stock header's layout is the one that is meant.
        $compiler -std=c11 -Wall -Wextra -Werror -c $srtp/c/layout.c -o /dev/null || return
    done
    g++ -std=c++17 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -c "$scratch/srtp.cpp" -o /dev/null || return
    echo "C99, C11, C17 and C++17; sizes and offsets as in the stock header"
}

srtp_symbols() {
    diff capi/libsrtp/exports.txt <(nm -D --defined-only "$prefix/lib/libsrtp2.so.1" | awk '{print $3}' | sort) || return
    readelf -d "$prefix/lib/libsrtp2.so.1" | grep -q 'SONAME.*\[libsrtp2.so.1\]' || { echo "another soname"; return 1; }
    echo "53 functions, and no other symbol"
}

# on_ours PROGRAM: runs it on our library, and makes sure of that.
on_ours() {
    LD_LIBRARY_PATH=$prefix/lib LD_DEBUG=libs LD_DEBUG_OUTPUT=$scratch/ld timeout 120 "$@" || return
    grep -qh "calling init: $prefix/lib/libsrtp2.so.1" "$scratch"/ld.* || { echo "another library was mapped"; return 1; }
    rm -f "$scratch"/ld.*
}

srtp_build() {
    "$1" -std=c11 -O1 -g -Wall -Wextra -Werror -I"$prefix/include" "$srtp/c/$2.c" -o "$scratch/srtp-$2" -L"$prefix/lib" -lsrtp2 -pthread
}

# Every answer is the stock library's.
srtp_answers() {
    srtp_build "$1" answers || return
    LD_LIBRARY_PATH="$(stock_dir)" "$scratch/srtp-answers" >"$scratch/stock" || return
    on_ours "$scratch/srtp-answers" >"$scratch/ours" || return
    [ "$(wc -l <"$scratch/stock")" -gt 300 ] || { echo "the stock library said too little"; return 1; }
    diff "$scratch/stock" "$scratch/ours" || return
    echo "$(wc -l <"$scratch/ours") answers, all as the stock library's"
}

srtp_threads() {
    srtp_build "$1" threads || return
    on_ours "$scratch/srtp-threads" || return
    # The control: the stock library must fail at this.
    if (LD_LIBRARY_PATH="$(stock_dir)" timeout 60 "$scratch/srtp-threads") >"$scratch/control" 2>&1; then
        cat "$scratch/control"
        echo "the stock library passed, too: the test shows nothing"
        return 1
    fi
    echo "on the stock library it crashes, as it must"
}

srtp_static() {
    gcc -std=c99 -Wall -Wextra -Werror -I"$prefix/include" $srtp/c/answers.c "$prefix/lib/libsrtp2.a" -lpthread -lm -ldl -o "$scratch/srtp-static" || return
    ldd "$scratch/srtp-static" | grep srtp && return 1
    LD_LIBRARY_PATH="$(stock_dir)" "$scratch/srtp-answers" >"$scratch/stock" || return
    "$scratch/srtp-static" | diff "$scratch/stock" - || return
    echo "the same answers"
}

if [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " =~ \ (libsrtp|pylibsrtp|gstreamer|janus) ]]; then
    echo "==== libsrtp2's interface"
    install_packages gcc g++ clang libsrtp2-dev python3-venv python3-dev libffi-dev gstreamer1.0-tools \
        gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    capi/libsrtp/install.sh "$prefix" >"$scratch/install.log" 2>&1 || { cat "$scratch/install.log"; exit 1; }
    check libsrtp-headers srtp_headers
    check libsrtp-symbols srtp_symbols
    for compiler in gcc clang; do
        check "libsrtp-answers-$compiler" srtp_answers $compiler
        check "libsrtp-threads-$compiler" srtp_threads $compiler
    done
    check libsrtp-static srtp_static
    check pylibsrtp $srtp/pylibsrtp.sh "$prefix"
    check gstreamer $srtp/gstreamer.sh "$prefix"
    if is_wanted janus; then
        install_packages janus
        check janus $srtp/janus.sh "$prefix"
    fi
fi

echo "==== passed: ${passed[*]:-none}"
[ ${#failed[@]} = 0 ] || { echo "==== FAILED: ${failed[*]}"; exit 1; }
