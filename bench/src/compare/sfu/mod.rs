//! `sfu`: rooms of ten. Each participant sends audio, three layers of video and RTCP; the server decrypts each packet
//! once and encrypts it for the nine others (a layer of video for the three of them whose links it suits).
//!
//! [`mix`] is what arrives and who gets it, [`feed`] makes the packets, [`relay`] is what each implementation does with
//! them, and this file ties them to a lane. Each implementation has participants, and a feed, of its own: it turns keys
//! as often a second as is asked, so a slower one turns more of them a packet. Every turn of a receiving key is one of
//! the sender's, too, so no packet is under a key that is gone.

pub(crate) mod feed;
pub(crate) mod mix;
pub(crate) mod relay;

use super::agree;
use super::lane::{Lane, Laps, Load};
use super::ours::{self, Relay as OurRelay};
use super::peers::{self, Peer, Visitor};
use super::slots::Slots;
use super::who::Who;
use anyhow::Result;
use feed::Feed;
use keyflip::{Domain, Profile};
use mix::Mix;
use relay::{PerPacket, Relay};
use std::rc::Rc;

/// Turned keys in the sample that is checked, if any are turned at all.
const TURNS_CHECKED: u32 = 20;

/// Turned keys in a sample at most: more are not needed to know what one takes.
const MOST_TURNS: f64 = 400.0;

/// What a lane needs to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) profile: Profile,
    /// Turned keys a second on this thread.
    pub(crate) rekeys_per_second: f64,
    /// The number of the first participant's keys.
    pub(crate) first_key: u64,
}

/// An implementation, with its participants.
pub(crate) struct Entrant {
    who: Who,
    feed: Feed,
    relay: Box<dyn Relay>,
    /// Turns due for the time measured so far, less those made.
    due: f64,
    turns: u32,
}

impl Entrant {
    /// Bystanders do not, and so their packets are not those of the others.
    const fn turns_keys(&self) -> bool {
        !matches!(self.who, Who::Bystander(_))
    }
}

/// Rooms, once for each implementation.
pub(crate) struct Rooms {
    config: Config,
    mix: Rc<Mix>,
    /// Where packets go out from.
    output: Slots,
    entrants: Vec<Entrant>,
}

impl Rooms {
    pub(crate) fn new(config: Config, domain: &Domain) -> Result<Self> {
        let mix = Rc::new(Mix::new());
        let mut entrants = Vec::new();
        for kernel in ours::kernels() {
            let relay = OurRelay::new(domain, config.profile, config.first_key, kernel)?;
            entrants.push(entrant(Who::Ours(kernel), config, &mix, Box::new(relay))?);
        }
        let mut visitor = Able { config, mix: Rc::clone(&mix), entrants };
        peers::visit(&mut visitor)?;
        Ok(Self { config, output: mix.output(), mix, entrants: visitor.entrants })
    }
}

fn entrant(who: Who, config: Config, mix: &Rc<Mix>, relay: Box<dyn Relay>) -> Result<Entrant> {
    let feed = Feed::new(config.profile, config.first_key, Rc::clone(mix))?;
    Ok(Entrant { who, feed, relay, due: 0.0, turns: 0 })
}

/// Adds the peers. Where keys turn, those that cannot be rekeyed run along without.
struct Able {
    config: Config,
    mix: Rc<Mix>,
    entrants: Vec<Entrant>,
}

impl Visitor for Able {
    fn visit<P: Peer>(&mut self) -> Result<()> {
        if P::NO_SFU.is_some() {
            return Ok(());
        }
        let runs_along = self.config.rekeys_per_second > 0.0 && P::NO_REKEY.is_some();
        let who = if runs_along { Who::Bystander(P::NAME) } else { Who::Peer(P::NAME) };
        let relay = PerPacket::<P>::new(self.config.profile, self.config.first_key)?;
        self.entrants.push(entrant(who, self.config, &self.mix, Box::new(relay))?);
        Ok(())
    }
}

impl Lane for Rooms {
    fn entrants(&self) -> Vec<Who> {
        self.entrants.iter().map(|entrant| entrant.who).collect()
    }

