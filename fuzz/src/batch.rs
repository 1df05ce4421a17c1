//! Target `batch`: many packets in one call, beside the same packets one by one.
//!
//! 1. Each packet fares in a batch as it fares alone: the same octets, or a refusal for the same reason.
//! 2. What is refused is as it was. Octets between packets are never touched.
//! 3. Both ways leave the same state: streams, keys, what these may still protect, and as many refusals.

use crate::Case;
use crate::ends::{Room, open, seal};
use crate::input::{Form, Octets, Protocol, Setup};
use crate::packet::Shape;
use crate::plant;
use crate::state::{Shown, State};
use arbitrary::Arbitrary;
use keyflip::{
    Domain, Grace, Inbound, Outbound, Outgoing, OutgoingAt, Received, ReceivedAt, Result, Roc, Session, protect_batch,
    protect_batch_in, unprotect_batch, unprotect_batch_in,
};
use std::ops::Range;

/// The input.
#[derive(Arbitrary, Clone, Debug)]
pub struct Batches<'a> {
    setups: [Setup<'a>; SESSIONS],
    /// Packets under a new key after which the grace ends for a stream.
    grace_packets: Option<u8>,
    steps: Vec<Step<'a>>,
}

const SESSIONS: usize = 3;
const SOURCES: [u32; 4] = [1, 0x8000_0000, 0xdead_beef, 0xffff_ffff];
/// What stands where nothing was written.
const UNTOUCHED: u8 = 0xee;
/// Octets between packets of an arena.
const GAP: usize = 3;

/// What happens next.
#[derive(Arbitrary, Clone, Debug)]
enum Step<'a> {
    Send { packets: Vec<Plain>, arena: bool },
    Deliver { packets: Vec<Arrival<'a>>, arena: bool },
    Rekey { session: u8 },
    EndGrace { session: u8 },
}

/// A packet to be protected.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Plain {
    session: u8,
    protocol: Protocol,
    source: u8,
    ahead: i16,
    shape: Shape,
    /// Its buffer is an octet too short.
    short: bool,
}

/// A packet that comes in.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Arrival<'a> {
    Genuine { which: u8 },
    Flipped { which: u8, at: u16, bit: u8 },
    Octets { session: u8, protocol: Protocol, octets: Octets<'a> },
}

/// A packet, where it is and whose it is.
struct Item {
    session: usize,
    protocol: Protocol,
    octets: Vec<u8>,
    /// Octets of its buffer.
    room: usize,
}

impl<'a> Case<'a> for Batches<'a> {
    fn check(&self) {
        let mut world = World::new(self);
        for step in &self.steps {
            match step {
                Step::Send { packets, arena } => world.send(packets, *arena),
                Step::Deliver { packets, arena } => world.deliver(packets, *arena),
                Step::Rekey { session } => world.rekey(usize::from(*session) % SESSIONS),
                Step::EndGrace { session } => {
                    let ends = &world.ends[usize::from(*session) % SESSIONS];
                    assert_eq!((ends.alone.end_grace(), ends.batch.end_grace()), (Ok(()), Ok(())));
                }
            }
            world.domain.reclaim();
            world.compare();
        }
    }
}

/// The ends of a session, twice.
struct Ends {
    sender_alone: Outbound,
    sender_batch: Outbound,
    alone: Inbound,
    batch: Inbound,
    key: u8,
    /// The index that each source sends next, if it sends the next one.
    next: [u64; SOURCES.len()],
}

struct World<'c, 'a> {
    case: &'c Batches<'a>,
    domain: Domain,
    ends: [Ends; SESSIONS],
    sent: Vec<(usize, Protocol, Vec<u8>)>,
}

