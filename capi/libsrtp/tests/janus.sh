#!/usr/bin/env bash
# Janus starts on our libsrtp2, says so when asked by its API, and ends when told to.
#
#     capi/libsrtp/tests/janus.sh PREFIX
set -euo pipefail
lib=$(cd "$1/lib" && pwd)
scratch=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$scratch"' EXIT
plugins=$(dirname "$(dpkg -L janus | grep -m 1 'libjanus_echotest.so$')")
transports=$(dirname "$(dpkg -L janus | grep -m 1 'libjanus_pfunix.so$')")
mkdir "$scratch"/{config,plugins,transports,none}
ln -s "$plugins/libjanus_echotest.so" "$scratch/plugins/"
ln -s "$transports/libjanus_pfunix.so" "$scratch/transports/"
echo "general: { enabled = true; json = \"plain\"; path = \"$scratch/socket\" }" >"$scratch/config/janus.transport.pfunix.jcfg"
cat >"$scratch/config/janus.jcfg" <<CONFIG
general: {
    configs_folder = "$scratch/config"
    plugins_folder = "$scratch/plugins"
    transports_folder = "$scratch/transports"
    events_folder = "$scratch/none"
    loggers_folder = "$scratch/none"
}
CONFIG
LD_LIBRARY_PATH=$lib janus --config="$scratch/config/janus.jcfg" --configs-folder="$scratch/config" --plugins-folder="$scratch/plugins" \
    --disable-colors >"$scratch/log" 2>&1 &
pid=$!
for _ in $(seq 100); do [ -S "$scratch/socket" ] && break; sleep 0.1; done
[ -S "$scratch/socket" ] || { tail -n 30 "$scratch/log"; exit 1; }
mapped=$(grep -o '[^ ]*libsrtp2[^ ]*' "/proc/$pid/maps" | sort -u)
[ "$mapped" = "$lib/libsrtp2.so.1" ] || { echo "mapped: $mapped"; exit 1; }
python3 - "$scratch/socket" <<'PYTHON'
import json, socket, sys
client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
client.settimeout(10)
client.connect(sys.argv[1])
def ask(**request):
    client.sendall(json.dumps({"transaction": "t", **request}).encode())
    answer = b""
    while True:
        answer += client.recv(65536)
        try:
            return json.loads(answer)
        except ValueError:
            pass
info = ask(janus="info")
assert info["dependencies"]["libsrtp"].startswith("libsrtp2 2.8.0 (keyflip)"), info
session = ask(janus="create")["data"]["id"]
handle = ask(janus="attach", session_id=session, plugin="janus.plugin.echotest")
assert handle["janus"] == "success", handle
print(info["dependencies"]["libsrtp"])
PYTHON
kill "$pid"
wait "$pid" || status=$?
[ "${status:-0}" -lt 128 ] || [ "${status:-0}" = 143 ] || { echo "it ended with $status"; exit 1; }
pid=
