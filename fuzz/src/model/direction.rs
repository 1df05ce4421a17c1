//! One direction: its keys, and its streams in a list.

use super::MKIS;
use super::keys::Keys;
use super::space::Space;
use crate::input::Protocol;
use crate::state::State;
use keyflip::{Error, Fault, KeyId, KeyLifetime, KeyRole, RefusedCounts, Result};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// SRTP, SRTCP.
    pub(super) windows: [u64; 2],
    pub(super) grace_keys: usize,
    pub(super) grace_packets: Option<u64>,
    pub(super) max_streams: usize,
    pub(super) by_call: bool,
    pub(super) lifetime: KeyLifetime,
    /// Keys are told apart by MKI.
    pub(super) mki: bool,
}

#[derive(Clone, Debug)]
struct Stream {
    /// Else what is left of a removed one: its floor.
    live: bool,
    /// SRTP, SRTCP.
    spaces: [Space; 2],
    /// Outbound: the SRTCP index that is sent next, and the key that sent the one before.
    next_srtcp: u64,
    sent_under: Option<KeyId>,
    /// Packets accepted under this key, while it is the current one.
    settling: Option<(KeyId, u64)>,
}

impl Stream {
    fn new(policy: &Policy, roc: u32, next_srtcp: u64) -> Self {
        let srtp = Space::new(Protocol::Rtp, policy.windows[0], roc);
        let srtcp = Space::new(Protocol::Rtcp, policy.windows[1], 0);
        Self { live: true, spaces: [srtp, srtcp], next_srtcp, sent_under: None, settling: None }
    }

    fn reborn(&self) -> Self {
        let spaces = self.spaces.each_ref().map(Space::reborn);
        Self { live: true, spaces, settling: None, ..self.clone() }
    }

    /// The index wraps under another key only than the one that used up its last value (RFC 3711 9.2).
    fn is_exhausted(&self, key: KeyId) -> bool {
        self.next_srtcp > 0 && self.next_srtcp.is_multiple_of(1 << 31) && self.sent_under == Some(key)
    }
}

pub(super) struct Direction {
    policy: Policy,
    pub(super) keys: Keys,
    streams: BTreeMap<u32, Stream>,
    refused: RefusedCounts,
}

impl Direction {
    pub(super) fn new(policy: Policy, first: KeyId) -> Self {
        Self { policy, keys: Keys::new(policy, first), streams: BTreeMap::new(), refused: RefusedCounts::default() }
    }

    /// The stream of a source as a packet meets it: a new one and one that comes back are provisional.
    fn view(&self, ssrc: u32) -> Stream {
        match self.streams.get(&ssrc) {
            Some(stream) if stream.live => stream.clone(),
            Some(floor) => floor.reborn(),
            None => Stream::new(&self.policy, 0, 0),
        }
    }

    fn is_live(&self, ssrc: u32) -> bool {
        self.streams.get(&ssrc).is_some_and(|stream| stream.live)
    }

    /// Whether a source without a stream may have one.
    fn admit(&self, ssrc: u32) -> Result<()> {
        if self.is_live(ssrc) {
            Ok(())
        } else if self.policy.by_call {
            Err(Error::UnknownSsrc)
        } else {
            self.room_for(ssrc)
        }
    }

    fn room_for(&self, ssrc: u32) -> Result<()> {
        let full = self.streams.len() >= self.policy.max_streams && !self.streams.contains_key(&ssrc);
        if full { Err(Error::TooManyStreams) } else { Ok(()) }
    }

    fn count(&mut self, error: Error) {
        let counts = &mut self.refused;
        *match error {
            Error::AuthenticationFailed => &mut counts.authentication_failed,
            Error::UnknownMki => &mut counts.unknown_mki,
            Error::UnknownSsrc | Error::TooManyStreams => &mut counts.unknown_ssrc,
            Error::Replayed | Error::TooOld | Error::IndexReused | Error::IndexTooOld => &mut counts.replayed,
            error if error.fault() == Fault::Key => &mut counts.no_key,
            _ => &mut counts.other,
        } += 1;
    }

    /// A packet is to be sent; the index it gets, and the number of the key.
    pub(super) fn send(&mut self, protocol: Protocol, ssrc: u32, low: u64) -> Result<(u64, u8)> {
        self.try_send(protocol, ssrc, low).inspect_err(|error| self.count(*error))
    }

    fn try_send(&mut self, protocol: Protocol, ssrc: u32, low: u64) -> Result<(u64, u8)> {
        let key = *self.keys.current();
        if key.left[protocol as usize] == 0 {
            return Err(Error::KeyExpired);
        }
        let mut stream = self.view(ssrc);
        let space = &mut stream.spaces[protocol as usize];
        let index = match protocol {
            Protocol::Rtp => {
                let index = space.estimate(low);
                space.look(index).map_err(|error| match error {
                    Error::Replayed => Error::IndexReused,
                    _ => Error::IndexTooOld,
                })?;
                index
            }
            Protocol::Rtcp if stream.is_exhausted(key.id) => return Err(Error::SrtcpIndexExhausted),
            Protocol::Rtcp => stream.next_srtcp,
        };
        self.admit(ssrc)?;
        if protocol == Protocol::Rtcp {
            stream.next_srtcp += 1;
            stream.sent_under = Some(key.id);
        }
        stream.spaces[protocol as usize].take(index);
        self.streams.insert(ssrc, stream);
        self.keys.current_mut().left[protocol as usize] -= 1;
        Ok((index, key.number))
    }

