//! Calls: two sessions that talk to each other, and the lanes that do the talking.
//!
//! A call hangs on a [`Line`], where the control side may replace it by another at any time. A [`Talker`] looks at its
//! line's number before each batch; only when it has changed it takes the mutex, for a handle of the new call. The
//! handle of the old one it drops under a guard, so the last to do so takes the sessions down while it is pinned.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use keyflip::{Domain, Grace, Profile, Session};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::iter::{IntoParallelRefMutIterator, ParallelIterator};

use crate::board::Board;
use crate::headers::Headers;
use crate::keys::Material;
use crate::lanes::{Lane, Run};
use crate::pair::{Pair, mki};
use crate::stream::{Manner, Stream};

/// Two sessions, and what goes each way.
pub(crate) struct Call {
    /// From here to the peer.
    pub(crate) tx: Pair,
    /// From the peer to here.
    pub(crate) rx: Pair,
}

impl Call {
    /// A call for `lanes` talkers.
    pub(crate) fn new(
        domain: &Domain,
        profile: Profile,
        grace: Grace,
        lanes: usize,
        rng: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let mki_len = rng.random_range(0..=2);
        let headers = Headers::any(profile, rng);
        let [tx, rx] = [(); 2].map(|()| Material::random(profile, mki(0, mki_len), rng));
        let session = |outbound: &Material, inbound: &Material| {
            let builder = headers.configure(Session::builder(profile));
            builder.grace(grace).outbound(outbound.key()?).inbound(inbound.key()?).build(domain)
        };
        let (here, peer) = (session(&tx, &rx)?, session(&rx, &tx)?);
        let pair = |from: &Session, to: &Session| {
            let pair = Pair::between(from.outbound().clone(), to.inbound().clone(), profile, mki_len, lanes);
            pair.hiding_by(headers)
        };
        Ok(Self { tx: pair(&here, &peer), rx: pair(&peer, &here) })
    }

    /// Both ways.
    pub(crate) fn ways(&self) -> [&Pair; 2] {
        [&self.tx, &self.rx]
    }

    /// Whether all its talkers have found their way into it: only then it is worth hanging up.
    pub(crate) fn is_under_way(&self) -> bool {
        self.ways().into_iter().all(|pair| pair.batches() >= 4)
    }

    fn domain(&self) -> &Domain {
        self.rx.inbound.domain()
    }
}

/// A profile that authenticates, any.
pub(crate) fn any_profile(rng: &mut ChaCha8Rng) -> Profile {
    let profiles = profiles();
    profiles[rng.random_range(0..profiles.len())]
}

/// All profiles that authenticate.
pub(crate) fn profiles() -> Vec<Profile> {
    Profile::ALL.into_iter().filter(|profile| profile.is_authenticated()).collect()
}

/// Where the call of the moment is found.
pub(crate) struct Line {
    number: AtomicU64,
    call: Mutex<Arc<Call>>,
}

impl Line {
    pub(crate) fn new(call: Call) -> Self {
        Self { number: AtomicU64::new(0), call: Mutex::new(Arc::new(call)) }
    }

    /// Hangs up, and begins another call; returns the old one.
    pub(crate) fn put(&self, call: Call) -> Arc<Call> {
        let old = std::mem::replace(&mut *self.call.lock().unwrap_or_else(PoisonError::into_inner), Arc::new(call));
        // Release: pairs with the Acquire in `number`.
        self.number.fetch_add(1, Ordering::Release);
        old
    }

