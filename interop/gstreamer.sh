#!/usr/bin/env bash
# Runs Keyflip's examples against GStreamer's SRTP elements, which are built on libsrtp:
#
#   from GStreamer:  live audio, rtpbin, srtpenc  ->  example `receive`
#   to GStreamer:    example `send`               ->  srtpdec
#
# Both ends write the plain packets to files, and the files must be the same, octet for octet. RTP and RTCP share a UDP
# port of the loopback interface, and sequence numbers start shortly before their wrap. Prints a line for each
# combination; exits with 1 if one failed.
#
# Needs bash and cargo, and installs GStreamer with apt-get if it is missing. Takes about 10 s, builds not included: the
# audio is live, and the profiles are tried side by side.

set -euo pipefail

# More than 36, so that sequence numbers wrap, and than 50, so that `send` sends a report.
readonly packets=75 first_seq=65500
# What `send` uses.
readonly ssrc=1801812326

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$(mktemp -d)
# What this shell runs in the background, to be ended by its id whatever happens.
running=()

stop() {
    local pid
    for pid in "${running[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    running=()
}

trap 'stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

install_gstreamer() {
    local element missing=0
    for element in srtpenc srtpdec rtpbin rtpstreampay rtppcmapay alawenc audiotestsrc udpsink; do
        gst-inspect-1.0 --exists "$element" 2>/dev/null || missing=1
    done
    if ((missing)); then
        local sudo=()
        ((EUID == 0)) || sudo=(sudo)
        "${sudo[@]}" apt-get update -q
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
            gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    fi
}

