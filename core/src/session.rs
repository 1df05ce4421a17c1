//! A session: both directions with one peer, and how it is made.

use crate::context::Direction;
use crate::crypto::profile::Profile;
use crate::epoch::Domain;
use crate::error::Result;
use crate::inbound::Inbound;
use crate::keys::KeyLifetime;
use crate::moving::Moved;
use crate::outbound::Outbound;
use crate::policy::{Grace, NewStreams, Policy, RocInPackets, RocOnRekey, SrtcpEncryption, UnauthenticatedRoc};
use crate::secret::MasterKey;
use crate::wire::cryptex::Cryptex;
use crate::wire::extension::HeaderKeystream;
use std::sync::Arc;

/// Both directions with one peer. They share a profile and a policy, and nothing that changes: their keys, streams and indices live apart (P2).
#[derive(Clone, Debug)]
pub struct Session {
    inbound: Inbound,
    outbound: Outbound,
}

/// Says what a [`Session`] is to be; made by [`Session::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct SessionBuilder {
    policy: Policy,
    inbound: Vec<MasterKey>,
    outbound: Option<MasterKey>,
    moved: [Option<Moved>; 2],
}

impl Session {
    /// Starts to describe a session.
    pub const fn builder(profile: Profile) -> SessionBuilder {
        SessionBuilder::of(Policy::new(profile))
    }

    /// The receiving direction.
    #[must_use]
    pub const fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    /// The sending direction.
    #[must_use]
    pub const fn outbound(&self) -> &Outbound {
        &self.outbound
    }
}

impl SessionBuilder {
    /// One of this policy, and without keys.
    pub(crate) const fn of(policy: Policy) -> Self {
        Self { policy, inbound: Vec::new(), outbound: None, moved: [None, None] }
    }

    /// What it says of the receiving direction.
    pub(crate) fn into_inbound(self) -> (Policy, Vec<MasterKey>) {
        (self.policy, self.inbound)
    }

    /// What it says of the sending direction.
    pub(crate) fn into_outbound(self) -> (Policy, Option<MasterKey>) {
        (self.policy, self.outbound)
    }

    /// The key of the receiving direction. Without one, it refuses all packets until it is rekeyed. Given again, further keys are added beside the
    /// first, as by [`Inbound::add_key`].
    pub fn inbound(mut self, key: MasterKey) -> Self {
        self.inbound.push(key);
        self
    }

    /// The key of the sending direction. Without one, it refuses all packets until it is rekeyed.
    pub fn outbound(mut self, key: MasterKey) -> Self {
        self.outbound = Some(key);
        self
    }

    /// The SRTP replay window, in packets: 64 to 32768, 1024 unless said. Outbound, it bounds how far out of order packets may be given.
    pub const fn replay_window(mut self, packets: u32) -> Self {
        self.policy.srtp_window = packets;
        self
    }

    /// The SRTCP replay window, in packets: 64 to 32768, 128 unless said.
    pub const fn srtcp_replay_window(mut self, packets: u32) -> Self {
        self.policy.srtcp_window = packets;
        self
    }

    /// What to do about unknown SSRCs; [`NewStreams::AtFirstPacket`] unless said. Without authentication an inbound context never adds a stream by
    /// itself.
    pub const fn new_streams(mut self, new_streams: NewStreams) -> Self {
        self.policy.new_streams = new_streams;
        self
    }

    /// How many streams each direction holds at most in an index space, the floors of removed ones included: 1 to 2^24, 4096 unless said. A full table
    /// refuses, and never evicts. There is one space, but for [`RocOnRekey::Reset`] and [`RocOnRekey::Probe`], where each key in use may have one.
    pub const fn max_streams(mut self, streams: usize) -> Self {
        self.policy.max_streams = streams;
        self
    }

    /// How long replaced inbound keys are accepted; the last two, without a deadline, unless said.
    pub const fn grace(mut self, grace: Grace) -> Self {
        self.policy.grace = grace;
        self
    }

    /// What becomes of the peer's rollover counters and SRTCP indices at an inbound rekey; [`RocOnRekey::Keep`] unless said.
    pub const fn inbound_roc_on_rekey(mut self, roc: RocOnRekey) -> Self {
        self.policy.inbound_roc = roc;
        self
    }

    /// What becomes of our rollover counters and SRTCP indices at an outbound rekey, [`RocOnRekey::Keep`] or [`RocOnRekey::Reset`]; `Keep` unless said.
    pub const fn outbound_roc_on_rekey(mut self, roc: RocOnRekey) -> Self {
        self.policy.outbound_roc = roc;
        self
    }

