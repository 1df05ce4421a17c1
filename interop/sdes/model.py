"""RFC 4568's crypto attribute, read by one regular expression: a second opinion on core/src/keying/sdes, which shares nothing with it.

`read` gives what a line says, or None where RFC 4568, 6188 or 7714 make it invalid or Keyflip does not support what it asks for.
"""

import base64
import re

# Suite -> octets of master key and master salt.
SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AES_192_CM_HMAC_SHA1_80": 38,
    "AES_192_CM_HMAC_SHA1_32": 38,
    "AES_256_CM_HMAC_SHA1_80": 46,
    "AES_256_CM_HMAC_SHA1_32": 46,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}

NUMBER = r"(?:0|[1-9][0-9]*)"
LINE = re.compile(
    r"(?:a=crypto:|crypto:|(?=[0-9]))(?P<tag>0|[1-9][0-9]{0,8})[ \t]+(?P<suite>[A-Za-z0-9_]+)[ \t]+(?P<keys>[!-~]+)"
    r"(?P<params>(?:[ \t]+[!-~]+)*)[ \t]*(?:\r?\n)?",
    re.ASCII,
)
KEY = re.compile(
    r"(?i:inline):(?P<key>[A-Za-z0-9+/]+={0,2})"
    rf"(?:\|(?P<power>2\^)?(?P<lifetime>{NUMBER}))?(?:\|(?P<mki>{NUMBER}):(?P<length>{NUMBER}))?",
    re.ASCII,
)
PARAMETER = re.compile(
    r"(?i:(?P<name>UNENCRYPTED_SRTP|UNENCRYPTED_SRTCP|FEC_ORDER=(?P<order>FEC_SRTP|SRTP_FEC)|WSH=(?P<wsh>[1-9][0-9]*)))"
    r"|-(?P<optional>[!-,.-~][!-~]*)",
    re.ASCII,
)


def read_key(text, octets):
    match = KEY.fullmatch(text)
    if not match:
        return None
    written = match["key"]
    bare = written.rstrip("=")
    padded = bare + "=" * (-len(bare) % 4)
    if written not in (bare, padded) or len(bare) % 4 == 1:
        return None
    material = base64.b64decode(padded)
    if len(material) != octets or base64.b64encode(material).decode() != padded:
        return None
    lifetime = None
    if match["lifetime"]:
        # Not shifted by a number that a stranger wrote, however long.
        number = int(match["lifetime"][:20])
        lifetime = (1 << min(number, 64)) if match["power"] else number
        if not 1 <= lifetime <= 1 << 48:
            return None
    mki = ""
    if match["mki"]:
        length, value = int(match["length"][:20]), int(match["mki"])
        if not (1 <= length <= 128 and 0 < value < 1 << (8 * length)):
            return None
        mki = value.to_bytes(length, "big").hex()
    return {"material": material.hex(), "lifetime": lifetime, "mki": mki}


def read(line):
    match = LINE.fullmatch(line)
    if not match or match["suite"].upper() not in SUITES:
        return None
    suite = match["suite"].upper()
    keys = [read_key(text, SUITES[suite]) for text in match["keys"].split(";")]
    if None in keys or len(keys) > 16:
        return None
    mkis = [key["mki"] for key in keys]
    if len(keys) > 1 and ("" in mkis or len(set(mkis)) < len(mkis) or len({len(mki) for mki in mkis}) > 1):
        return None
    said = {"unencrypted_srtp": False, "unencrypted_srtcp": False, "fec_order": None, "wsh": None}
    seen = set()
    for word in match["params"].split():
        parameter = PARAMETER.fullmatch(word)
        if not parameter:
            return None
        if parameter["optional"]:
            continue
        name = parameter["name"].upper().split("=")[0]
        if name in seen:
            return None
        seen.add(name)
        if name == "FEC_ORDER":
            said["fec_order"] = parameter["order"].upper()
        elif name == "WSH":
            said["wsh"] = int(parameter["wsh"])
            if not 64 <= said["wsh"] < 1 << 32:
                return None
        else:
            said[name.lower()] = True
    return {"tag": int(match["tag"]), "suite": suite, "keys": keys, **said}
