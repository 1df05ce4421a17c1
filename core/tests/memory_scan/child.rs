//! The process under test. It is told what to do by lines, and says by lines how far it got; between two phases its memory is searched.
//!
//! Whatever uses a key does so on a thread of its own, which is then parked for good: nothing that comes later covers what it left on its stack.

use keyflip::{Domain, Error, Grace, MasterKey, Profile, Session, SessionBuilder};
use std::io::{BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;

/// What happens to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Rekey,
    /// Rekeys alone: the grace ends since others need its place.
    RekeyTwice,
    /// A reader that is pinned at the rekey wipes the keys as it unpins.
    LastOut,
    Drop,
    FailedConstruction,
    Forgery,
    Panic,
}

impl Scenario {
    const ALL: [Self; 7] = [
        Self::Rekey,
        Self::RekeyTwice,
        Self::LastOut,
        Self::Drop,
        Self::FailedConstruction,
        Self::Forgery,
        Self::Panic,
    ];

    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }
}

/// A key on its way: what it is XORed with, and the result. So neither a pipe's buffer nor a string holds it.
pub(crate) struct Masked {
    mask: Vec<u8>,
    masked: Vec<u8>,
}

impl Masked {
    pub(crate) fn new(key: &[u8], mask: Vec<u8>) -> Self {
        let masked = key.iter().zip(&mask).map(|(key, mask)| key ^ mask).collect();
        Self { mask, masked }
    }

    pub(crate) fn to_line(&self) -> String {
        format!("{} {}", hex::encode(&self.mask), hex::encode(&self.masked))
    }

    fn from_line(line: &str) -> Self {
        let (mask, masked) = line.split_once(' ').unwrap();
        Self { mask: hex::decode(mask).unwrap(), masked: hex::decode(masked).unwrap() }
    }

    /// The key, in one buffer that the library will wipe.
    fn unmask(&self) -> Box<[u8]> {
        let mut key = vec![0; self.mask.len()].into_boxed_slice();
        for (to, (mask, masked)) in key.iter_mut().zip(self.mask.iter().zip(&self.masked)) {
            // One by one: in vector registers the whole key might be spilled.
            *to = std::hint::black_box(mask ^ masked);
        }
        key
    }
}

/// Runs `work` on a thread that stays, asleep, with all that is left on its stack.
fn on_its_own_thread<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let label = name.to_owned();
    let thread = move || {
        let here = 0u8;
        println!("@stack {:x} {label}", &raw const here as usize);
        done.send(work()).unwrap();
        loop {
            std::thread::park();
        }
    };
    std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(thread).unwrap();
    result.recv().unwrap()
}

fn read_line() -> String {
    let mut line = String::new();
    assert_ne!(std::io::stdin().lock().read_line(&mut line).unwrap(), 0, "the searcher is there");
    line.trim_end().to_owned()
}

/// Says that a phase is reached, and waits to be told to go on.
fn reached(phase: &str) {
    println!("@reached {phase}");
    std::io::stdout().flush().unwrap();
    assert_eq!(read_line(), "go on");
}

/// A protected packet of the peer's.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) rtcp: bool,
    pub(crate) octets: Vec<u8>,
}

/// The plain packets that each thread has one of: shorter than a block, some blocks, and more than any kernel takes at once.
pub(crate) fn plain_packets() -> Vec<Packet> {
    // SSRC 0 and low indices: what is XORed to the salt for an initialization vector are zeros, so the vector counts as the salt.
    let rtp = |seq, len| ([&[0x80, 96, 0, seq, 0, 0, 0, 9, 0, 0, 0, 0][..], &vec![0x5a; len]].concat(), false);
    let rtcp =
        |words: u8| ([&[0x80, 204, 0, words + 1, 0, 0, 0, 0][..], &vec![0x5a; usize::from(words) * 4]].concat(), true);
    // One has an element of its header to be encrypted: a block of it, and what is left to the end of a word.
    let mut extended = rtp(3, 160);
    let element = [&[0xbe, 0xde, 0, 5, 0x1f][..], &[0x3c; 16], &[0; 3]].concat();
    extended.0[0] |= 0x10;
    extended.0.splice(12..12, element);
    let all = [rtp(0, 11), rtp(1, 160), rtp(2, 1201), extended, rtcp(2), rtcp(250)];
    all.into_iter().map(|(octets, rtcp)| Packet { rtcp, octets }).collect()
}

