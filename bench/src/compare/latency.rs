//! How long a packet takes to unprotect at worst, while another thread turns the key of its context and while none does.
//!
//! Keyflip's control thread rekeys beside the reader. libsrtp's session may not be used by two threads at once, so both
//! take a lock, the reader for each packet.

use super::keys::Keys;
use super::ours;
use super::peers::{Libsrtp, Peer};
use super::who::Who;
use crate::{packet, set_seq};
use anyhow::{Context as _, Result, anyhow, bail};
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use keyflip::{Domain, Inbound, Outbound, Profile};
use keyflip_interop::libsrtp::Session;
use keyflip_interop::{Direction, Protocol};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Contexts whose keys turn, one after the other.
const CONTEXTS: u32 = 100;

/// Octets of a payload.
const SIZE: usize = 160;

/// How often the control thread looks whether a turn is due.
const NAP: Duration = Duration::from_micros(50);

/// Turns that are made up for at once, after the control thread was held up. With more, a context's key would turn twice within moments.
const MOST_AT_ONCE: u32 = 10;

/// Retired values that may wait: more than a second of turns leaves, so that a busy machine, where the reclaimer may be kept from its core for as long,
/// ends no measurement.
const BACKLOG: u64 = 1 << 18;

/// What one implementation's reader saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    pub(crate) who: Who,
    pub(crate) p50_ns: u64,
    pub(crate) p999_ns: u64,
    /// Packets under a key that was replaced before they arrived, and was not accepted any more, in a million.
    pub(crate) lost_ppm: u64,
}

/// Contexts that receive while their keys turn.
trait Receiver: Sync {
    /// Unprotects a packet of context `n`; whether it was accepted.
    fn unprotect(&self, n: usize, packet: &mut [u8]) -> bool;

    /// Replaces the key of context `n`.
    fn rekey(&self, n: usize, keys: &Keys) -> Result<()>;
}

struct Ours {
    domain: Domain,
    contexts: Vec<Inbound>,
}

impl Receiver for Ours {
    fn unprotect(&self, n: usize, packet: &mut [u8]) -> bool {
        self.contexts[n].unprotect_rtp(&self.domain.pin(), packet).is_ok()
    }

    fn rekey(&self, n: usize, keys: &Keys) -> Result<()> {
        self.contexts[n].rekey(keys.master())?;
        Ok(())
    }
}

struct Locked {
    contexts: Vec<Mutex<Session>>,
}

impl Receiver for Locked {
    fn unprotect(&self, n: usize, packet: &mut [u8]) -> bool {
        let session = self.contexts[n].lock();
        session.is_ok_and(|mut session| Libsrtp::unprotect(&mut session, Protocol::Rtp, packet, |_| ()).is_ok())
    }

    fn rekey(&self, n: usize, keys: &Keys) -> Result<()> {
        let mut session = self.contexts[n].lock().map_err(|_| anyhow!("a reader panicked"))?;
        Libsrtp::rekey(&mut session, keys, Direction::Receive)
    }
}

/// Measures Keyflip and libsrtp, each for so long, with so many turned keys a second. Needs two cores.
pub(crate) fn measure(
    profile: Profile,
    rekeys_per_second: u32,
    time: Duration,
    cores: &[CoreId],
) -> Result<Vec<Latency>> {
    let &[data, control, ..] = cores else { bail!("a reader and a control thread need two cores") };
    let cores = (data, control);
    let keys = || (0..u64::from(CONTEXTS)).map(|number| Keys::new(profile, number));
    let mut latencies = Vec::new();
    for kernel in ours::kernels() {
        ours::force(kernel)?;
        let domain = Domain::with_backlog(BACKLOG);
        let contexts = keys().map(|keys| ours::inbound(&domain, &keys)).collect::<Result<_>>()?;
        let receiver = Ours { domain, contexts };
        latencies.push(read(Who::Ours(kernel), &receiver, profile, rekeys_per_second, time, cores)?);
    }
    let session = |keys: Keys| Ok(Mutex::new(Libsrtp::context(&keys, Direction::Receive)?));
    let receiver = Locked { contexts: keys().map(session).collect::<Result<_>>()? };
    latencies.push(read(Who::Peer(Libsrtp::NAME), &receiver, profile, rekeys_per_second, time, cores)?);
    Ok(latencies)
}

