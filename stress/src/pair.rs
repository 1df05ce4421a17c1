//! A sender and its receiver, and how they turn to the next key together without losing a packet.
//!
//! The receiver keeps the keys of two *generations*: the current one and, in grace, the one before. So generation
//! g + 1 may begin only when every packet of generation g - 1 has been delivered. The lanes that share a pair, and the
//! control side, agree on that without a lock:
//!
//! 1. `turned` is the sender's generation. It is stored after the sender's rekey: whatever is protected after it was
//!    read is of that generation or a later one.
//! 2. A lane's `floor` is at most the generation of any packet that it has in flight or is yet to protect. It is raised
//!    when a batch has been delivered, to what `turned` was before the next batch was begun, and never falls.
//! 3. The control side begins g + 1 only when every `floor >= g`. By 2, no packet of g - 1 is in flight then, nor can be
//!    again.
//! 4. `turning` is stored before the sender's rekey: a packet is known to be of generation g if `turned` was g before
//!    it was protected, and `turning` is still g after.
//! 5. `received` is stored after the receiver's rekey: a packet of a generation below it is delivered in grace.
//! 6. A sender's rekey may be refused after its receiver's was done. `half` keeps the key for the next try: the receiver
//!    has both meanwhile, and must not turn again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use keyflip::{Domain, Grace, Inbound, Outbound, Profile, RocOnRekey, Session, Ssrc};
use rand_chacha::ChaCha8Rng;

use crate::board::{Board, Promise};
use crate::headers::Headers;
use crate::keys::Material;

/// A sender and its receiver.
pub(crate) struct Pair {
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    pub(crate) profile: Profile,
    /// What is encrypted of headers.
    pub(crate) headers: Headers,
    mki_len: usize,
    turning: AtomicU64,
    turned: AtomicU64,
    received: AtomicU64,
    lanes: Vec<Floor>,
    half: Mutex<Option<Material>>,
}

/// What a lane has delivered, as a generation.
#[derive(Default)]
struct Floor {
    floor: AtomicU64,
    /// What `floor` becomes when the batch in flight is delivered. The lane's own.
    next: AtomicU64,
    /// Batches delivered.
    batches: AtomicU64,
}

impl Pair {
    /// A sender and a receiver of their own sessions, for one lane.
    pub(crate) fn new(
        domain: &Domain,
        profile: Profile,
        mki_len: usize,
        grace: Grace,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        Self::hiding(Headers::Clear, domain, profile, mki_len, grace, rng)
    }

    /// The same, with headers encrypted so.
    pub(crate) fn hiding(
        headers: Headers,
        domain: &Domain,
        profile: Profile,
        mki_len: usize,
        grace: Grace,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let key = Material::random(profile, mki(0, mki_len), rng);
        // Two sessions, so that the ends share nothing but their keys.
        let builder = || headers.configure(Session::builder(profile)).max_streams(1 << 17);
        let sender = builder().outbound(key.key()?).build(domain)?;
        let receiver = builder().grace(grace).inbound(key.key()?).build(domain)?;
        let pair = Self::between(sender.outbound().clone(), receiver.inbound().clone(), profile, mki_len, 1);
        Ok(pair.hiding_by(headers))
    }

    /// Makes a pair of two ends that hold the same key, for `lanes` lanes.
    pub(crate) fn between(
        outbound: Outbound,
        inbound: Inbound,
        profile: Profile,
        mki_len: usize,
        lanes: usize,
    ) -> Self {
        Self {
            outbound,
            inbound,
            profile,
            headers: Headers::Clear,
            mki_len,
            turning: AtomicU64::new(0),
            turned: AtomicU64::new(0),
            received: AtomicU64::new(0),
            lanes: (0..lanes).map(|_| Floor::default()).collect(),
            half: Mutex::default(),
        }
    }

    /// The same pair, whose ends were told to encrypt headers so.
    pub(crate) fn hiding_by(self, headers: Headers) -> Self {
        Self { headers, ..self }
    }

    /// Turns both ends to a new key, unless packets of the generation before the current one are in flight: then it
    /// returns `false`. Only one thread may call it.
    ///
    /// # Errors
    ///
    /// The library refuses the key: the ends still understand each other then, and another turn may be tried.
    pub(crate) fn turn(&self, rng: &mut ChaCha8Rng) -> keyflip::Result<bool> {
        self.turn_with(rng, RocOnRekey::Keep)
    }

