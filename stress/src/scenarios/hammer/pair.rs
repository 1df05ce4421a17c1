//! A sender and its receiver, and how they turn to the next key together without losing a packet.
//!
//! The receiver keeps the keys of two *generations*: the current one and, in grace, the one before. So generation
//! g + 1 may begin only when every packet of generation g - 1 has been delivered. The lane and the control side agree
//! on that without a lock:
//!
//! 1. `turned` is the sender's generation. It is stored after the sender's rekey: whatever is protected after it was
//!    read is of that generation or a later one.
//! 2. `floor` is at most the generation of any packet in flight or yet to be protected. It is raised when a batch has
//!    been delivered, to what `turned` was before the next batch was begun, and never falls.
//! 3. The control side begins g + 1 only at `floor >= g`. By 2, no packet of g - 1 is in flight then, nor can be again.
//! 4. `turning` is stored before the sender's rekey: a packet is known to be of generation g if `turned` was g before
//!    it was protected, and `turning` is still g after.
//! 5. `received` is stored after the receiver's rekey: a packet of a generation below it is delivered in grace.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use keyflip::{Domain, Grace, Inbound, Outbound, Profile, Session, Ssrc};
use rand_chacha::ChaCha8Rng;

use crate::keys::Material;

/// A sender and its receiver.
pub(super) struct Pair {
    pub(super) outbound: Outbound,
    pub(super) inbound: Inbound,
    pub(super) profile: Profile,
    mki_len: usize,
    turning: AtomicU64,
    turned: AtomicU64,
    received: AtomicU64,
    floor: AtomicU64,
    /// What `floor` becomes when the batch in flight is delivered. The lane's own.
    next_floor: AtomicU64,
}

impl Pair {
    pub(super) fn new(
        domain: &Domain,
        profile: Profile,
        mki_len: usize,
        grace: Grace,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let key = Material::random(profile, mki(0, mki_len), rng);
        // Two sessions, so that the ends share nothing but their keys.
        let sender = Session::builder(profile).max_streams(1 << 17).outbound(key.key()?).build(domain)?;
        let receiver = Session::builder(profile).max_streams(1 << 17).grace(grace).inbound(key.key()?).build(domain)?;
        Ok(Self {
            outbound: sender.outbound().clone(),
            inbound: receiver.inbound().clone(),
            profile,
            mki_len,
            turning: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            received: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            next_floor: AtomicU64::new(0),
        })
    }

    /// Turns both ends to a new key, unless packets of the generation before the current one are in flight: then it
    /// returns `false`. Only one thread may call it.
    pub(super) fn turn(&self, rng: &mut ChaCha8Rng) -> Result<bool> {
        // Relaxed: this thread alone changes it.
        let current = self.turned.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `note_delivered`, so that what was delivered is (invariant 3).
        if self.floor.load(Ordering::Acquire) < current {
            return Ok(false);
        }
        let next = current + 1;
        let key = Material::random(self.profile, mki(next, self.mki_len), rng);
        self.inbound.rekey(key.key()?).context("rekey of a receiver")?;
        // Release: pairs with the Acquire in `is_behind` (invariant 5).
        self.received.store(next, Ordering::Release);
        // Release: the swap of the sender's ring, which follows, publishes it (invariant 4).
        self.turning.store(next, Ordering::Release);
        self.outbound.rekey(key.key()?).context("rekey of a sender")?;
        // Release: pairs with the Acquire in `generation` and `note_sending` (invariant 1).
        self.turned.store(next, Ordering::Release);
        Ok(true)
    }

    // ---- The lane's side.

    /// Before a batch is protected.
    pub(super) fn note_sending(&self) {
        // Acquire: pairs with the Release in `turn`. Relaxed: the lane's own.
        self.next_floor.store(self.turned.load(Ordering::Acquire), Ordering::Relaxed);
    }

    /// After the batch before it was delivered.
    pub(super) fn note_delivered(&self) {
        // Relaxed: the lane's own. Release: pairs with the Acquire in `turn`.
        self.floor.store(self.next_floor.load(Ordering::Relaxed), Ordering::Release);
    }

    /// Calls `protect`; also returns the generation of what it protected, if that is known for certain.
    pub(super) fn in_generation<T>(&self, protect: impl FnOnce() -> T) -> (T, Option<u64>) {
        // Acquire: pairs with the Release in `turn`.
        let before = self.turned.load(Ordering::Acquire);
        let protected = protect();
        // The library's load of the ring is an Acquire: this cannot be read before that. And had `protect` seen the
        // next ring, it would have seen all that came before its swap, `turning` included.
        let after = self.turning.load(Ordering::Acquire);
        (protected, (before == after).then_some(before))
    }

    /// Whether the receiver had left `generation` behind by now.
    pub(super) fn is_behind(&self, generation: Option<u64>) -> bool {
        // Acquire: pairs with the Release in `turn`.
        generation.is_some_and(|generation| generation < self.received.load(Ordering::Acquire))
    }

    /// The highest index (RTP, RTCP) of each stream, as sent and as received.
    pub(super) fn streams(&self) -> (BTreeMap<Ssrc, Highest>, BTreeMap<Ssrc, Highest>) {
        let sent = self.outbound.streams().into_iter();
        let received = self.inbound.streams().into_iter();
        (
            sent.map(|stream| (stream.ssrc, (stream.rtp.highest_index, stream.rtcp.highest_index))).collect(),
            received.map(|stream| (stream.ssrc, (stream.rtp.highest_index, stream.rtcp.highest_index))).collect(),
        )
    }
}

/// The highest index of RTP and of RTCP.
pub(super) type Highest = (Option<u64>, Option<u64>);

/// The MKI of a generation: its low octets. Even of one octet, neighbours differ.
fn mki(generation: u64, len: usize) -> Vec<u8> {
    let octets = generation.to_be_bytes();
    octets[octets.len() - len..].to_vec()
}