    /// A packet comes in that was protected at `index` under key number `key`, and perhaps spoilt.
    pub(super) fn receive(&mut self, protocol: Protocol, ssrc: u32, index: u64, key: u8, forged: bool) -> Result<()> {
        self.try_receive(protocol, ssrc, index, key, forged).inspect_err(|error| self.count(*error))
    }

    fn try_receive(&mut self, protocol: Protocol, ssrc: u32, index: u64, key: u8, forged: bool) -> Result<()> {
        let mut stream = self.view(ssrc);
        let space = &stream.spaces[protocol as usize];
        let estimate = space.estimate(index);
        let verdict = space.look(estimate).and_then(|()| self.verify(self.is_live(ssrc), &stream, key));
        // SRTP authenticates the whole index, SRTCP what is on the wire.
        let genuine = !forged && (protocol == Protocol::Rtcp || estimate == index);
        let verdict = verdict.and(if genuine { Ok(()) } else { Err(Error::AuthenticationFailed) });
        if let (Err(_), true) = (&verdict, self.is_live(ssrc)) {
            stream.spaces[protocol as usize].refused += 1;
            self.streams.insert(ssrc, stream);
            return verdict;
        }
        verdict?;

        let current = self.keys.current().id;
        let held = self.keys.by_number(key).expect("a key that has verified a packet");
        let id = held.id;
        if held.left[protocol as usize] == 0 {
            return Err(Error::KeyExpired);
        }
        self.admit(ssrc)?;
        self.keys.by_number(key).expect("as above").left[protocol as usize] -= 1;
        stream.spaces[protocol as usize].take(estimate);
        if id == current {
            let before = stream.settling.filter(|(settling, _)| *settling == id).map_or(0, |(_, packets)| packets);
            stream.settling = Some((id, before + 1));
        }
        self.streams.insert(ssrc, stream);
        Ok(())
    }

    /// Whether the key that protected a packet is one that its stream may use.
    fn verify(&self, live: bool, stream: &Stream, key: u8) -> Result<()> {
        let current = self.keys.current().id;
        let under_current = stream.settling.filter(|(id, _)| *id == current).map_or(0, |(_, packets)| packets);
        let settled = live && self.policy.grace_packets.is_some_and(|limit| under_current >= limit);
        let mut usable = self.keys.list().filter(|(_, role)| !settled || *role != KeyRole::InGrace);
        if !self.policy.mki {
            let found = usable.any(|(held, _)| held.number == key);
            return if found { Ok(()) } else { Err(Error::AuthenticationFailed) };
        }
        match usable.find(|(held, _)| held.number % MKIS == key % MKIS) {
            None => Err(Error::UnknownMki),
            Some((held, _)) if held.number == key => Ok(()),
            Some(_) => Err(Error::AuthenticationFailed),
        }
    }

    pub(super) fn rekey(&mut self, number: u8, id: Option<KeyId>) -> Result<bool> {
        self.keys.rekey(number, id)
    }

    pub(super) fn add_stream(&mut self, ssrc: u32, roc: u32, next_srtcp: u64) -> Result<()> {
        let stream = match self.streams.get(&ssrc) {
            None => {
                self.room_for(ssrc)?;
                Stream::new(&self.policy, roc, next_srtcp)
            }
            Some(stream) if stream.live => return Err(Error::StreamExists),
            Some(floor) => {
                let mut stream = floor.reborn();
                if next_srtcp > 0 && next_srtcp != stream.next_srtcp {
                    return Err(Error::IndexBackward);
                }
                stream.spaces[0].start_in(roc)?;
                stream
            }
        };
        self.streams.insert(ssrc, stream);
        Ok(())
    }

    fn live(&mut self, ssrc: u32) -> Result<&mut Stream> {
        self.streams.get_mut(&ssrc).filter(|stream| stream.live).ok_or(Error::NoSuchStream)
    }

    pub(super) fn remove_stream(&mut self, ssrc: u32) -> Result<()> {
        self.live(ssrc)?.live = false;
        Ok(())
    }

    pub(super) fn set_roc(&mut self, ssrc: u32, roc: u32) -> Result<()> {
        self.live(ssrc)?.spaces[0].set_cycle(roc)
    }

    pub(super) fn roc(&self, ssrc: u32) -> Result<u32> {
        let stream = self.streams.get(&ssrc).filter(|stream| stream.live).ok_or(Error::NoSuchStream)?;
        Ok(stream.spaces[0].track().1)
    }

    pub(super) fn state(&self) -> State {
        let live = self.streams.iter().filter(|(_, stream)| stream.live);
        let streams = live.map(|(ssrc, stream)| (*ssrc, stream.spaces.each_ref().map(Space::track))).collect();
        let keys = self.keys.list().map(|(key, role)| (key.id, *role, key.left[0], key.left[1])).collect();
        State { streams, keys, refused: self.refused }
    }
}