# Octets in hexadecimal.
random() {
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

is_bound() {
    grep -qi "^ *[0-9]*: 0100007F:$(printf %04X "$1") " /proc/net/udp
}

# Out of a range that no other profile uses: two pipelines may bind one port, and get each other's packets.
free_port() {
    local port
    while port=$((20000 + 1000 * lane + RANDOM % 1000)); is_bound "$port"; do :; done
    echo "$port"
}

# Waits for a condition, 5 s at most.
await() {
    local tries
    for ((tries = 0; tries < 100; tries++)); do
        "$@" && return
        sleep 0.05
    done
    return 1
}

# "theirs" has all RTP packets and a report, and they are those of "ours", which may have gone on reporting since.
recorded() {
    local file
    # Each RTP packet has 12 + 160 octets, and 2 of framing.
    [[ $(stat -c %s theirs.rtp) == $((packets * 174)) ]] || return
    for file in "${compared[@]}"; do
        [[ -s theirs.$file ]] && cmp -s -n "$(stat -c %s "theirs.$file")" "ours.$file" "theirs.$file" || return
    done
}

report() {
    local name=$1 ok=$2 log
    if ((ok)); then
        printf 'ok      %s\n' "$name"
    else
        printf 'FAILED  %s\n' "$name"
        { for log in *.log; do sed "s/^/$log: /" "$log"; done; wc -c ours.* theirs.*; } 2>&1 | sed 's/^/        /'
        status=1
    fi
    rm -f ./*
}

# Runs a command in the background. `$!` is its id.
launch() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    running+=($!)
}

# Waits for a process in the background to end by itself.
finish() {
    local index status=0
    wait "$1" || status=$?
    for index in "${!running[@]}"; do
        # Its id may be another process's from here on.
        [[ ${running[index]} != "$1" ]] || unset "running[index]"
    done
    return $status
}

start_receive() {
    launch receive.log "$examples/receive" --write theirs --packets $((packets + 1)) "$@"
    receive=$!
    await grep -qs listening receive.log || return
    port=$(sed -n 's/^listening on .*://p' receive.log)
}

# Tees the plain packets off in front of srtpenc. rtpbin sends a report when the stream ends. Its end does not
# always reach all branches of the pipeline, so nothing here waits for that.
from_gstreamer() {
    local key=$1 mki=$2 ok=1 compared=(rtp rtcp)
    local sink='sync=false async=false' copy='rtpstreampay ! filesink buffer-mode=unbuffered'
    start_receive --profile "$profile" --key "$key" ${mki:+--mki "$mki"} || ok=0
    # Elements of a pipeline are words, which these strings are split into.
    # shellcheck disable=SC2086
    launch gstreamer.log gst-launch-1.0 -q rtpbin name=bin \
        srtpenc name=enc key="$key" ${mki:+mki="$mki"} \
        rtp-cipher="$cipher" rtp-auth="$auth" rtcp-cipher="$cipher" rtcp-auth="$rtcp_auth" \
        audiotestsrc is-live=true wave=white-noise num-buffers=$packets samplesperbuffer=160 \
        ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay seqnum-offset=$first_seq ! bin.send_rtp_sink_0 \
        bin.send_rtp_src_0 ! tee name=rtp bin.send_rtcp_src_0 ! tee name=rtcp \
        rtp. ! queue ! $copy $sink location=ours.rtp rtcp. ! queue ! $copy $sink location=ours.rtcp \
        rtp. ! queue ! enc.rtp_sink_0 enc.rtp_src_0 ! udpsink $sink host=127.0.0.1 port="$port" \
        rtcp. ! queue ! enc.rtcp_sink_0 enc.rtcp_src_0 ! udpsink $sink host=127.0.0.1 port="$port"
    finish "$receive" || ok=0
    stop
    recorded || ok=0
    report "GStreamer to Keyflip  $profile${mki:+, MKI $mki}" $ok
}

# With a next key, `send` rekeys on the way, and srtpdec finds either key by its MKI.
to_gstreamer() {
    local key=$1 mki=${2-} next_key=${3-} next_mki=${4-} ok=1 compared=(rtp rtcp)
    local copy='rtpstreampay ! filesink sync=false async=false buffer-mode=unbuffered'
    local caps="application/x-srtp,media=(string)audio,clock-rate=(int)8000,encoding-name=(string)PCMU"
    caps+=",payload=(int)0,ssrc=(uint)$ssrc,roc=(uint)0,srtp-key=(buffer)$key${mki:+,mki=(buffer)$mki}"
    caps+="${next_key:+,srtp-key2=(buffer)$next_key,mki2=(buffer)$next_mki}"
    caps+=",srtp-cipher=(string)$cipher,srtp-auth=(string)$auth"
    caps+=",srtcp-cipher=(string)$cipher,srtcp-auth=(string)$rtcp_auth"
    # libsrtp looks for SRTCP's MKI in front of a tag of SRTP's length, so it finds none here.
    [[ -z $mki || $auth == "$rtcp_auth" ]] || compared=(rtp)
    port=$(free_port)
    # As above.
    # shellcheck disable=SC2086
    launch gstreamer.log gst-launch-1.0 -q udpsrc address=127.0.0.1 port="$port" caps="$caps" ! srtpdec name=dec \
        dec.rtp_src ! $copy location=theirs.rtp dec.rtcp_src ! $copy location=theirs.rtcp
    await is_bound "$port" || ok=0
    "$examples/send" --profile "$profile" --key "$key" ${mki:+--mki "$mki"} \
        ${next_key:+--next-key "$next_key" --next-mki "$next_mki" --rekey-after 40} \
        --to "$port" --generate $packets --seq $first_seq --write ours >send.log 2>&1 || ok=0
    # A live pipeline does not know that this was all.
    await recorded || ok=0
    stop
    report "Keyflip to GStreamer  $profile${mki:+, MKI $mki}${next_mki:+, rekeyed to MKI $next_mki}" $ok
}

# Both examples rekey, the receiver first, and no MKI tells the keys apart.
to_keyflip() {
    local key=$1 next_key=$2 ok=1 compared=(rtp rtcp)
    start_receive --profile "$profile" --key "$key" --next-key "$next_key" --rekey-after 20 || ok=0
    "$examples/send" --profile "$profile" --key "$key" --next-key "$next_key" --rekey-after 40 \
        --to "$port" --generate $packets --seq $first_seq --write ours >send.log 2>&1 || ok=0
    finish "$receive" || ok=0
    stop
    grep -q 'keys in use 1, wiped 1' receive.log || ok=0
    recorded || ok=0
    report "Keyflip to Keyflip    $profile, rekeyed" $ok
}

# All combinations of a profile, in a shell of its own.
try_profile() {
    local profile=$1 octets=$2 cipher=$3 auth=$4 rtcp_auth=$5 lane=$6 status=0
    running=()
    trap stop EXIT
    trap 'exit 143' TERM
    mkdir "$dir/$profile"
    cd "$dir/$profile"
    from_gstreamer "$(random "$octets")" ''
    from_gstreamer "$(random "$octets")" "$(random 4)"
    to_gstreamer "$(random "$octets")"
    to_gstreamer "$(random "$octets")" "$(random 4)" "$(random "$octets")" "$(random 4)"
    to_keyflip "$(random "$octets")" "$(random "$octets")"
    exit $status
}

install_gstreamer
(cd "$root" && cargo build --quiet -p keyflip --examples)
examples=${CARGO_TARGET_DIR:-$root/target}/debug/examples

# Profile, octets of master key and salt, GStreamer's cipher, its authentication of RTP, and of RTCP.
while read -r -a profile; do
    try_profile "${profile[@]}" ${#running[@]} &
    running+=($!)
done <<'END'
AES_CM_128_HMAC_SHA1_80 30 aes-128-icm hmac-sha1-80 hmac-sha1-80
AES_CM_128_HMAC_SHA1_32 30 aes-128-icm hmac-sha1-32 hmac-sha1-80
AES_256_CM_HMAC_SHA1_80 46 aes-256-icm hmac-sha1-80 hmac-sha1-80
AES_256_CM_HMAC_SHA1_32 46 aes-256-icm hmac-sha1-32 hmac-sha1-80
AEAD_AES_128_GCM        28 aes-128-gcm null         null
AEAD_AES_256_GCM        44 aes-256-gcm null         null
END
status=0
for pid in "${running[@]}"; do
    finish "$pid" || status=1
done
exit $status