impl<'c, 'a> World<'c, 'a> {
    fn new(case: &'c Batches<'a>) -> Self {
        let domain = Domain::without_reclaimer();
        let grace = case.grace_packets.map_or(Grace::LAST, |packets| Grace::LAST.until_packets(packets.into()));
        let ends = case.setups.each_ref().map(|setup| {
            let session = || {
                let builder = Session::builder(setup.profile.0).replay_window(64).grace(grace);
                let builder = builder.inbound(setup.key(0).master()).outbound(setup.key(0).master());
                let session = builder.build(&domain).expect("a good policy");
                if !setup.profile.0.is_authenticated() {
                    SOURCES.iter().for_each(|&ssrc| session.inbound().add_stream(ssrc, Roc(0)).expect("a new stream"));
                }
                session
            };
            let (alone, batch) = (session(), session());
            Ends {
                sender_alone: alone.outbound().clone(),
                sender_batch: batch.outbound().clone(),
                alone: alone.inbound().clone(),
                batch: batch.inbound().clone(),
                key: 0,
                next: [0; SOURCES.len()],
            }
        });
        Self { case, domain, ends, sent: Vec::new() }
    }

    fn send(&mut self, packets: &[Plain], arena: bool) {
        let items: Vec<Item> = packets.iter().map(|packet| self.plain(packet)).collect();
        let alone = items.iter().map(|item| {
            let missing = item.octets.len() + self.overhead(item.session, item.protocol) - item.room;
            let room = if missing > 0 { Room::Short(missing) } else { Room::Spare(0) };
            seal(&self.ends[item.session].sender_alone, item.protocol, Form::InPlace, room, &item.octets)
        });
        let alone: Vec<_> = alone.collect();
        let batch = self.protect(&items, arena);
        for ((item, alone), batch) in items.iter().zip(alone).zip(batch) {
            assert_eq!(batch, alone, "{:?} {:02x?}", item.protocol, item.octets);
            if let Ok(sealed) = alone {
                self.sent.push((item.session, item.protocol, sealed));
            }
        }
    }

    fn overhead(&self, session: usize, protocol: Protocol) -> usize {
        let outbound = &self.ends[session].sender_alone;
        if protocol == Protocol::Rtp { outbound.rtp_overhead() } else { outbound.rtcp_overhead() }
    }

    fn plain(&mut self, packet: &Plain) -> Item {
        let (session, source) = (usize::from(packet.session) % SESSIONS, usize::from(packet.source) % SOURCES.len());
        let next = &mut self.ends[session].next[source];
        let octets = match packet.protocol {
            Protocol::Rtp => {
                let index = next.saturating_add_signed(packet.ahead.into());
                *next = index + 1;
                packet.shape.rtp(SOURCES[source], (index % 0x1_0000) as u16)
            }
            Protocol::Rtcp => packet.shape.rtcp(SOURCES[source]),
        };
        let overhead = self.overhead(session, packet.protocol);
        let room = octets.len() + overhead - usize::from(packet.short && overhead > 0);
        Item { session, protocol: packet.protocol, octets, room }
    }