    /// The same, where the receiver does with rollover counters as `roc` says. The sender keeps them.
    pub(crate) fn turn_with(&self, rng: &mut ChaCha8Rng, roc: RocOnRekey) -> keyflip::Result<bool> {
        let mut half = self.half.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: this thread alone changes it.
        let current = self.turned.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `note_delivered`, so that what was delivered is (invariant 3).
        if self.lanes.iter().any(|lane| lane.floor.load(Ordering::Acquire) < current) {
            return Ok(false);
        }
        let next = current + 1;
        let key = if let Some(key) = half.take() {
            key
        } else {
            let key = Material::random(self.profile, mki(next, self.mki_len), rng);
            self.inbound.rekey_with(key.key()?, roc)?;
            // Release: pairs with the Acquire in `is_behind` (invariant 5).
            self.received.store(next, Ordering::Release);
            key
        };
        // Release: the swap of the sender's ring, which follows, publishes it (invariant 4).
        self.turning.store(next, Ordering::Release);
        if let Err(error) = key.key().and_then(|key| self.outbound.rekey(key)) {
            *half = Some(key);
            return Err(error);
        }
        // Release: pairs with the Acquire in `generation` and `note_sending` (invariant 1).
        self.turned.store(next, Ordering::Release);
        Ok(true)
    }

    // ---- The lane's side.

    /// Before a batch of the lane is protected.
    pub(crate) fn note_sending(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            // Acquire: pairs with the Release in `turn`. Relaxed: the lane's own.
            lane.next.store(self.turned.load(Ordering::Acquire), Ordering::Relaxed);
        }
    }

    /// After the lane's batch before it was delivered.
    pub(crate) fn note_delivered(&self, lane: usize) {
        if let Some(lane) = self.lanes.get(lane) {
            // Relaxed: the lane's own. Release: pairs with the Acquire in `turn`.
            lane.floor.store(lane.next.load(Ordering::Relaxed), Ordering::Release);
            // Relaxed: for the control side to see that there is traffic.
            lane.batches.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lanes share it.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// How many batches every lane has delivered.
    pub(crate) fn batches(&self) -> u64 {
        // Relaxed: as in `note_delivered`.
        self.lanes.iter().map(|lane| lane.batches.load(Ordering::Relaxed)).min().unwrap_or_default()
    }

    /// Calls `protect`; also returns the generation of what it protected, if that is known for certain.
    pub(crate) fn in_generation<T>(&self, protect: impl FnOnce() -> T) -> (T, Option<u64>) {
        // Acquire: pairs with the Release in `turn`.
        let before = self.turned.load(Ordering::Acquire);
        let protected = protect();
        // The library's load of the ring is an Acquire: this cannot be read before that. And had `protect` seen the
        // next ring, it would have seen all that came before its swap, `turning` included.
        let after = self.turning.load(Ordering::Acquire);
        (protected, (before == after).then_some(before))
    }

    /// Whether the receiver had left `generation` behind by now.
    pub(crate) fn is_behind(&self, generation: Option<u64>) -> bool {
        // Acquire: pairs with the Release in `turn`.
        generation.is_some_and(|generation| generation < self.received.load(Ordering::Acquire))
    }

    /// What must hold at the end: the receiver has the streams of the sender and no others, each at its index.
    pub(crate) fn judge(&self, board: &Board) {
        let (sent, received) = self.streams();
        if sent.len() != received.len() {
            let what = format_args!("{} streams were sent and {} exist", sent.len(), received.len());
            board.broke(Promise::P8, what);
        }
        for (ssrc, index) in sent {
            let got = received.get(&ssrc).copied().unwrap_or_default();
            if index != got {
                let what = format_args!("stream {ssrc}: sent up to index {index:?}, received up to {got:?}");
                board.broke(Promise::P4, what);
            }
        }
    }

    /// The highest index (RTP, RTCP) of each stream, as sent and as received.
    fn streams(&self) -> (BTreeMap<Ssrc, Highest>, BTreeMap<Ssrc, Highest>) {
        let sent = self.outbound.streams().into_iter();
        let received = self.inbound.streams().into_iter();
        (
            sent.map(|stream| (stream.ssrc, (stream.rtp.highest_index, stream.rtcp.highest_index))).collect(),
            received.map(|stream| (stream.ssrc, (stream.rtp.highest_index, stream.rtcp.highest_index))).collect(),
        )
    }
}

/// The highest index of RTP and of RTCP.
type Highest = (Option<u64>, Option<u64>);

/// The MKI of a generation: its low octets. Even of one octet, neighbours differ.
pub(crate) fn mki(generation: u64, len: usize) -> Vec<u8> {
    let octets = generation.to_be_bytes();
    octets[octets.len() - len..].to_vec()
}