    /// How many packets a master key may protect, in each direction; what RFC 3711 9.2 allows unless said. Both ends should say the same: a
    /// receiver counts what it accepts, and stops by its own limit.
    pub const fn key_lifetime(mut self, lifetime: KeyLifetime) -> Self {
        self.policy.limits.hard = lifetime;
        self
    }

    /// Raises [`Event::KeyNearLimit`](crate::Event::KeyNearLimit) once no more than so many packets are left of a key's lifetime, less those that
    /// streams have set aside: in time for a rekey. For each key and protocol once; a count of 0, as unless said, is no limit.
    pub const fn key_soft_limit(mut self, left: KeyLifetime) -> Self {
        self.policy.limits.soft = left;
        self
    }

    /// Whether SRTCP is encrypted; [`SrtcpEncryption::Required`] unless said.
    pub const fn srtcp_encryption(mut self, encryption: SrtcpEncryption) -> Self {
        self.policy.srtcp_encryption = encryption;
        self
    }

    /// Has SRTCP packets carry tags of the length that SRTP's have, both ways: for peers that take the 32 bits of `..._HMAC_SHA1_32` for SRTCP, too, as libre
    /// and applications of libsrtp do. RFC 3711 5.2 and RFC 4568 6.2.2 have 80 bits there: a control packet is worth more to a forger than a voice packet.
    pub const fn srtcp_tags_as_short_as_srtps(mut self) -> Self {
        self.policy.spec.srtcp_tag_len = self.policy.spec.srtp_tag_len;
        self
    }

    /// Leaves SRTP payloads in the clear, both ways (`UNENCRYPTED_SRTP`, RFC 4568 6.3.2). They are authenticated still.
    pub const fn unencrypted_srtp(mut self) -> Self {
        self.policy.srtp_encrypted = false;
        self
    }

    /// Encrypts the elements of RTP header extensions that have one of these ids, 1 to 255, both ways (RFC 6904, by `a=extmap` with
    /// `urn:ietf:params:rtp-hdrext:encrypt`). Given again, further ids are added. None unless said.
    ///
    /// Extensions are of the one-byte or the two-byte form (RFC 8285 4.2, 4.3); any other has no elements, and stays in the clear, as ids and lengths do.
    /// Elements are encrypted by AES-CM under a key of their own, whatever the profile, and whether or not payloads are. Where an element reaches past
    /// the end of its extension, the packet is refused, sent or received, with [`Error::ElementOverrun`](crate::Error::ElementOverrun).
    pub fn encrypted_header_extensions(mut self, ids: &[u8]) -> Self {
        ids.iter().for_each(|id| self.policy.elements.add(*id));
        self
    }

    /// Which keystream octets meet those of encrypted header extension elements; [`HeaderKeystream::Rfc6904`] unless said.
    pub const fn header_extension_keystream(mut self, keystream: HeaderKeystream) -> Self {
        self.policy.elements.keystream = keystream;
        self
    }

    /// Whether CSRCs and header extensions are encrypted with payloads, both ways (Cryptex, RFC 9335; `a=cryptex`); [`Cryptex::Off`] unless said.
    ///
    /// Sent, a packet with CSRCs and without an extension gets an empty one, and grows by 4 octets; so does what the peer has of it once it is
    /// unprotected. An extension that is neither of the one-byte form nor of the two-byte form with application bits of 0 is refused with
    /// [`Error::UnknownExtensionForm`](crate::Error::UnknownExtensionForm). A session has either this or [`Self::encrypted_header_extensions`].
    ///
    /// # Performance
    ///
    /// Packets with nothing to hide cost what they do without it. Others are copied once where they go from one buffer to another; received by AES-GCM
    /// and with CSRCs, they are hashed more slowly.
    pub const fn cryptex(mut self, cryptex: Cryptex) -> Self {
        self.policy.cryptex = cryptex;
        self
    }

    /// Lets the sending direction protect an index again: for retransmission of packets that are **identical**, octet for octet, to those sent before
    /// (P6).
    ///
    /// The caller vouches for that. Two different packets under one index give away the XOR of their payloads, and under GCM the authentication
    /// key, with which anybody can forge any packet.
    pub const fn dangerously_allow_identical_retransmission(mut self) -> Self {
        self.policy.retransmission = true;
        self
    }