/// Sessions of the profile, here and at the peer.
pub(crate) fn builder(profile: Profile) -> SessionBuilder {
    let builder = Session::builder(profile);
    if encrypts_headers(profile) { builder.encrypted_header_extensions(&[1]) } else { builder }
}

/// Whether keys of the profile derive one for header extensions.
pub(crate) fn encrypts_headers(profile: Profile) -> bool {
    !profile.name().starts_with("NULL")
}

/// One profile's part of the process.
struct Subject {
    profile: Profile,
    /// The keys that are replaced: sent under, received under. Then those that replace them.
    keys: [Masked; 4],
    /// What the peer sends, under the second key.
    packets: Vec<Packet>,
    sources: Vec<Box<[u8]>>,
    masters: Vec<MasterKey>,
    session: Option<Session>,
}

impl Subject {
    fn read(line: &str) -> Self {
        let profile = line.strip_prefix("profile ").unwrap().parse().unwrap();
        let keys = std::array::from_fn(|_| Masked::from_line(&read_line()));
        let packets =
            plain_packets().into_iter().map(|plain| Packet { octets: hex::decode(read_line()).unwrap(), ..plain });
        Self { profile, keys, packets: packets.collect(), sources: Vec::new(), masters: Vec::new(), session: None }
    }

    /// Has the library take the keys of `sources`, on a thread of its own.
    fn take(&mut self) {
        self.masters = self.with_keys("take", |keys| keys);
    }

    /// Hands the keys that the library has taken, and those of `sources`, to `work` on a thread of its own.
    fn with_keys<T: Send + 'static>(
        &mut self,
        name: &str,
        work: impl FnOnce(Vec<MasterKey>) -> T + Send + 'static,
    ) -> T {
        let (taken, mut sources) = (std::mem::take(&mut self.masters), std::mem::take(&mut self.sources));
        let take = |source: &mut Box<[u8]>| MasterKey::take(source);
        on_its_own_thread(name, move || work(taken.into_iter().chain(sources.iter_mut().map(take)).collect()))
    }

    fn unmask(&mut self, which: [usize; 2]) {
        self.sources = which.iter().map(|which| self.keys[*which].unmask()).collect();
    }

    fn build(&mut self, domain: &Domain, scenario: Scenario) {
        let (domain, profile) = (domain.clone(), self.profile);
        if scenario == Scenario::FailedConstruction {
            self.with_keys("build", move |keys| {
                let [tx, rx] = <[MasterKey; 2]>::try_from(keys).unwrap().map(|key| key.with_mki(&[1]).unwrap());
                // The second meets the first's MKI, when both are derived.
                let error = builder(profile).inbound(tx).inbound(rx).build(&domain).unwrap_err();
                assert_eq!(error, Error::DuplicateMki);
            });
            self.unmask([0, 1]);
            let domain = Domain::new();
            self.with_keys("build of the wrong profile", move |keys| {
                let other = if profile.key_len() == 32 { Profile::Aes128CmSha1_80 } else { Profile::AeadAes256Gcm };
                for key in keys {
                    let error = builder(other).outbound(key).build(&domain).unwrap_err();
                    assert_eq!(error, Error::WrongKeyAndSaltLength);
                }
            });
            return;
        }
        self.session = Some(self.with_keys("build", move |keys| {
            let [tx, rx] = keys.try_into().unwrap();
            let builder = builder(profile).outbound(tx).inbound(rx).grace(Grace::LAST);
            builder.build(&domain).unwrap()
        }));
        if !profile.is_authenticated() {
            let inbound = self.session.as_ref().unwrap().inbound();
            inbound.add_stream(0, keyflip::Roc(0)).unwrap();
        }
    }

    fn use_keys(&self, scenario: Scenario) {
        let Some(session) = &self.session else { return };
        for (plain, protected) in plain_packets().into_iter().zip(&self.packets) {
            for tx in [true, false] {
                let (session, packet) = (session.clone(), if tx { plain.clone() } else { protected.clone() });
                let name = format!("{} {} {}", if tx { "tx" } else { "rx" }, plain.octets.len(), self.profile);
                let authenticated = self.profile.is_authenticated();
                on_its_own_thread(&name, move || match scenario {
                    Scenario::Panic => {
                        let outcome = catch_unwind(AssertUnwindSafe(|| {
                            let guard = session.outbound().domain().pin();
                            packet.travel(&session, &guard, tx).unwrap();
                            panic!("in the user's code, while pinned");
                        }));
                        assert!(outcome.is_err());
                    }
                    Scenario::Forgery if !tx && authenticated => {
                        let mut forged = packet;
                        *forged.octets.last_mut().unwrap() ^= 1;
                        let error = forged.travel(&session, &session.inbound().domain().pin(), tx).unwrap_err();
                        assert_eq!(error, Error::AuthenticationFailed);
                    }
                    _ => packet.travel(&session, &session.inbound().domain().pin(), tx).unwrap(),
                });
            }
        }
    }

    fn end(&mut self, scenario: Scenario) {
        let Some(session) = self.session.clone() else { return };
        let len = self.profile.key_len() + self.profile.salt_len();
        match scenario {
            Scenario::Drop => {
                drop(session);
                let session = self.session.take();
                on_its_own_thread("drop", move || drop(session));
            }
            Scenario::RekeyTwice => {
                self.unmask([2, 3]);
                self.with_keys("rekey twice", move |keys| {
                    let [tx, rx] = keys.try_into().unwrap();
                    let mut between = vec![0x77; len];
                    session.outbound().rekey(tx).unwrap();
                    session.inbound().rekey(MasterKey::take(&mut between)).unwrap();
                    session.inbound().rekey(rx).unwrap();
                });
            }
            Scenario::LastOut => {
                let domain = session.inbound().domain().clone();
                let (pinned, replaced) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
                let reader = {
                    let (pinned, replaced) = (Arc::clone(&pinned), Arc::clone(&replaced));
                    let work = move || {
                        let guard = domain.pin();
                        pinned.wait();
                        replaced.wait();
                        let before = domain.stats();
                        drop(guard);
                        let after = domain.stats();
                        assert_eq!(after.keys_wiped, before.keys_wiped + 2, "this thread has wiped both");
                        assert_eq!(after.keys_wiped, after.keys_retired);
                    };
                    std::thread::spawn(move || on_its_own_thread("last out", work))
                };
                pinned.wait();
                self.rekey(session);
                replaced.wait();
                reader.join().unwrap();
            }
            _ => self.rekey(session),
        }
    }

    fn rekey(&mut self, session: Session) {
        self.unmask([2, 3]);
        self.with_keys("rekey", move |keys| {
            let [tx, rx] = keys.try_into().unwrap();
            session.outbound().rekey(tx).unwrap();
            session.inbound().rekey(rx).unwrap();
            session.inbound().end_grace().unwrap();
        });
    }
}