    /// The call of the moment.
    pub(crate) fn call(&self) -> Arc<Call> {
        Arc::clone(&self.call.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn number(&self) -> u64 {
        // Acquire: pairs with the Release in `put`: whoever sees the number gets that call, or a later one.
        self.number.load(Ordering::Acquire)
    }
}

/// Talks on a line, both ways, with streams of its own.
pub(crate) struct Talker<'r> {
    pub(crate) run: &'r Run<'r>,
    line: &'r Line,
    lane: usize,
    manner: Manner,
    rng: ChaCha8Rng,
    number: u64,
    pub(crate) call: Arc<Call>,
    /// By way: TX and RX.
    pub(crate) streams: [Vec<Stream>; 2],
    /// How often it raced: so its streams take turns.
    races: usize,
}

/// Streams of a talker, each way, at most.
const STREAMS: usize = 4;

/// Streams of each talker, each way, if there are `lanes`.
pub(crate) fn streams_each(run: &Run<'_>, lanes: usize) -> usize {
    (run.settings.streams / lanes.max(1)).clamp(1, STREAMS)
}

/// The SSRC of a talker's stream.
pub(crate) fn ssrc(lane: usize, way: usize, stream: usize) -> u32 {
    u32::try_from((lane * 2 + way) * STREAMS + stream).unwrap_or(u32::MAX)
}

impl<'r> Talker<'r> {
    /// The talker of one of `lanes` lanes, on a line that it has for itself or shares with all of them.
    pub(crate) fn new(run: &'r Run<'r>, line: &'r Line, lane: usize, lanes: usize, manner: Manner) -> Self {
        let rng = run.rng(3_000_000 + u64::try_from(lane).unwrap_or_default());
        let (number, call) = (line.number(), line.call());
        let mut talker = Self { run, line, lane, manner, rng, number, call, streams: Default::default(), races: 0 };
        talker.begin(streams_each(run, lanes));
        talker
    }

    fn begin(&mut self, streams: usize) {
        for (way, list) in self.streams.iter_mut().enumerate() {
            let rng = &mut self.rng;
            let stream =
                |stream| Stream::new(ssrc(self.lane, way, stream), self.manner, rand::SeedableRng::from_rng(rng));
            *list = (0..streams).map(stream).collect();
        }
    }

    /// Goes over to the call of the moment, if that is another one. What is in flight in the old one is let go.
    pub(crate) fn follow(&mut self) {
        let number = self.line.number();
        if number == self.number {
            return;
        }
        self.number = number;
        let old = std::mem::replace(&mut self.call, self.line.call());
        let domain = old.domain().clone();
        let guard = domain.pin();
        drop(old);
        drop(guard);
        self.begin(self.streams[0].len());
    }

    /// Sends and delivers a batch each way; `deliver` does the latter.
    pub(crate) fn talk(&mut self, deliver: impl Fn(&mut Stream, &Board, &Pair) + Sync) -> Result<()> {
        let Self { run, call, streams, lane, .. } = self;
        for (pair, streams) in call.ways().into_iter().zip(streams) {
            // On a line of its own it is the only lane.
            let lane = *lane % pair.lanes();
            pair.note_sending(lane);
            streams.par_iter_mut().try_for_each(|stream| {
                stream.send(pair)?;
                deliver(stream, run.board, pair);
                anyhow::Ok(())
            })?;
            pair.note_delivered(lane);
        }
        Ok(())
    }

    /// Races one of the streams.
    pub(crate) fn race(&mut self) {
        self.races += 1;
        let (board, call) = (self.run.board, &*self.call);
        for (pair, streams) in call.ways().into_iter().zip(&mut self.streams) {
            let turn = self.races % streams.len().max(1);
            if let Some(stream) = streams.get_mut(turn) {
                stream.race(board, pair);
            }
        }
    }

    /// Delivers all that is in flight: nothing comes after it.
    pub(crate) fn end(&mut self) {
        for (pair, streams) in self.call.ways().into_iter().zip(&mut self.streams) {
            for stream in streams {
                stream.end();
                stream.deliver(self.run.board, pair);
            }
        }
    }
}

impl Lane for Talker<'_> {
    fn advance(&mut self) -> Result<()> {
        self.follow();
        self.talk(Stream::deliver)
    }

    fn race(&mut self) -> Result<()> {
        self.race();
        Ok(())
    }
}
