//! What arrives in a cycle, in which order, and who gets it.

use crate::HEADER;
use crate::compare::lane::Load;
use crate::compare::slots::Slots;
use keyflip_interop::Protocol;

/// Rooms of a thread.
const ROOMS: usize = 10;
/// Participants of a room.
const ROOM: usize = 10;
/// Who gets a packet, at most.
pub(crate) const RECEIVERS: usize = ROOM - 1;
/// Participants of a thread.
pub(crate) const PARTICIPANTS: usize = ROOMS * ROOM;
/// Packets that are received at once, all of one room.
pub(crate) const BATCH: usize = 40;

/// What a participant sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Audio,
    /// A layer of simulcast video.
    Video(usize),
    /// A sender report with a source description.
    Rtcp,
}

impl Kind {
    /// What a participant sends in a cycle of 80 ms: 50 packets of audio a second, about 12, 50 and 125 of the layers of video, and 12 of RTCP.
    const CYCLE: [(Self, usize); 5] =
        [(Self::Audio, 4), (Self::Video(0), 1), (Self::Video(1), 4), (Self::Video(2), 10), (Self::Rtcp, 1)];

    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Audio | Self::Video(_) => Protocol::Rtp,
            Self::Rtcp => Protocol::Rtcp,
        }
    }

    /// Octets of the packet.
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::Audio => HEADER + 100,
            Self::Video(0) => HEADER + 900,
            Self::Video(1) => HEADER + 1100,
            Self::Video(_) => HEADER + 1160,
            Self::Rtcp => 56,
        }
    }

    /// The longest packet of all, in octets.
    const LONGEST: usize = Self::Video(2).len();

    /// The SSRC under which a participant sends it. RTCP speaks of the audio.
    #[expect(clippy::cast_possible_truncation)] // Participants are few.
    pub(crate) const fn ssrc(self, participant: usize) -> u32 {
        let stream = match self {
            Self::Audio | Self::Rtcp => 0,
            Self::Video(layer) => 1 + layer as u32,
        };
        0x4000_0000 + participant as u32 * 16 + stream
    }

    /// Whether the `n`th of the nine others gets it: one layer of video suits the link of each.
    const fn is_for(self, n: usize) -> bool {
        match self {
            Self::Audio | Self::Rtcp => true,
            Self::Video(layer) => n % 3 == layer,
        }
    }
}

/// A packet that is received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) sender: usize,
    pub(crate) kind: Kind,
}

/// The nine others in a participant's room.
pub(crate) fn others(participant: usize) -> impl Iterator<Item = usize> {
    let (room, place) = (participant / ROOM, participant % ROOM);
    (1..ROOM).map(move |n| room * ROOM + (place + n) % ROOM)
}

impl Arrival {
    /// The participants who get it.
    pub(crate) fn receivers(self) -> impl Iterator<Item = usize> {
        others(self.sender).enumerate().filter(move |(n, _)| self.kind.is_for(*n)).map(|(_, receiver)| receiver)
    }
}

/// The packets of a cycle of all rooms, by the batches in which they are received.
pub(crate) struct Mix {
    arrivals: Vec<Arrival>,
}

impl Mix {
    pub(crate) fn new() -> Self {
        let rooms: Vec<Vec<Arrival>> = (0..ROOMS).map(room).collect();
        let batches = rooms.first().map_or(0, |room| room.len().div_ceil(BATCH));
        let of_batch = |batch: usize| rooms.iter().flat_map(move |room| room.iter().skip(batch * BATCH).take(BATCH));
        Self { arrivals: (0..batches).flat_map(of_batch).copied().collect() }
    }

    /// The batches, each with the place of its first packet.
    pub(crate) fn batches(&self) -> impl Iterator<Item = (usize, &[Arrival])> {
        self.arrivals.chunks(BATCH).enumerate().map(|(n, batch)| (n * BATCH, batch))
    }

    /// Buffers for a cycle's packets as they come in.
    pub(crate) fn input(&self) -> Slots {
        Slots::new(self.arrivals.len(), Kind::LONGEST + crate::TAILROOM)
    }

    /// Buffers for a batch's packets as they go out.
    pub(crate) fn output(&self) -> Slots {
        let most = self.batches().map(|(_, batch)| batch.iter().map(|arrival| arrival.receivers().count()).sum());
        Slots::new(most.max().unwrap_or(0), Kind::LONGEST)
    }

    /// Each packet counts when it is decrypted, and whenever it is encrypted.
    pub(crate) fn load(&self) -> Load {
        let count = |load: Load, arrival: &Arrival| {
            let packets = 1 + arrival.receivers().count();
            Load { packets: load.packets + packets, octets: load.octets + packets * arrival.kind.len() }
        };
        self.arrivals.iter().fold(Load::default(), count)
    }

    /// Octets of payload in a packet that is relayed, on average.
    pub(crate) fn mean_payload(&self) -> usize {
        let load = self.load();
        load.octets / load.packets - HEADER
    }
}

/// What arrives from a room in a cycle: everybody's packets, mixed as those of senders who do not know of each other.
fn room(room: usize) -> Vec<Arrival> {
    let of_sender = |place: usize| {
        let kinds = Kind::CYCLE.into_iter().flat_map(|(kind, count)| (0..count).map(move |n| (kind, n, count)));
        kinds.map(move |(kind, n, count)| {
            // When it comes, in thousandths of the cycle: evenly spread, senders a little apart.
            let when = (1000 * n / count + 37 * place) % 1000;
            (when, Arrival { sender: room * ROOM + place, kind })
        })
    };
    let mut arrivals: Vec<(usize, Arrival)> = (0..ROOM).flat_map(of_sender).collect();
    arrivals.sort_by_key(|(when, _)| *when);
    arrivals.into_iter().map(|(_, arrival)| arrival).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn everybody_hears_the_nine_others_and_sees_one_layer_of_each() {
        let mut got: BTreeMap<(usize, usize), (usize, Vec<usize>)> = BTreeMap::new();
        for arrival in Mix::new().arrivals {
            for receiver in arrival.receivers() {
                let (audio, layers) = got.entry((arrival.sender, receiver)).or_default();
                match arrival.kind {
                    Kind::Audio => *audio += 1,
                    Kind::Video(layer) if !layers.contains(&layer) => layers.push(layer),
                    Kind::Video(_) | Kind::Rtcp => {}
                }
            }
        }
        assert_eq!(got.len(), PARTICIPANTS * (ROOM - 1));
        for ((sender, receiver), (audio, layers)) in got {
            assert!(sender != receiver && sender / ROOM == receiver / ROOM);
            assert_eq!((audio, layers.len()), (4, 1));
        }
    }

    #[test]
    fn a_batch_is_of_one_room() {
        for (_, batch) in Mix::new().batches() {
            assert!(batch.iter().all(|arrival| arrival.sender / ROOM == batch[0].sender / ROOM));
        }
    }

    #[test]
    fn a_cycle_counts_each_packet_in_and_out() {
        // In: 20 a participant. Out: audio and RTCP for nine, video for three.
        assert_eq!(Mix::new().load().packets, PARTICIPANTS * (20 + 9 * 5 + 3 * 15));
    }
}
