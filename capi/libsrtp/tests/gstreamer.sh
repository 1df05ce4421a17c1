#!/usr/bin/env bash
# GStreamer's srtpenc and srtpdec on our libsrtp2.so.1: the same octets as on the stock one, for every cipher and authentication that they offer, with and
# without an MKI.
#
#     capi/libsrtp/tests/gstreamer.sh PREFIX
set -euo pipefail
lib=$(cd "$1/lib" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
key=$(printf '%092d' 0 | sed 's/0/1/g')

# run stock|ours NAME PIPELINE...: and makes sure whose library it was.
run() {
    local whose=$1 name=$2
    shift 2
    local path="" ld=$scratch/ld.$whose
    rm -f "$ld".*
    [ "$whose" = ours ] && path=$lib
    LD_LIBRARY_PATH=$path LD_DEBUG=libs LD_DEBUG_OUTPUT=$ld timeout 10 gst-launch-1.0 -q "$@" >"$scratch/out" 2>&1 ||
        { echo "$name, $whose:"; tail -n 5 "$scratch/out"; return 1; }
    if grep -qhE "calling init: $lib/libsrtp2.so.1" "$ld".*; then
        [ "$whose" = ours ]
    else
        [ "$whose" = stock ] && grep -qhE "calling init: .*libsrtp2.so.1" "$ld".*
    fi || { echo "$name: another library than that of $whose was mapped"; return 1; }
}

# Sequence numbers wrap on the way.
source=(audiotestsrc num-buffers=120 ! audio/x-raw,rate=8000,channels=1 ! alawenc
    ! rtppcmapay ssrc=305419896 seqnum-offset=65500 timestamp-offset=0 pt=8 min-ptime=20000000 max-ptime=20000000)
gst-launch-1.0 -q "${source[@]}" ! filesink location="$scratch/plain" >/dev/null 2>&1
[ -s "$scratch/plain" ] || { echo "no packets were made"; exit 1; }
count=0 refused=()
for suite in aes-128-icm:hmac-sha1-80:30 aes-128-icm:hmac-sha1-32:30 aes-256-icm:hmac-sha1-80:46 aes-256-icm:hmac-sha1-32:46 \
    aes-128-gcm:null:28 aes-256-gcm:null:44 null:hmac-sha1-80:30 null:null:30; do
    IFS=: read -r cipher auth len <<<"$suite"
    for mki in "" 01020304; do
        name="$cipher $auth${mki:+ mki}"
        rtcp=$auth
        [ "$auth" = hmac-sha1-32 ] && rtcp=hmac-sha1-80
        settings=(key="${key:0:2*len}" rtp-cipher="$cipher" rtcp-cipher="$cipher" rtp-auth="$auth" rtcp-auth="$rtcp" ${mki:+mki=$mki})
        if ! run stock "$name" "${source[@]}" ! srtpenc "${settings[@]}" ! filesink location="$scratch/stock.sealed" >/dev/null; then
            refused+=("$name")
            continue
        fi
        for whose in stock ours; do
            run $whose "$name" "${source[@]}" ! srtpenc "${settings[@]}" ! filesink location="$scratch/$whose.sealed"
            run $whose "$name" "${source[@]}" ! srtpenc "${settings[@]}" ! srtpdec ! filesink location="$scratch/$whose.opened"
        done
        cmp "$scratch/stock.sealed" "$scratch/ours.sealed" || { echo "$name: sealed packets differ"; exit 1; }
        cmp "$scratch/stock.opened" "$scratch/ours.opened" || { echo "$name: opened packets differ"; exit 1; }
        if [ "$auth" != null ] || [ "$cipher" != null ]; then
            cmp "$scratch/plain" "$scratch/ours.opened" || { echo "$name: not what was sealed"; exit 1; }
        fi
        count=$((count + 1))
    done
done
[ "$count" -ge 12 ] || { echo "only $count suites could be compared"; exit 1; }
echo "$count suites: the same octets as on the stock library, which refuses: ${refused[*]:-none}"
