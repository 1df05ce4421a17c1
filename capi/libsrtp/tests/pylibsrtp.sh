#!/usr/bin/env bash
# pylibsrtp, which aiortc is built on, from its source distribution on our libsrtp2 (its wheel brings a libsrtp of its own), and its test suite.
#
#     capi/libsrtp/tests/pylibsrtp.sh PREFIX
set -euo pipefail
prefix=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
python3 -m venv venv
venv/bin/pip install -q pytest
venv/bin/pip download -q --no-deps --no-binary pylibsrtp pylibsrtp
tar xf pylibsrtp-*.tar.gz --one-top-level=source --strip-components=1
CFLAGS="-I$prefix/include" LDFLAGS="-L$prefix/lib -Wl,-rpath,$prefix/lib" venv/bin/pip install -q ./source
# The installed package, and not the one beside its tests.
cp -r source/tests tests
cat >conftest.py <<PYTHON
def pytest_sessionfinish(session, exitstatus):
    import pylibsrtp
    mapped = {line.split()[-1] for line in open("/proc/self/maps") if "libsrtp2" in line}
    assert mapped == {"$prefix/lib/libsrtp2.so.1"}, mapped
PYTHON
venv/bin/python -m pytest -q tests