impl Packet {
    fn travel(mut self, session: &Session, guard: &keyflip::Guard<'_>, tx: bool) -> Result<(), Error> {
        let len = self.octets.len();
        self.octets.resize(len + 64, 0);
        match (tx, self.rtcp) {
            (true, false) => session.outbound().protect_rtp(guard, &mut self.octets, len).map(drop),
            (true, true) => session.outbound().protect_rtcp(guard, &mut self.octets, len).map(drop),
            (false, false) => session.inbound().unprotect_rtp(guard, &mut self.octets[..len]).map(drop),
            (false, true) => session.inbound().unprotect_rtcp(guard, &mut self.octets[..len]).map(drop),
        }
    }
}

/// The process under test, from its first line to its end.
pub(crate) fn run() {
    crate::kernels::use_kernels_asked_for();
    std::panic::set_hook(Box::new(|info| {
        // The panic of the scenario is no news.
        if info.location().is_none_or(|at| !at.file().ends_with("child.rs")) {
            eprintln!("{info}");
        }
    }));
    let scenario = read_line();
    let scenario = Scenario::ALL.into_iter().find(|known| known.name() == scenario).unwrap();
    let mut subjects = Vec::new();
    loop {
        match read_line().as_str() {
            "that is all" => break,
            line => subjects.push(Subject::read(line)),
        }
    }
    // The reclaimer might be first.
    let domain = if scenario == Scenario::LastOut { Domain::without_reclaimer() } else { Domain::new() };
    subjects.iter_mut().for_each(|subject| subject.unmask([0, 1]));
    reached("given");
    subjects.iter_mut().for_each(Subject::take);
    reached("taken");
    for subject in &mut subjects {
        subject.build(&domain, scenario);
        subject.use_keys(scenario);
    }
    reached("in use");
    for subject in &mut subjects {
        subject.end(scenario);
    }
    domain.synchronize(Duration::from_secs(10)).unwrap();
    reached("gone");
}
