//! From a side file to a receiver: the keys, MKIs, windows and rollover counters that it asks for, and the packets.
//!
//! What a side file asks for and this version cannot do is refused by name, never skipped: a capture that was played
//! with half its conditions would prove the wrong thing.

use anyhow::{Context, Result, bail, ensure};
use keyflip::{Domain, Error, Fault, Guard, Inbound, MasterKey, Profile, Rekeyed, Roc, Session};

use crate::side::{Capture, Key, Kind, Side, Verdict};

/// A packet on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'p> {
    /// RTP or RTCP, as a receiver tells them apart: by port or by payload type.
    pub kind: Kind,
    /// The protected packet.
    pub octets: &'p [u8],
}

/// A capture that can be played, and how.
#[derive(Debug)]
pub struct Plan<'c> {
    /// The capture.
    pub capture: &'c Capture,
    /// Its profile.
    pub profile: Profile,
    replay_window: u32,
    rtcp_replay_window: u32,
}

/// A receiver made as a side file asks.
pub struct Receiver<'c> {
    capture: &'c Capture,
    inbound: Inbound,
}

impl<'c> Plan<'c> {
    /// How to play `capture`.
    ///
    /// # Errors
    ///
    /// It asks for something that this version cannot do; the error says what.
    pub fn of(capture: &'c Capture) -> Result<Self> {
        let side = &capture.side;
        let profile: Profile = side.profile.parse().with_context(|| format!("profile {:?}", side.profile))?;
        ensure!(profile.is_authenticated(), "profile {profile} does not authenticate: no verdict on it means anything");
        for (name, asked, has) in [
            ("srtp_tag_len", side.srtp_tag_len, profile.srtp_tag_len()),
            ("srtcp_tag_len", side.srtcp_tag_len, profile.srtcp_tag_len()),
        ] {
            ensure!(asked == has, "{name} {asked} is not supported: {profile} has {has} octets");
        }
        let window = |name, packets: u64| {
            u32::try_from(packets)
                .with_context(|| format!("{name} {packets} is not supported: 64 to 32768 packets are"))
        };
        let replay_window = window("replay_window", side.replay_window)?;
        let rtcp_replay_window = window("rtcp_replay_window", side.rtcp_replay_window)?;
        Ok(Self { capture, profile, replay_window, rtcp_replay_window })
    }

    /// A receiver that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// The library refuses what the side file asks for.
    pub fn receiver(&self, domain: &Domain) -> Result<Receiver<'c>> {
        let side = &self.capture.side;
        let mut session = Session::builder(self.profile)
            .replay_window(self.replay_window)
            .srtcp_replay_window(self.rtcp_replay_window)
            .encrypted_header_extensions(&side.encrypted_extension_ids);
        for (i, key) in side.keys.iter().enumerate().filter(|(_, key)| key.from_packet == 0) {
            session = session.inbound(master(key).with_context(|| format!("keys[{i}]"))?);
        }
        let inbound = session.build(domain).context("session")?.inbound().clone();
        for (ssrc, &roc) in &side.initial_roc {
            inbound.add_stream(ssrc.0, Roc(roc)).with_context(|| format!("initial_roc of {ssrc}"))?;
        }
        Ok(Receiver { capture: self.capture, inbound })
    }
}

impl<'c> Receiver<'c> {
    /// The receiving direction.
    pub const fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    /// Rekeys as the side file says, just before packet `n`. Returns how often; doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// The library refuses the key.
    pub fn rekey_before(&self, n: usize) -> Result<u64> {
        let mut rekeys = 0;
        for key in self.capture.side.keys.iter().filter(|key| n > 0 && key.from_packet == n) {
            let rekeyed = self.inbound.rekey(master(key)?).with_context(|| format!("rekey before packet {n}"))?;
            rekeys += u64::from(matches!(rekeyed, Rekeyed::Switched(_)));
        }
        Ok(rekeys)
    }

    /// Packet `n` of the capture.
    ///
    /// # Errors
    ///
    /// There is none, or it was not sent to this receiver's ports.
    pub fn wire(&self, n: usize) -> Result<Wire<'c>> {
        let Capture { side, datagrams, .. } = self.capture;
        let Some(datagram) = datagrams.get(n) else { bail!("packet {n}: there is none") };
        let (port, octets) = (datagram.destination.port(), datagram.payload.as_slice());
        let kind = side.udp_ports.kind(port, octets);
        let kind = kind.with_context(|| format!("packet {n}: sent to port {port}, and so not fed"))?;
        Ok(Wire { kind, octets })
    }

    /// What must hold of the receiver after the last packet: it has the streams of the side file and no others (no
    /// forgery made one), each where it must be.
    ///
    /// # Errors
    ///
    /// Says which stream is wrong.
    pub fn check_streams(&self) -> Result<()> {
        let Side { accepted_per_ssrc, initial_roc, .. } = &self.capture.side;
        let streams = self.inbound.streams();
        for stream in &streams {
            let ssrc = crate::side::Ssrc(stream.ssrc.0);
            let Some(expected) = accepted_per_ssrc.get(&ssrc) else {
                ensure!(initial_roc.contains_key(&ssrc), "a stream {ssrc} that nothing authentic made");
                continue;
            };
            let highest = stream.rtp.highest_index;
            ensure!(
                highest == expected.max_index,
                "stream {ssrc} stands at index {highest:?} instead of {:?}",
                expected.max_index
            );
        }
        let missing = accepted_per_ssrc.keys().find(|ssrc| streams.iter().all(|stream| stream.ssrc.0 != ssrc.0));
        missing.map_or(Ok(()), |ssrc| bail!("no stream {ssrc}"))
    }
}

fn master(key: &Key) -> Result<MasterKey> {
    let (mut master_key, mut master_salt) = (key.master_key.clone(), key.master_salt.clone());
    Ok(MasterKey::take_parts(&mut master_key, &mut master_salt).with_mki(&key.mki)?)
}

/// Unprotects a packet in place; returns the plain one.
///
/// # Errors
///
/// The library's.
pub fn unprotect<'p>(
    inbound: &Inbound,
    guard: &Guard<'_>,
    kind: Kind,
    packet: &'p mut [u8],
) -> keyflip::Result<&'p mut [u8]> {
    match kind {
        Kind::Rtp => inbound.unprotect_rtp(guard, packet),
        Kind::Rtcp => inbound.unprotect_rtcp(guard, packet),
    }
}

/// The library's refusal in the words of side files.
pub fn verdict(error: Error) -> Verdict {
    match error {
        Error::AuthenticationFailed => Verdict::AuthFailed,
        Error::Replayed => Verdict::Replayed,
        Error::TooOld => Verdict::TooOld,
        Error::UnknownMki => Verdict::Other("unknown_mki"),
        Error::UnencryptedSrtcp => Verdict::Other("unencrypted_srtcp"),
        Error::UnknownSsrc => Verdict::Other("unknown_ssrc"),
        Error::TooManyStreams => Verdict::Other("too_many_streams"),
        Error::NoKey => Verdict::Other("no_key"),
        Error::KeyExpired => Verdict::Other("key_expired"),
        Error::ForeignGuard => Verdict::Other("foreign_guard"),
        error => match error.fault() {
            Fault::Packet => Verdict::Malformed,
            Fault::Peer => Verdict::Other("refused_peer"),
            Fault::Key => Verdict::Other("refused_key"),
            _ => Verdict::Other("refused_call"),
        },
    }
}
