//! What the integration tests share: seeded keys, packets, and a sender with its receiver.

#![allow(dead_code)] // Each test binary uses a part of it.

use keyflip::{Domain, Guard, Inbound, MasterKey, Outbound, Profile, Result, Roc, Session, SessionBuilder, Ssrc};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod kernels;

pub(crate) use kernels::use_kernels_asked_for;

/// Which of the two calls of each kind is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Rtp,
    Rtcp,
}

/// Both protocols.
pub(crate) const BOTH: [Protocol; 2] = [Protocol::Rtp, Protocol::Rtcp];

/// One profile of each cipher, for tests to which key lengths do not matter.
pub(crate) const ONE_OF_EACH: [Profile; 3] = [Profile::Aes128CmSha1_80, Profile::AeadAes128Gcm, Profile::NullSha1_32];

/// The SSRC of tests that need one only.
pub(crate) const SSRC: u32 = 0x5eed_0001;

/// The profiles whose packets carry a tag.
pub(crate) fn authenticated() -> impl Iterator<Item = Profile> {
    Profile::ALL.into_iter().filter(|profile| profile.is_authenticated())
}

/// A generator that says the same in every run.
pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// `len` random octets, the same in every run.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut octets = vec![0; len];
    rng(seed).fill_bytes(&mut octets);
    octets
}

/// The octets of a master key, from which any number of [`MasterKey`]s can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) key: Vec<u8>,
    pub(crate) salt: Vec<u8>,
    pub(crate) mki: Vec<u8>,
}

impl Key {
    /// Key number `n` of a profile, with an MKI of `mki_len` octets that differs from those of the 255 keys around it.
    pub(crate) fn nth(profile: Profile, n: u8, mki_len: usize) -> Self {
        // No two profiles share keys: cut to 4 octets, the tag of one with 10 is good in another.
        let of = Profile::ALL.iter().position(|other| *other == profile).unwrap();
        let seed = ((of << 8 | mki_len) << 8) as u64 | u64::from(n);
        let mut mki = noise(seed ^ 0xffff_0000, mki_len);
        if let Some(first) = mki.first_mut() {
            *first = n;
        }
        let salt = noise(seed ^ 0xaaaa_0000, profile.salt_len());
        Self { key: noise(seed, profile.key_len()), salt, mki }
    }

    pub(crate) fn master(&self) -> MasterKey {
        use_kernels_asked_for();
        MasterKey::take_parts(&mut self.key.clone(), &mut self.salt.clone()).with_mki(&self.mki).unwrap()
    }
}

/// An RTP packet to be built.
#[derive(Clone, Debug)]
pub(crate) struct Rtp {
    pub(crate) ssrc: u32,
    pub(crate) seq: u16,
    pub(crate) marker: bool,
    pub(crate) csrcs: Vec<u32>,
    /// Profile-defined identifier, and words of 4 octets.
    pub(crate) extension: Option<(u16, Vec<[u8; 4]>)>,
    /// Octets of padding, the count included; 0 for none.
    pub(crate) padding: u8,
    pub(crate) payload: Vec<u8>,
}

impl Rtp {
    pub(crate) fn new(ssrc: u32, seq: u16) -> Self {
        let payload = noise(u64::from(ssrc) << 16 | u64::from(seq), 20);
        Self { ssrc, seq, marker: false, csrcs: Vec::new(), extension: None, padding: 0, payload }
    }

