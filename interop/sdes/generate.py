#!/usr/bin/env python3
"""Writes core/tests/vectors/sdes.json: crypto attributes, what each says, and what others make of them.

    generate.py --sdes4j JAR --codec JAR --rtpengine BINARY > core/tests/vectors/sdes.json

JAR and BINARY are those of Debian's packages libsdes4j-java (1.1.4), libcommons-codec-java and rtpengine-daemon (10.5.3); a JDK runs the first.
"""

import argparse
import base64
import json
import pathlib
import random
import subprocess
import tempfile

import model
from rtpengine import Rtpengine

RANDOM = random.Random(4568)
K = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
L = "PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR"
CM80 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 "
# The most that sdes4j's numbers hold.
INT_MAX = (1 << 31) - 1


def key(suite):
    return base64.b64encode(RANDOM.randbytes(model.SUITES[suite])).decode()


def by_hand():
    yield from (f"a=crypto:{tag} {suite} inline:{key(suite)}" for tag, suite in enumerate(model.SUITES))
    yield from (f"a=crypto:1 {suite} inline:{key(suite).rstrip('=')}" for suite in model.SUITES)
    # RFC 4568 3, 4, 5.1.4, 6.1.
    yield CM80 + f"inline:{L}|2^20|1:32"
    yield CM80 + f"inline:{K}|2^20|1:4 FEC_ORDER=FEC_SRTP"
    yield CM80 + "inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4"
    yield CM80 + "inline:YUJDZGVmZ2hpSktMbW9QUXJzVHVWd3l6MTIzNDU2|1066:4"
    yield (
        "a=crypto:2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;"
        "inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP"
    )
    # As telephones and gateways write it.
    for tail in ["", "|2^31", "|2^31|1:1", "|2^32", "|2^48", "|2^20|1:4", "|1:1", "|1:128", "|281474976710656", "|100"]:
        yield CM80 + f"inline:{K}{tail}"
    for tail in ["|", "|0", "|01", "|2^", "|2^49", "|2^999999999999", "|2^020", "|x", "|1:4|2^20", "|2^20|0:4", "|2^20|1:0"]:
        yield CM80 + f"inline:{K}{tail}"
    for tail in ["|2^20|1", "|2^20|1:129", "|2^20|256:1", "|2^20|255:1", "|2^20|01:4", "|2^20|1:04", "|2^20|1:4|", "||1:4"]:
        yield CM80 + f"inline:{K}{tail}"
    yield CM80 + f"inline:{K}|{(1 << 1024) - 1}:128"
    yield CM80 + f"inline:{K}|{1 << 1024}:128"
    yield CM80 + f"inline:{K}|1:4;inline:{L}|2:4"
    yield CM80 + f"inline:{K}|2^20|1:4;inline:{L}|2^20|2:4 WSH=128"
    yield CM80 + f"inline:{K};inline:{L}"
    yield CM80 + f"inline:{K}|1:4;inline:{L}|1:4"
    yield CM80 + f"inline:{K}|1:4;inline:{L}|2:3"
    yield CM80 + f"inline:{K}|1:4;"
    yield CM80 + f"inline:{K}|1:4; inline:{L}|2:4"
    for parameters in [
        "UNENCRYPTED_SRTP",
        "UNENCRYPTED_SRTCP",
        "UNENCRYPTED_SRTCP UNENCRYPTED_SRTP",
        "UNENCRYPTED_SRTP UNENCRYPTED_SRTP",
        "UNENCRYPTED_SRTP=1",
        "UNAUTHENTICATED_SRTP",
        "KDR=0",
        "KDR=24",
        "FEC_ORDER=FEC_SRTP",
        "FEC_ORDER=SRTP_FEC",
        "FEC_ORDER=NEVER",
        f"FEC_KEY=inline:{L}",
        "WSH=64",
        "WSH=63",
        "WSH=064",
        "WSH=4294967295",
        "WSH=4294967296",
        "FOO",
        "-FOO",
        "-FOO=bar -BAZ",
        "--FOO",
        "-",
    ]:
        yield CM80 + f"inline:{K} {parameters}"
    for tag in ["0", "00", "01", "999999999", "1000000000", "-1", "+1", "x", ""]:
        yield f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{K}"
    for suite in ["aes_cm_128_hmac_sha1_80", "AES_CM_256_HMAC_SHA1_80", "NULL_HMAC_SHA1_80", "F8_128_HMAC_SHA1_80", "AES-128"]:
        yield f"a=crypto:1 {suite} inline:{K}"
    for method in ["INLINE:", "Inline:", "uri:", "inline", "inline=", "", "inline::", "inline:="]:
        yield CM80 + method + K
    yield from [CM80, CM80.strip(), "a=crypto:1", "a=crypto:", "a=crypto", "a=rtpmap:0 PCMU/8000", "", "m=audio 1 RTP/SAVP 0"]
    whole = CM80 + f"inline:{K}|2^20|1:4 WSH=64"
    yield from [whole + end for end in ["\r\n", "\n", "\r", " ", "\t ", "\n\n", "\r\n "]]
    yield from [whole.replace(" ", blanks) for blanks in ["  ", "\t", " \t  "]]
    yield from [whole.removeprefix("a="), whole.removeprefix("a=crypto:"), " " + whole, whole.replace("a=c", "a=C")]
    for material in [b"", b"\0" * 29, b"\xff" * 31, b"\0" * 300]:
        yield CM80 + "inline:" + base64.b64encode(material).decode()
    for damaged in [K[:-1], K + "=", K + "==", K[:-1] + "=", K[:-2] + "==", K[:-2], "=" + K[1:], K[:20] + " " + K[20:]]:
        yield CM80 + "inline:" + damaged
    for damaged in [K[:-1] + "-", K[:-1] + "_", K[:10] + "\n" + K[10:], K + "\u00e9", K[:-1] + ".", K[:10] + "=" + K[11:]]:
        yield CM80 + "inline:" + damaged