    fn deliver(&mut self, packets: &[Arrival<'_>], arena: bool) {
        let items: Vec<Item> = packets.iter().filter_map(|packet| self.arrival(*packet)).collect();
        let before = self.states(|ends| ends.alone.state());
        let alone: Vec<_> = (items.iter())
            .map(|item| open(&self.ends[item.session].alone, item.protocol, Form::InPlace, &item.octets, 0))
            .collect();
        let batch = self.unprotect(&items, arena);
        for ((item, alone), batch) in items.iter().zip(&alone).zip(&batch) {
            assert_eq!(batch, alone, "{:?} {:02x?}\nbefore: {before:#?}", item.protocol, item.octets);
        }
    }

    fn arrival(&self, arrival: Arrival<'_>) -> Option<Item> {
        let sent = |which: u8| {
            let (session, protocol, octets) = self.sent.get(self.sent.len().checked_sub(1 + usize::from(which))?)?;
            Some(Item { session: *session, protocol: *protocol, octets: octets.clone(), room: octets.len() })
        };
        match arrival {
            Arrival::Genuine { which } => sent(which),
            Arrival::Flipped { which, at, bit } => {
                let mut item = sent(which)?;
                let at = usize::from(at) % item.octets.len();
                item.octets[at] ^= 1 << (bit % 8);
                Some(item)
            }
            Arrival::Octets { session, protocol, octets } => {
                let (session, octets) = (usize::from(session) % SESSIONS, octets.0.to_vec());
                Some(Item { session, protocol, room: octets.len(), octets })
            }
        }
    }

    fn rekey(&mut self, session: usize) {
        let ends = &mut self.ends[session];
        ends.key = ends.key.wrapping_add(1);
        let key = || self.case.setups[session].key(ends.key).master();
        assert_eq!(ends.sender_alone.rekey(key()), ends.sender_batch.rekey(key()));
        assert_eq!(ends.alone.rekey(key()), ends.batch.rekey(key()));
    }

    fn states(&self, of: impl Fn(&Ends) -> State) -> Vec<State> {
        self.ends.iter().map(of).collect()
    }

    /// Invariant 3.
    fn compare(&self) {
        let refusals = |states: &[State]| states.iter().map(|state| state.refusals().0).collect::<Vec<_>>();
        let same = |batch: Vec<State>, alone: Vec<State>, whose: &str| {
            let seen = |states: &[State]| states.iter().map(State::but_refusals).collect::<Vec<_>>();
            assert_eq!(seen(&batch), seen(&alone), "{whose}: in a batch, alone");
            assert_eq!(refusals(&batch), refusals(&alone), "{whose}: refusals in a batch, alone");
        };
        same(self.states(|ends| ends.sender_batch.state()), self.states(|ends| ends.sender_alone.state()), "senders");
        same(self.states(|ends| ends.batch.state()), self.states(|ends| ends.alone.state()), "receivers");
    }

    fn protect(&self, items: &[Item], arena: bool) -> Vec<Result<Vec<u8>>> {
        let mut guard = self.domain.pin();
        let outbound = |item: &Item| &self.ends[item.session].sender_batch;
        let mut store = Store::of(items);
        let results: Vec<_> = if arena {
            let entry = |(item, place): (&Item, &Range<usize>)| match item.protocol {
                Protocol::Rtp => OutgoingAt::rtp(outbound(item), place.clone(), item.octets.len()),
                Protocol::Rtcp => OutgoingAt::rtcp(outbound(item), place.clone(), item.octets.len()),
            };
            let mut entries: Vec<_> = items.iter().zip(&store.places).map(entry).collect();
            assert_eq!(protect_batch_in(&mut guard, &mut store.octets, &mut entries), Ok(()));
            entries.iter().map(OutgoingAt::result).collect()
        } else {
            let mut entries = Vec::new();
            for (item, buffer) in items.iter().zip(store.slices()) {
                entries.push(match item.protocol {
                    Protocol::Rtp => Outgoing::rtp(outbound(item), buffer, item.octets.len()),
                    Protocol::Rtcp => Outgoing::rtcp(outbound(item), buffer, item.octets.len()),
                });
            }
            protect_batch(&mut guard, &mut entries);
            entries.iter().map(Outgoing::result).collect()
        };
        store.check(items, results)
    }

    fn unprotect(&self, items: &[Item], arena: bool) -> Vec<Result<Vec<u8>>> {
        let mut guard = self.domain.pin();
        let inbound = |item: &Item| &self.ends[item.session].batch;
        let mut store = Store::of(items);
        let results: Vec<_> = if arena {
            let entry = |(item, place): (&Item, &Range<usize>)| match item.protocol {
                Protocol::Rtp => ReceivedAt::rtp(inbound(item), place.clone()),
                Protocol::Rtcp => ReceivedAt::rtcp(inbound(item), place.clone()),
            };
            let mut entries: Vec<_> = items.iter().zip(&store.places).map(entry).collect();
            assert_eq!(unprotect_batch_in(&mut guard, &mut store.octets, &mut entries), Ok(()));
            entries.iter().map(ReceivedAt::result).collect()
        } else {
            let mut entries = Vec::new();
            for (item, packet) in items.iter().zip(store.slices()) {
                entries.push(match item.protocol {
                    Protocol::Rtp => Received::rtp(inbound(item), packet),
                    Protocol::Rtcp => Received::rtcp(inbound(item), packet),
                });
            }
            unprotect_batch(&mut guard, &mut entries);
            entries.iter().map(Received::result).collect()
        };
        if plant::is_on() && results.len() > 2 && results[2].is_err() {
            store.octets[0] ^= 1;
        }
        store.check(items, results)
    }
}

/// The packets of a batch, one after the other with gaps.
struct Store {
    octets: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Store {
    fn of(items: &[Item]) -> Self {
        let mut store = Self { octets: vec![UNTOUCHED; GAP], places: Vec::new() };
        for item in items {
            let start = store.octets.len();
            store.octets.extend(&item.octets);
            store.octets.resize(start + item.room, UNTOUCHED);
            store.places.push(start..start + item.room);
            store.octets.extend([UNTOUCHED; GAP]);
        }
        store
    }

    fn slices(&mut self) -> Vec<&mut [u8]> {
        let mut rest = &mut self.octets[GAP..];
        let mut slices = Vec::new();
        for place in &self.places {
            let (slice, behind) = rest.split_at_mut(place.len());
            slices.push(slice);
            rest = &mut behind[GAP..];
        }
        slices
    }

    /// Invariant 2.
    fn check(&self, items: &[Item], results: Vec<Result<usize>>) -> Vec<Result<Vec<u8>>> {
        let untouched = Self::of(items);
        let mut outside = 0;
        for place in &self.places {
            assert!(self.octets[outside..place.start].iter().all(|octet| *octet == UNTOUCHED), "a gap was written");
            outside = place.end;
        }
        assert!(self.octets[outside..].iter().all(|octet| *octet == UNTOUCHED), "a gap was written");
        let one = |(result, place): (Result<usize>, &Range<usize>)| {
            let octets = &self.octets[place.clone()];
            if let Err(error) = result {
                assert!(octets == &untouched.octets[place.clone()], "{error:?} left traces in the buffer");
            }
            result.map(|len| octets[..len].to_vec())
        };
        results.into_iter().zip(&self.places).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::AnyProfile;
    use keyflip::Profile;

    fn setup(profile: Profile) -> Setup<'static> {
        Setup { profile: AnyProfile(profile), key: Octets(&[]), mki: Octets(&[]) }
    }

    fn sent(ahead: i16) -> Plain {
        Plain { session: 0, protocol: Protocol::Rtp, source: 0, ahead, shape: Shape::default(), short: false }
    }

    fn case(profile: Profile, steps: Vec<Step<'static>>) -> Batches<'static> {
        Batches { setups: [setup(profile); SESSIONS], grace_packets: Some(1), steps }
    }

    #[test]
    fn a_grace_ends_within_a_batch() {
        let send = || Step::Send { packets: vec![sent(0), sent(0)], arena: false };
        let deliver = |which: &[u8]| {
            let packets = which.iter().map(|which| Arrival::Genuine { which: *which }).collect();
            Step::Deliver { packets, arena: false }
        };
        // Two packets under each key; the second under the old one comes after the first under the new one.
        let steps = vec![send(), Step::Rekey { session: 0 }, send(), deliver(&[3]), deliver(&[1, 2, 0])];
        case(Profile::AeadAes128Gcm, steps).check();
    }

    #[test]
    fn an_index_moves_within_a_batch() {
        let send = Step::Send { packets: vec![sent(5), sent(20_000), sent(20_000)], arena: false };
        let packets = [0, 2].map(|which| Arrival::Genuine { which }).to_vec();
        for profile in [Profile::AeadAes128Gcm, Profile::NullWithoutAuthentication] {
            let deliver = Step::Deliver { packets: packets.clone(), arena: false };
            case(profile, vec![send.clone(), deliver]).check();
        }
    }
}