    /// RFC 3550 5.1 and 5.3.1.
    pub(crate) fn build(&self) -> Vec<u8> {
        let padded = u8::from(self.padding > 0);
        let extended = u8::from(self.extension.is_some());
        let csrc_count = u8::try_from(self.csrcs.len()).unwrap();
        assert!(csrc_count < 16);
        let mut packet = vec![0x80 | padded << 5 | extended << 4 | csrc_count, u8::from(self.marker) << 7 | 96];
        packet.extend(self.seq.to_be_bytes());
        packet.extend((u32::from(self.seq) * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(self.csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()));
        if let Some((id, words)) = &self.extension {
            packet.extend(id.to_be_bytes());
            packet.extend(u16::try_from(words.len()).unwrap().to_be_bytes());
            packet.extend(words.iter().flatten());
        }
        packet.extend(&self.payload);
        if self.padding > 0 {
            packet.extend(vec![0; usize::from(self.padding) - 1]);
            packet.push(self.padding);
        }
        packet
    }
}

/// A plain RTP packet of 32 octets.
pub(crate) fn rtp(ssrc: u32, seq: u16) -> Vec<u8> {
    Rtp::new(ssrc, seq).build()
}

/// An RTCP receiver report with `blocks` report blocks, told from others by `number`.
pub(crate) fn rtcp_report(ssrc: u32, number: u32, blocks: u8) -> Vec<u8> {
    assert!(blocks < 32);
    let mut packet = vec![0x80 | blocks, 201];
    packet.extend((u16::from(blocks) * 6 + 1).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(noise(u64::from(number), usize::from(blocks) * 24));
    packet
}

/// A plain RTCP packet of 32 octets.
pub(crate) fn rtcp(ssrc: u32, number: u32) -> Vec<u8> {
    rtcp_report(ssrc, number, 1)
}

/// A plain packet of either protocol; RTP packets take `number` for their sequence number.
pub(crate) fn plain(protocol: Protocol, ssrc: u32, number: u16) -> Vec<u8> {
    match protocol {
        Protocol::Rtp => rtp(ssrc, number),
        Protocol::Rtcp => rtcp(ssrc, u32::from(number)),
    }
}

pub(crate) fn overhead(outbound: &Outbound, protocol: Protocol) -> usize {
    match protocol {
        Protocol::Rtp => outbound.rtp_overhead(),
        Protocol::Rtcp => outbound.rtcp_overhead(),
    }
}

/// Octets of tag, SRTCP word and MKI, by RFC 3711 3.1 and 3.4.
pub(crate) fn trailer_len(profile: Profile, protocol: Protocol, mki_len: usize) -> usize {
    match protocol {
        Protocol::Rtp => profile.srtp_tag_len() + mki_len,
        Protocol::Rtcp => profile.srtcp_tag_len() + mki_len + 4,
    }
}

pub(crate) fn is_gcm(profile: Profile) -> bool {
    profile.name().starts_with("AEAD_")
}

/// Where the MKI lies in a protected packet of `len` octets (RFC 3711 3.1, RFC 7714 8.2 and 9.2).
pub(crate) fn mki_range(profile: Profile, protocol: Protocol, mki_len: usize, len: usize) -> core::ops::Range<usize> {
    let tag_len = match protocol {
        Protocol::Rtp => profile.srtp_tag_len(),
        Protocol::Rtcp => profile.srtcp_tag_len(),
    };
    let end = if is_gcm(profile) { len } else { len - tag_len };
    end - mki_len..end
}

/// The E flag and the index of an SRTCP packet.
pub(crate) fn srtcp_word(profile: Profile, mki_len: usize, packet: &[u8]) -> (bool, u32) {
    let end = mki_range(profile, Protocol::Rtcp, mki_len, packet.len()).start;
    let word = u32::from_be_bytes(packet[end - 4..end].try_into().unwrap());
    (word >> 31 == 1, word & 0x7fff_ffff)
}

pub(crate) fn protect(
    outbound: &Outbound,
    guard: &Guard<'_>,
    protocol: Protocol,
    buffer: &mut [u8],
    len: usize,
) -> Result<usize> {
    match protocol {
        Protocol::Rtp => outbound.protect_rtp(guard, buffer, len),
        Protocol::Rtcp => outbound.protect_rtcp(guard, buffer, len),
    }
}

pub(crate) fn protect_to(
    outbound: &Outbound,
    guard: &Guard<'_>,
    protocol: Protocol,
    packet: &[u8],
    output: &mut [u8],
) -> Result<usize> {
    match protocol {
        Protocol::Rtp => outbound.protect_rtp_to(guard, packet, output),
        Protocol::Rtcp => outbound.protect_rtcp_to(guard, packet, output),
    }
}

pub(crate) fn unprotect<'p>(
    inbound: &Inbound,
    guard: &Guard<'_>,
    protocol: Protocol,
    packet: &'p mut [u8],
) -> Result<&'p mut [u8]> {
    match protocol {
        Protocol::Rtp => inbound.unprotect_rtp(guard, packet),
        Protocol::Rtcp => inbound.unprotect_rtcp(guard, packet),
    }
}

pub(crate) fn unprotect_to(
    inbound: &Inbound,
    guard: &Guard<'_>,
    protocol: Protocol,
    packet: &[u8],
    output: &mut [u8],
) -> Result<usize> {
    match protocol {
        Protocol::Rtp => inbound.unprotect_rtp_to(guard, packet, output),
        Protocol::Rtcp => inbound.unprotect_rtcp_to(guard, packet, output),
    }
}

/// Protects `plain` in a buffer that has room for it; a refusal must leave the buffer as it was (P8).
pub(crate) fn seal(outbound: &Outbound, protocol: Protocol, plain: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + overhead(outbound, protocol), 0xee);
    let before = buffer.clone();
    match protect(outbound, &outbound.domain().pin(), protocol, &mut buffer, plain.len()) {
        Ok(len) => {
            assert_eq!(len, buffer.len(), "length of the protected packet");
            Ok(buffer)
        }
        Err(error) => {
            assert_eq!(buffer, before, "{error:?} left traces in the buffer");
            Err(error)
        }
    }
}