    fn begin(&mut self, _size: usize) -> Result<()> {
        let turns = if self.config.rekeys_per_second > 0.0 { TURNS_CHECKED } else { 0 };
        let mut first: Option<(&'static str, Vec<Vec<u8>>)> = None;
        for entrant in &mut self.entrants {
            entrant.feed.prepare(if entrant.turns_keys() { turns } else { 0 })?;
            let mut outputs = Vec::new();
            relay::record(&mut *entrant.relay, &mut entrant.feed, &mut self.output, &mut outputs)?;
            match &first {
                _ if !entrant.turns_keys() => {}
                Some((name, expected)) => agree::check(name, expected, entrant.who.name(), &outputs, 0)?,
                None => first = Some((entrant.who.name(), outputs)),
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<()> {
        Ok(())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Clamped just here.
    fn prepare(&mut self, entrant: usize) -> Result<()> {
        let entrant = &mut self.entrants[entrant];
        entrant.turns = entrant.due.clamp(0.0, MOST_TURNS) as u32;
        entrant.feed.prepare(entrant.turns)
    }

    fn run(&mut self, entrant: usize, laps: &mut Laps) -> Result<()> {
        let entrant = &mut self.entrants[entrant];
        relay::cycle(&mut *entrant.relay, &mut entrant.feed, &mut self.output, laps)?;
        if entrant.turns_keys() {
            let due = laps.total().as_secs_f64() * self.config.rekeys_per_second;
            entrant.due += due - f64::from(entrant.turns);
        }
        Ok(())
    }

    fn turns_per_second(&self) -> f64 {
        self.config.rekeys_per_second
    }

    fn load(&self) -> Load {
        self.mix.load()
    }
}

#[cfg(test)]
mod tests {
    use super::feed::Turn;
    use super::mix::Arrival;
    use super::*;
    use crate::PROFILES;

    fn rooms(profile: Profile, rekeys_per_second: f64) -> Rooms {
        let config = Config { profile, rekeys_per_second, first_key: 0 };
        Rooms::new(config, &Domain::without_reclaimer()).unwrap()
    }

    /// The peers among them, after Keyflip with each set of kernels.
    fn peers(all: impl IntoIterator<Item = Who>) -> Vec<&'static str> {
        let (ours, peers): (Vec<_>, Vec<_>) = all.into_iter().partition(|who| matches!(who, Who::Ours(_)));
        assert_eq!(ours, ours::kernels().map(Who::Ours).collect::<Vec<_>>());
        peers.into_iter().map(Who::name).collect()
    }

    #[test]
    fn all_implementations_relay_the_same_packets() {
        for profile in PROFILES {
            let mut rooms = rooms(profile, 0.0);
            assert_eq!(peers(rooms.entrants()), ["libsrtp", "rtc-srtp", "webrtc-srtp"]);
            rooms.begin(0).unwrap();
            rooms.begin(0).unwrap();
        }
    }

    #[test]
    fn those_that_can_be_rekeyed_relay_the_same_packets_while_keys_turn() {
        for profile in PROFILES {
            let mut rooms = rooms(profile, 1000.0);
            let measured = rooms.entrants().into_iter().filter(|who| !matches!(who, Who::Bystander(_)));
            assert_eq!(peers(measured), ["libsrtp"]);
            for _ in 0..3 {
                rooms.begin(0).unwrap();
            }
        }
    }

    /// A server that turns no keys.
    struct Deaf(Box<dyn Relay>);

    impl Relay for Deaf {
        fn relay(&mut self, batch: &[Arrival], input: &mut Slots, first: usize, output: &mut Slots) -> Result<()> {
            self.0.relay(batch, input, first, output)
        }

        fn record(
            &mut self,
            batch: &[Arrival],
            input: &mut Slots,
            first: usize,
            output: &mut Slots,
            record: &mut Vec<Vec<u8>>,
        ) -> Result<()> {
            self.0.record(batch, input, first, output, record)
        }

        fn turn(&mut self, turn: &Turn) -> Result<()> {
            if turn.direction == keyflip_interop::Direction::Receive { self.0.turn(turn) } else { Ok(()) }
        }
    }

    #[test]
    fn a_server_that_goes_on_sending_under_old_keys_is_found_out() {
        let mut rooms = rooms(Profile::AeadAes128Gcm, 1000.0);
        let libsrtp = rooms.entrants.remove(ours::kernels().count());
        rooms.entrants.push(Entrant { relay: Box::new(Deaf(libsrtp.relay)), ..libsrtp });
        let error = rooms.begin(0).unwrap_err().to_string();
        assert!(error.contains("libsrtp does not do what the others do"), "{error}");
    }

    #[test]
    fn keys_turn_as_often_a_second_as_is_asked() {
        let mut rooms = rooms(Profile::AeadAes128Gcm, 5000.0);
        rooms.begin(0).unwrap();
        let (mut turned, mut time) = (0, 0.0);
        for _ in 0..6 {
            rooms.prepare(0).unwrap();
            let mut laps = Laps::start();
            rooms.run(0, &mut laps).unwrap();
            turned += laps.turns.iter().map(Vec::len).sum::<usize>();
            time += laps.total().as_secs_f64();
        }
        // What fell due in the last sample comes with the next.
        let due = u32::try_from(turned).map(f64::from).unwrap() + rooms.entrants[0].due;
        assert!((due / (time * 5000.0) - 1.0).abs() < 0.01, "{due} in {time} s");
    }
}
