//! Batches and fan-out on a rayon pool (feature `rayon`).
//!
//! Each thread takes a group of packets at a time, under a guard of its own. Threads share nothing but the contexts of their packets.

use crate::batch::{Outgoing, Received, protect_batch, unprotect_batch};
use crate::crypto::many::AT_ONCE;
use crate::epoch::Domain;
use crate::fanout::{Target, fanout};
use rayon::prelude::*;

/// [`unprotect_batch`] on the threads of the current rayon pool.
///
/// Groups of 64 packets go side by side, so packets of one stream may be judged in another order than the given one, as if several threads received them;
/// each is accepted at most once all the same. Packets of other domains than `domain` are refused.
///
/// ```
/// # use keyflip::{Domain, MasterKey, Profile, Received, Session};
/// # fn main() -> Result<(), keyflip::Error> {
/// # let domain = Domain::new();
/// # let session = Session::builder(Profile::Aes128CmSha1_80).inbound(MasterKey::take(&mut [7; 30])).build(&domain)?;
/// # let mut buffers = vec![[0x80u8; 60]; 1000];
/// let mut packets: Vec<Received<'_>> =
///     buffers.iter_mut().map(|packet| Received::rtp(session.inbound(), packet)).collect();
/// keyflip::par_unprotect_batch(&domain, &mut packets);
/// # assert!(packets.iter().all(|packet| packet.result() == Err(keyflip::Error::AuthenticationFailed)));
/// # Ok(())
/// # }
/// ```
pub fn par_unprotect_batch(domain: &Domain, packets: &mut [Received<'_>]) {
    packets.par_chunks_mut(AT_ONCE).for_each_init(
        || domain.pin(),
        |guard, group| {
            guard.repin();
            unprotect_batch(guard, group);
        },
    );
}

/// [`protect_batch`] on the threads of the current rayon pool, in groups of 64 packets.
///
/// Groups go side by side: where the order of a stream's packets matters (it does beyond the replay window), keep them within one group.
pub fn par_protect_batch(domain: &Domain, packets: &mut [Outgoing<'_>]) {
    packets.par_chunks_mut(AT_ONCE).for_each_init(
        || domain.pin(),
        |guard, group| {
            guard.repin();
            protect_batch(guard, group);
        },
    );
}

/// [`fanout`] on the threads of the current rayon pool, in groups of 64 targets.
pub fn par_fanout(domain: &Domain, payload: &[u8], targets: &mut [Target<'_>]) {
    targets.par_chunks_mut(AT_ONCE).for_each_init(
        || domain.pin(),
        |guard, group| {
            guard.repin();
            fanout(guard, payload, group);
        },
    );
}