/// Unprotects a copy of `packet`; a refusal must leave the copy as it was (P8).
pub(crate) fn open(inbound: &Inbound, protocol: Protocol, packet: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = packet.to_vec();
    let opened = unprotect(inbound, &inbound.domain().pin(), protocol, &mut buffer).map(|plain| plain.to_vec());
    if let Err(error) = opened {
        assert_eq!(buffer, packet, "{error:?} left traces in the buffer");
    }
    opened
}

/// What a direction has accepted or sent, by stream: SSRC; then highest index, cycle and count of RTP and of RTCP.
pub(crate) type Accepted = Vec<(Ssrc, [(Option<u64>, u32, u64); 2])>;

pub(crate) fn accepted(streams: &[keyflip::StreamInfo]) -> Accepted {
    let track = |track: keyflip::TrackInfo| (track.highest_index, track.cycle, track.packets);
    let mut list: Accepted = streams.iter().map(|info| (info.ssrc, [track(info.rtp), track(info.rtcp)])).collect();
    list.sort_unstable();
    list
}

/// A sending and a receiving session that share a domain, a policy, and key number 0.
///
/// The other directions hold key number 255.
pub(crate) struct Pair {
    pub(crate) domain: Domain,
    pub(crate) sender: Session,
    pub(crate) receiver: Session,
    pub(crate) profile: Profile,
    pub(crate) mki_len: usize,
}

impl Pair {
    pub(crate) fn new(profile: Profile) -> Self {
        Self::with(profile, 0, |builder| builder)
    }

    pub(crate) fn with(profile: Profile, mki_len: usize, configure: impl Fn(SessionBuilder) -> SessionBuilder) -> Self {
        Self::differing(profile, mki_len, &configure, &configure)
    }

    /// A pair whose ends have policies of their own.
    pub(crate) fn differing(
        profile: Profile,
        mki_len: usize,
        sender: impl Fn(SessionBuilder) -> SessionBuilder,
        receiver: impl Fn(SessionBuilder) -> SessionBuilder,
    ) -> Self {
        let domain = Domain::new();
        let (there, back) = (Key::nth(profile, 0, mki_len), Key::nth(profile, 255, mki_len));
        let sender = sender(Session::builder(profile)).outbound(there.master()).inbound(back.master());
        let receiver = receiver(Session::builder(profile)).inbound(there.master()).outbound(back.master());
        let (sender, receiver) = (sender.build(&domain).unwrap(), receiver.build(&domain).unwrap());
        Self { domain, sender, receiver, profile, mki_len }
    }

    pub(crate) fn key(&self, n: u8) -> Key {
        Key::nth(self.profile, n, self.mki_len)
    }

    pub(crate) fn outbound(&self) -> &Outbound {
        self.sender.outbound()
    }

    pub(crate) fn inbound(&self) -> &Inbound {
        self.receiver.inbound()
    }

    /// Adds the stream at the receiver if its profile cannot do so by itself.
    pub(crate) fn announce(&self, ssrc: u32) {
        if !self.profile.is_authenticated() {
            self.inbound().add_stream(ssrc, Roc(0)).unwrap();
        }
    }

    /// The protected form of [`plain`].
    pub(crate) fn sealed(&self, protocol: Protocol, ssrc: u32, number: u16) -> Vec<u8> {
        seal(self.outbound(), protocol, &plain(protocol, ssrc, number)).unwrap()
    }

    pub(crate) fn open(&self, protocol: Protocol, packet: &[u8]) -> Result<Vec<u8>> {
        open(self.inbound(), protocol, packet)
    }

    /// Sends a packet; it must arrive as it was.
    pub(crate) fn send(&self, protocol: Protocol, ssrc: u32, number: u16) {
        let packet = self.sealed(protocol, ssrc, number);
        assert_eq!(self.open(protocol, &packet), Ok(plain(protocol, ssrc, number)), "{protocol:?} {ssrc:x} {number}");
    }

    pub(crate) fn accepted(&self) -> Accepted {
        accepted(&self.inbound().streams())
    }

    /// The sum of all refusals of the receiver.
    pub(crate) fn refusals(&self) -> u64 {
        let counts = self.inbound().refused();
        counts.malformed
            + counts.authentication_failed
            + counts.unknown_mki
            + counts.unknown_ssrc
            + counts.replayed
            + counts.no_key
            + counts.other
    }
}

/// Calls its closure when it goes, by a panic too.
pub(crate) struct AtEnd<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
