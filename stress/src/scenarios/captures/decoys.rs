//! Keys that no packet is under, added beside the genuine ones and retired again: real swaps of the ring.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use keyflip::{Inbound, KeyId, Profile};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::board::Counts;
use crate::keys::Material;
use crate::lanes::Run;

/// The receivers in use, by lane, for the control side.
pub(super) type Targets = Mutex<HashMap<u64, Target>>;

/// A receiver.
#[derive(Clone)]
pub(super) struct Target {
    /// Tells this round's receiver from the lane's others.
    pub(super) round: u64,
    pub(super) inbound: Inbound,
    pub(super) profile: Profile,
    /// The MKIs of the capture's own keys; empty ones if it has none.
    pub(super) mkis: Vec<Vec<u8>>,
}

/// Adds decoy keys to all receivers and retires them again, until the run is over.
pub(super) fn decoys(run: &Run<'_>, targets: &Targets) -> Result<()> {
    /// Decoys that a receiver holds at a time.
    const HELD: usize = 2;
    let mut rng = run.rng(0);
    let mut held: HashMap<(u64, u64), VecDeque<KeyId>> = HashMap::new();
    while !run.is_stopped() && run.settings.rekeys_per_second > 0 {
        let current = targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.retain(|(lane, round), _| current.get(lane).is_some_and(|target| target.round == *round));
        let mut counts = Counts::default();
        for (lane, target) in current {
            let decoy = Material::random(target.profile, target.free_mki(&mut rng), &mut rng).key()?;
            let decoys = held.entry((lane, target.round)).or_default();
            // A random MKI may be another decoy's: then there is none this time.
            match target.inbound.add_key(decoy) {
                Ok(key) => {
                    decoys.push_back(key);
                    counts.rekeys += 1;
                }
                Err(keyflip::Error::DuplicateMki) => {}
                Err(error) => return Err(error).context("adding a decoy"),
            }
            if decoys.len() > HELD
                && let Some(oldest) = decoys.pop_front()
            {
                target.inbound.retire_key(oldest).context("retiring a decoy")?;
                counts.rekeys += 1;
            }
        }
        run.board.book(counts, &[]);
        while run.has_backlog() && !run.is_stopped() {
            std::thread::yield_now();
        }
    }
    Ok(())
}

impl Target {
    /// A random MKI of the capture's length that none of its own keys has.
    fn free_mki(&self, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let mut mki = self.mkis.first().cloned().unwrap_or_default();
        while !mki.is_empty() && self.mkis.contains(&mki) {
            rng.fill_bytes(&mut mki);
        }
        mki
    }
}