def by_chance():
    """Good lines, then lines with one thing changed."""
    for _ in range(80):
        suite = RANDOM.choice(list(model.SUITES))
        length = RANDOM.choice([0, 0, 1, 2, 4, 16, 128])
        keys = []
        for number in range(RANDOM.randint(1, 3) if length else 1):
            lifetime = RANDOM.choice(["", f"|2^{RANDOM.randint(0, 48)}", f"|{RANDOM.randint(1, 1 << 31)}"])
            value = RANDOM.randrange(1, min(1 << (8 * length), INT_MAX)) if length else 0
            keys.append(f"inline:{key(suite)}{lifetime}" + (f"|{value}:{length}" if length else ""))
        parameters = RANDOM.sample(["UNENCRYPTED_SRTP", "UNENCRYPTED_SRTCP", "FEC_ORDER=FEC_SRTP", "WSH=512"], RANDOM.randint(0, 3))
        line = " ".join([f"a=crypto:{RANDOM.randint(1, 99999999)} {suite} {';'.join(keys)}", *parameters])
        yield line
        at = RANDOM.randrange(len(line))
        other = RANDOM.choice("|:;=^ -_+/0aZ\t")
        yield RANDOM.choice([line[:at] + line[at + 1 :], line[:at] + other + line[at:], line[:at] + other + line[at + 1 :]])


def sdes4j(lines, jars):
    values = [line.strip("\r\n").removeprefix("a=").removeprefix("crypto:") for line in lines]
    program = pathlib.Path(__file__).with_name("Sdes4j.java")
    said = subprocess.run(["java", "-cp", ":".join(jars), program], input="\n".join(values), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in said.stdout.splitlines()]


def agrees_with_sdes4j(said, theirs):
    """Whether both say the same of a valid line, as far as sdes4j's numbers reach."""
    if theirs is None or said["tag"] != theirs["tag"] or said["suite"] != theirs["suite"]:
        return False
    for ours, other in zip(said["keys"], theirs["keys"], strict=True):
        mki = other["mki"].to_bytes(other["mki_length"], "big").hex() if other["mki_length"] else ""
        if (ours["material"], min(ours["lifetime"] or 0, INT_MAX), ours["mki"]) != (other["material"], other["lifetime"], mki):
            return False
    return True


def agrees_with_rtpengine(said, theirs):
    if theirs is None or (said["tag"], said["suite"]) != (int(theirs["tag"]), theirs["suite"]):
        return False
    material = base64.b64decode(theirs["key"]) + base64.b64decode(theirs["salt"])
    return said["keys"][0]["material"] == material.hex()


def rtp(number):
    head = bytes([0x80, 0]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"\x4b\x45\x59\x46"
    return head + RANDOM.randbytes(20)


def rtcp():
    return bytes([0x81, 201, 0, 7]) + b"\x4b\x45\x59\x46" + RANDOM.randbytes(24)


def main():
    parser = argparse.ArgumentParser()
    for name in ("--sdes4j", "--codec", "--rtpengine"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    lines = list(dict.fromkeys([*by_hand(), *by_chance()]))
    one_line = [line for line in lines if "\n" not in line.strip("\r\n") and line.isascii() and line.strip()]
    theirs = dict(zip(one_line, sdes4j(one_line, [arguments.sdes4j, arguments.codec]), strict=True))
    vectors, packets = [], []
    with tempfile.NamedTemporaryFile() as log:
        peer = Rtpengine(arguments.rtpengine, log.name)
        try:
            for line in lines:
                said = model.read(line)
                vector = {"line": line, "said": said}
                if line in theirs:
                    vector["sdes4j"] = agrees_with_sdes4j(said, theirs[line]) if said else theirs[line] is None
                if line in theirs and line.startswith("a="):
                    read = peer.read(line)
                    vector["rtpengine"] = agrees_with_rtpengine(said, read) if said else read is None
                vectors.append(vector)
            for suite in model.SUITES:
                plain = [rtp(1), rtp(2), rtcp(), rtp(3)]
                line, sent = peer.protect(suite, key(suite), plain)
                pairs = [{"plain": one.hex(), "protected": other.hex()} for one, other in zip(plain, sent, strict=True)]
                packets.append({"line": line, "packets": pairs})
        finally:
            peer.stop()
    note = "sdes4j, rtpengine: whether they read a valid line the same, or refuse an invalid one; README.md says where they differ"
    rows = lambda name, items: f' "{name}": [\n' + ",\n".join("  " + json.dumps(item) for item in items) + "\n ]"
    print('{\n "title": "SDES crypto attributes (RFC 4568, 6188, 7714), and packets of rtpengine 10.5.3",\n "format_version": 1,')
    print(f' "note": {json.dumps(note)},\n' + rows("vectors", vectors) + ",\n" + rows("packets", packets) + "\n}")


if __name__ == "__main__":
    main()
