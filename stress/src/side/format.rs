//! The JSON side file of a capture, version 1, field by field.
//!
//! Unknown fields are refused everywhere, so that nothing a side file says is silently ignored. How the fields must fit
//! together is in `check`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::{Accepted, Kind, Sha256Sum, Ssrc, Totals, Verdict};

/// A side file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// File name of the capture, in the same folder.
    pub capture: String,
    /// What the capture is about.
    pub description: String,
    /// What sent the packets.
    pub sender: String,
    /// Version of this format.
    pub format_version: u32,
    /// Link type of the capture file. Told for information: the capture file itself says what it is.
    pub linktype: u32,
    /// UDP destination ports.
    pub udp_ports: UdpPorts,
    /// The SRTP profile, by its name in the SDP and DTLS-SRTP registries.
    pub profile: String,
    /// Octets of an SRTP authentication tag.
    pub srtp_tag_len: usize,
    /// Octets of an SRTCP authentication tag.
    pub srtcp_tag_len: usize,
    /// The master keys.
    pub keys: Vec<Key>,
    /// Octets of the MKI in each packet; 0 if there is none.
    pub mki_len: usize,
    /// Header extension elements that are encrypted (RFC 6904).
    pub encrypted_extension_ids: Vec<u8>,
    /// Packets in the replay window of RTP.
    pub replay_window: u64,
    /// Packets in the replay window of RTCP.
    pub rtcp_replay_window: u64,
    /// Rollover counters that the receiver is told beforehand; it starts every other SSRC with 0.
    pub initial_roc: BTreeMap<Ssrc, u32>,
    /// Numbers of packets.
    pub totals: Totals,
    /// What is to be accepted of each SSRC.
    pub accepted_per_ssrc: BTreeMap<Ssrc, Accepted>,
    /// One for each UDP datagram of the capture, in order.
    pub packets: Vec<Packet>,
    /// Over all accepted decrypted RTP packets, in capture order.
    pub rtp_plain_sha256: Sha256Sum,
    /// Over all accepted decrypted RTCP packets, in capture order.
    pub rtcp_plain_sha256: Sha256Sum,
    /// The capture that this one was made of.
    pub base_capture: Option<String>,
    /// How many packets of the base capture are not in this one.
    pub lost: Option<usize>,
    /// How often each verdict is expected.
    pub verdicts: Option<BTreeMap<Verdict, usize>>,
}

/// UDP destination ports of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpPorts {
    /// Where RTP is sent to.
    pub rtp: u16,
    /// Where RTCP is sent to, which may be the same port; `None` if the capture has no RTCP.
    pub rtcp: Option<u16>,
}

/// A master key. Its `Debug` form keeps the secrets to itself, as captures of real calls may be read too.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Base64 of master key and master salt, as in `a=crypto` (RFC 4568).
    pub sdes: String,
    /// The master key.
    #[serde(with = "hex::serde")]
    pub master_key: Vec<u8>,
    /// The master salt.
    #[serde(with = "hex::serde")]
    pub master_salt: Vec<u8>,
    /// The MKI that names this key; empty if the capture has none.
    #[serde(with = "hex::serde")]
    pub mki: Vec<u8>,
    /// The packet (`n`) from which on the key is in use; the receiver is told the key just before it.
    #[serde(default)]
    pub from_packet: usize,
}

/// What is known about one packet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packet {
    /// Its place among the UDP datagrams of the capture, counted from 0.
    pub n: usize,
    /// RTP or RTCP.
    pub kind: Kind,
    /// The SSRC in its header.
    pub ssrc: Ssrc,
    /// The sequence number in its header; RTP only.
    pub seq: Option<u16>,
    /// The 48-bit index of an accepted RTP packet.
    pub index: Option<u64>,
    /// The rollover counter of an accepted RTP packet.
    pub roc: Option<u32>,
    /// The 31-bit index of an accepted RTCP packet.
    pub srtcp_index: Option<u32>,
    /// The MKI in the packet; empty if the capture has none.
    #[serde(default, with = "hex::serde")]
    pub mki: Vec<u8>,
    /// Octets of the UDP payload.
    pub len: usize,
    /// What a receiver must say about it.
    pub expect: Verdict,
    /// What a receiver may say instead, as the order of its checks decides.
    #[serde(default)]
    pub also_allowed: Vec<Verdict>,
    /// Octets of the decrypted packet, if it is to be accepted.
    pub plain_len: Option<usize>,
    /// Digest of the decrypted packet, if it is to be accepted.
    pub plain_sha256: Option<Sha256Sum>,
    /// The packet of the base capture that this one was made of.
    pub of: Option<usize>,
    /// What was done to it.
    pub what: Option<String>,
}

impl UdpPorts {
    /// What a datagram to `port` is: by its port, or if RTP and RTCP share one, by its payload type (RFC 5761 4);
    /// `None` if it is sent elsewhere.
    pub fn kind(&self, port: u16, payload: &[u8]) -> Option<Kind> {
        let is_rtcp = || matches!(payload, [_, 192..=223, ..]);
        match (port == self.rtp, Some(port) == self.rtcp) {
            (true, true) => Some(if is_rtcp() { Kind::Rtcp } else { Kind::Rtp }),
            (true, false) => Some(Kind::Rtp),
            (false, true) => Some(Kind::Rtcp),
            (false, false) => None,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mki, from_packet) = (hex::encode(&self.mki), self.from_packet);
        f.debug_struct("Key").field("mki", &mki).field("from_packet", &from_packet).finish_non_exhaustive()
    }
}
