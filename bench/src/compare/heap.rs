//! What a context keeps in memory.

use super::keys::label;
use super::lane::{Laps, Source, Task};
use super::packets::{Contexts, Op, Packets};
use super::peers::{self, Peer, Visitor};
use super::sfu::feed::Feed;
use super::sfu::mix::{Mix, PARTICIPANTS};
use super::sfu::relay::{self, Relay};
use super::slots::Slots;
use super::{ours, per_packet};
use anyhow::{Context as _, Result};
use keyflip::{Domain, Profile};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Contexts that are made to find out.
const CONTEXTS: usize = 1000;

/// Octets of the payloads that bring their streams about.
const SIZE: usize = 160;

/// What contexts are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Use {
    /// One stream is sent.
    Send,
    /// One stream is received.
    Receive,
    /// A participant of `sfu`: the mean of the two contexts and all their streams.
    Sfu,
}

/// Octets a context.
pub(crate) type Heap = BTreeMap<(&'static str, Use, &'static str), usize>;

/// Measures all implementations.
pub(crate) fn measure(profiles: &[Profile]) -> Result<Heap> {
    let mut heap = Heap::new();
    for &profile in profiles {
        for (op, of) in [(Op::Protect, Use::Send), (Op::Unprotect, Use::Receive)] {
            let mut scale = Scale::new(profile, op)?;
            scale.weigh("keyflip", |contexts, domain| match op {
                Op::Protect => Ok(Box::new(ours::Protect::new(domain, contexts, ours::chosen()?)?)),
                Op::Unprotect => Ok(Box::new(ours::Unprotect::new(domain, contexts, ours::chosen()?)?)),
            })?;
            peers::visit(&mut scale)?;
            heap.extend(scale.octets.into_iter().map(|(name, octets)| ((name, of, label(profile)), octets)));
        }
        let mut rooms = Rooms { profile, octets: BTreeMap::new() };
        let domain = Domain::without_reclaimer();
        drop(domain.pin());
        rooms.weigh("keyflip", || Ok(Box::new(ours::Relay::new(&domain, profile, 0, ours::chosen()?)?)))?;
        peers::visit(&mut rooms)?;
        heap.extend(rooms.octets.into_iter().map(|(name, octets)| ((name, Use::Sfu, label(profile)), octets)));
    }
    Ok(heap)
}

/// Contexts with one stream each.
struct Scale {
    contexts: Contexts,
    op: Op,
    domain: Domain,
    source: Packets,
    slots: Slots,
    octets: BTreeMap<&'static str, usize>,
}

impl Scale {
    fn new(profile: Profile, op: Op) -> Result<Self> {
        let contexts = Contexts { profile, count: CONTEXTS, first_key: 0 };
        let domain = Domain::new();
        let mut source = Packets::new(op, contexts, &domain)?;
        source.resize(SIZE)?;
        let slots = source.slots();
        // What a thread allocates at its first pin belongs to no context.
        drop(domain.pin());
        Ok(Self { contexts, op, domain, source, slots, octets: BTreeMap::new() })
    }

    fn weigh(
        &mut self,
        name: &'static str,
        make: impl FnOnce(Contexts, &Domain) -> Result<Box<dyn Task<Packets>>>,
    ) -> Result<()> {
        self.source.advance()?;
        self.source.fill(&mut self.slots);
        let before = allocated()?;
        let mut task = make(self.contexts, &self.domain)?;
        // Streams come with their first packets.
        task.run(&self.source, &mut self.slots)?;
        self.octets.insert(name, allocated()?.saturating_sub(before) / CONTEXTS);
        Ok(())
    }
}

impl Visitor for Scale {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        let op = self.op;
        self.weigh(P::NAME, |contexts, _| match op {
            Op::Protect => Ok(Box::new(per_packet::Protect::<P>::new(contexts)?)),
            Op::Unprotect => Ok(Box::new(per_packet::Unprotect::<P>::new(contexts)?)),
        })
    }
}

/// The participants of `sfu`.
struct Rooms {
    profile: Profile,
    octets: BTreeMap<&'static str, usize>,
}

impl Rooms {
    fn weigh(&mut self, name: &'static str, make: impl FnOnce() -> Result<Box<dyn Relay>>) -> Result<()> {
        let mix = Rc::new(Mix::new());
        let mut feed = Feed::new(self.profile, 0, Rc::clone(&mix))?;
        feed.prepare(0)?;
        let mut output = mix.output();
        let before = allocated()?;
        let mut relay = make()?;
        relay::cycle(&mut *relay, &mut feed, &mut output, &mut Laps::start())?;
        self.octets.insert(name, allocated()?.saturating_sub(before) / (2 * PARTICIPANTS));
        Ok(())
    }
}

impl Visitor for Rooms {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        if P::NO_SFU.is_some() {
            return Ok(());
        }
        let profile = self.profile;
        self.weigh(P::NAME, || Ok(Box::new(relay::PerPacket::<P>::new(profile, 0)?)))
    }
}

/// Octets in use: what malloc gave out, to Rust as to C, and what the process has mapped beside it.
fn allocated() -> Result<usize> {
    let malloc = malloc();
    let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).context("no VmData")?;
    let data: usize = data.trim().trim_end_matches(" kB").parse().context("VmData")?;
    Ok(malloc.uordblks + malloc.hblkhd + (data * 1024).saturating_sub(malloc.arena + malloc.hblkhd))
}

#[allow(unsafe_code)]
fn malloc() -> libc::mallinfo2 {
    // SAFETY: it takes no arguments, and reads the allocator's counts under the allocator's own locks.
    unsafe { libc::mallinfo2() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests beside this one allocate, too, but not that much.
    #[test]
    fn an_allocation_is_seen_and_so_is_its_end() {
        const OCTETS: usize = 256 << 20;
        let before = allocated().unwrap();
        let held = std::hint::black_box(vec![1u8; OCTETS]);
        let with = allocated().unwrap();
        drop(held);
        let after = allocated().unwrap();
        assert!((OCTETS..OCTETS + OCTETS / 4).contains(&(with - before)), "{before} {with}");
        assert!(after < before + OCTETS / 4, "{before} {after}");
    }
}