fn read(
    who: Who,
    receiver: &impl Receiver,
    profile: Profile,
    rekeys_per_second: u32,
    time: Duration,
    (data, control): (CoreId, CoreId),
) -> Result<Latency> {
    let domain = Domain::with_backlog(BACKLOG);
    let senders = (0..u64::from(CONTEXTS)).map(|number| ours::outbound(&domain, &Keys::new(profile, number)));
    let senders: Vec<Outbound> = senders.collect::<Result<_>>()?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let turning = scope.spawn(|| {
            if !core_affinity::set_for_current(control) {
                bail!("cannot pin a thread to core {}", control.id);
            }
            turn(receiver, &senders, profile, rekeys_per_second, &done)
        });
        let reading = scope.spawn(|| {
            let latency = if core_affinity::set_for_current(data) {
                receive(who, receiver, &senders, &domain, time)
            } else {
                Err(anyhow!("cannot pin a thread to core {}", data.id))
            };
            // Relaxed: it stands for itself.
            done.store(true, Ordering::Relaxed);
            latency
        });
        let latency = reading.join().map_err(|_| anyhow!("the reader panicked"))?;
        turning.join().map_err(|_| anyhow!("the control thread panicked"))??;
        latency
    })
}

/// Turns keys, the receiver's first, so that its sender is never ahead.
fn turn(
    receiver: &impl Receiver,
    senders: &[Outbound],
    profile: Profile,
    rekeys_per_second: u32,
    done: &AtomicBool,
) -> Result<()> {
    let start = Instant::now();
    let mut turned: u32 = 0;
    // Relaxed: it stands for itself.
    while !done.load(Ordering::Relaxed) {
        let most = turned + MOST_AT_ONCE;
        while turned < most && f64::from(turned) < start.elapsed().as_secs_f64() * f64::from(rekeys_per_second) {
            let n = usize::try_from(turned % CONTEXTS)?;
            let keys = Keys::new(profile, (1 << 40) + u64::from(turned));
            receiver.rekey(n, &keys)?;
            senders[n].rekey(keys.master())?;
            turned += 1;
        }
        std::thread::sleep(NAP);
    }
    Ok(())
}

fn receive(
    who: Who,
    receiver: &impl Receiver,
    senders: &[Outbound],
    domain: &Domain,
    time: Duration,
) -> Result<Latency> {
    let mut histogram = Histogram::<u64>::new(3).context("a histogram")?;
    let (plain, len) = packet(1, SIZE);
    let mut buffer = crate::compare::slots::Slots::new(1, plain.len());
    let mut lost: u64 = 0;
    let start = Instant::now();
    for seq in 0.. {
        if start.elapsed() >= time {
            break;
        }
        for (n, sender) in senders.iter().enumerate() {
            buffer.put(0, &plain[..len]);
            let (room, len) = buffer.slot(0);
            set_seq(room, seq);
            let len = sender.protect_rtp(&domain.pin(), room, len)?;
            let start = Instant::now();
            let accepted = receiver.unprotect(n, &mut room[..len]);
            let took = start.elapsed();
            histogram.record(u64::try_from(took.as_nanos())?).context("a latency")?;
            lost += u64::from(!accepted);
        }
    }
    let (p50_ns, p999_ns) = (histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.999));
    Ok(Latency { who, p50_ns, p999_ns, lost_ppm: lost * 1_000_000 / histogram.len().max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_are_measured_while_keys_turn_and_go_on_receiving() {
        let cores = crate::compare::machine::cores();
        let measure = |cores: &[CoreId]| measure(Profile::AeadAes128Gcm, 2000, Duration::from_millis(100), cores);
        assert!(measure(&cores[..1]).is_err(), "one core is not enough");
        if cores.len() > 1 {
            let latencies = measure(&cores).unwrap();
            let whose = ours::kernels().map(Who::Ours).chain([Who::Peer("libsrtp")]);
            assert!(latencies.iter().map(|latency| latency.who).eq(whose), "{latencies:?}");
            for latency in latencies {
                assert!(latency.p50_ns > 0 && latency.p999_ns >= latency.p50_ns, "{latency:?}");
                assert!(latency.lost_ppm < 500_000, "{latency:?}");
            }
        }
    }
}