    /// Has SRTP packets carry their rollover counter, both ways (RFC 4771): those whose sequence number is a multiple of `rate`, 1 to 65535. So a receiver
    /// that joins late, or has lost more packets than an estimate bridges, is in time again with the first of them.
    ///
    /// The counter is believed once the packet's tag has verified with it, and never if it would bring back what was accepted, or is left of the window. With
    /// HMAC-SHA1 it takes 4 octets of the tag's 10 (RCCm2), and no room; with AES-GCM it follows packet, tag and MKI in 4 octets of its own (RCCm3,
    /// RFC 7714). Profiles with HMAC tags of 4 octets have no room for it. SRTCP is not touched.
    ///
    /// To a receiver that knows nothing of a stream, a recorded packet is as good as a new one, with the counter as without.
    ///
    /// Both ends must do so, and at one rate: no signalling but MIKEY's knows of it.
    pub const fn roc_in_packets(mut self, rate: u16) -> Self {
        self.policy.roc = RocInPackets::authenticated(rate);
        self
    }

    /// As [`Self::roc_in_packets`], in the modes of RFC 4771 that leave packets **unauthenticated**: for interoperation with who knows nothing else, on
    /// networks where nobody forges.
    ///
    /// Whoever can send packets can have them accepted, move the stream's indices wherever he likes (so that the sender's own packets are too old), and change
    /// what is decrypted, bit by bit. As without authentication, an inbound context adds no stream by itself (P8).
    pub const fn dangerously_unauthenticated_roc_in_packets(mut self, rate: u16, mode: UnauthenticatedRoc) -> Self {
        self.policy.roc = RocInPackets::unauthenticated(rate, mode);
        self
    }

    /// Lets both directions be moved to another process ([`Inbound::export`], [`Outbound::export`]). Each key keeps the master key that it was derived from
    /// then, in its memory, as long as it lives.
    pub const fn movable(mut self) -> Self {
        self.policy.movable = true;
        self
    }

    /// Makes the session's inbound or outbound direction, whichever it is, from one that another process exported; the last one given of a
    /// direction counts. Keys that are given beside it join those that it has, as by [`Inbound::add_key`] and [`Outbound::add_key`].
    ///
    /// Of the policies, those must be as they were that shape packets: the profile, what is encrypted, and what is done to headers. Others may
    /// differ. Replay windows are for new streams: those that come along keep theirs, as do SSRCs with keys of their own all of their policies.
    pub fn go_on_with(mut self, moved: Moved) -> Self {
        let [inbound, outbound] = &mut self.moved;
        let place = if moved.is_inbound() { inbound } else { outbound };
        *place = Some(moved);
        self
    }

    /// Makes the session, in `domain`.
    ///
    /// # Errors
    ///
    /// [`Error::BadReplayWindow`](crate::Error::BadReplayWindow), [`Error::BadStreamBound`](crate::Error::BadStreamBound),
    /// [`Error::BadKeyLifetime`](crate::Error::BadKeyLifetime), [`Error::CannotProbe`](crate::Error::CannotProbe),
    /// [`Error::BadExtensionId`](crate::Error::BadExtensionId), [`Error::NoHeaderCipher`](crate::Error::NoHeaderCipher),
    /// [`Error::TwoHeaderCiphers`](crate::Error::TwoHeaderCiphers); [`Error::BadRocRate`](crate::Error::BadRocRate),
    /// [`Error::NoRocMode`](crate::Error::NoRocMode); of a direction that was moved here,
    /// [`Error::MovedDiffers`](crate::Error::MovedDiffers), [`Error::TooManyStreams`](crate::Error::TooManyStreams); what [`Inbound::rekey`] and [`Inbound::add_key`] say of keys.
    pub fn build(self, domain: &Domain) -> Result<Session> {
        let [inbound, outbound] = self.moved;
        let inbound = direction(domain, self.policy, true, &self.inbound, inbound)?;
        let outbound = direction(domain, self.policy, false, self.outbound.as_slice(), outbound)?;
        Ok(Session { inbound: Inbound(inbound), outbound: Outbound(outbound) })
    }
}

/// A direction of a session: a new one, or one that was moved here.
fn direction(
    domain: &Domain,
    policy: Policy,
    inbound: bool,
    keys: &[MasterKey],
    moved: Option<Moved>,
) -> Result<Arc<Direction>> {
    let Some(Moved(state)) = moved else { return Direction::new(domain, policy, inbound, keys) };
    let direction = Direction::restored(domain, policy, inbound, state)?;
    for key in keys {
        direction.add_key(None, key)?;
    }
    Ok(direction)
}
