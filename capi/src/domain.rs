//! Domains: what decides when replaced keys may go.

use crate::boundary::{call, can_put, put, slice_mut};
use crate::error::keyflip_err;
use crate::handles;
use crate::sized::{self, Grows};
use core::ffi::c_char;
use core::time::Duration;
use keyflip::{Domain, DomainStats, PinnedReader, SynchronizeError};
use std::time::Instant;

/// Names a domain. A number, never a pointer: one that names nothing is an error.
pub type keyflip_domain = u64;

/// The domain that every process has, made on first use. It cannot be freed.
pub const KEYFLIP_DEFAULT_DOMAIN: u64 = 0;

/// Without a thread of its own: the program calls keyflip_reclaim from a loop.
pub const KEYFLIP_DOMAIN_WITHOUT_RECLAIMER: u32 = 1;

/// Makes a domain. Replaced keys of its sessions are wiped independently of those of others. Most programs need none: the default domain is there.
///
/// flags is 0 or KEYFLIP_DOMAIN_WITHOUT_RECLAIMER. backlog is the number of retired values, of some three kilobytes each, beyond which a rekey is refused
/// while a thread is stuck inside a call; 0 for 4096; it cannot be given with the flag.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_FLAGS, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_TOO_MANY_HANDLES. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_domain_new(flags: u32, backlog: u64, domain: *mut keyflip_domain) -> i32 {
    call(|| {
        can_put(domain)?;
        let made = match (flags, backlog) {
            (0, 0) => Domain::new(),
            (0, backlog) => Domain::with_backlog(backlog),
            (KEYFLIP_DOMAIN_WITHOUT_RECLAIMER, 0) => Domain::without_reclaimer(),
            (KEYFLIP_DOMAIN_WITHOUT_RECLAIMER, _) => return Err(keyflip_err::BadArgument),
            _ => return Err(keyflip_err::BadFlags),
        };
        // SAFETY: the caller's word.
        unsafe { put(domain, handles::add_domain(made)?) }?;
        Ok(0)
    })
}

/// Frees a domain's handle. Sessions made in it go on; the domain goes with the last of them.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE if it was freed before, never was, or is the default domain. Any thread, and while others use it.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_domain_free(domain: keyflip_domain) -> i32 {
    call(|| handles::remove_domain(domain).map(|()| 0))
}

/// A thread that is inside a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_reader {
    /// Its name or, where it has none, its number in the process; cut to fit, zero-terminated.
    pub thread: [c_char; 64],
    /// How long it has been inside at least, in microseconds.
    pub pinned_us: u64,
}

/// Waits until all keys that were replaced, or went with their session, before the call are wiped. It helps with the work, and holds up nobody.
///
/// If it cannot within within_ms milliseconds, readers, which has room for capacity of them, tells which threads are inside calls, the likeliest cause
/// being the one that has been so for longest, and count how many they are. readers and count may be NULL.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_STALLED; KEYFLIP_ERR_BAD_HANDLE. Not for threads that handle packets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_synchronize(
    domain: keyflip_domain,
    within_ms: u64,
    readers: *mut keyflip_reader,
    capacity: usize,
    count: *mut usize,
) -> i32 {
    call(|| {
        let capacity = if readers.is_null() { 0 } else { capacity };
        // SAFETY: the caller's word.
        let places = unsafe { slice_mut(readers, capacity) }?;
        let (of, deadline) = (handles::domain(domain)?, Instant::now().checked_add(Duration::from_millis(within_ms)));
        let left = || match deadline {
            Some(deadline) => deadline.saturating_duration_since(Instant::now()),
            None => FOREVER,
        };
        // Freed sessions of all domains wait in the default one first.
        let mut outcome = handles::default_domain().synchronize(left().min(FOREVER));
        if outcome.is_ok() && domain != handles::DEFAULT {
            outcome = of.synchronize(left().min(FOREVER));
        }
        let (error, stalled) = match outcome {
            Ok(()) => (None, Vec::new()),
            Err(SynchronizeError::CallerPinned) => (Some(keyflip_err::CallerPinned), Vec::new()),
            Err(SynchronizeError::Stalled { readers, .. }) => (Some(keyflip_err::Stalled), readers),
            Err(_) => (Some(keyflip_err::Internal), Vec::new()),
        };
        for (place, reader) in places.iter_mut().zip(&stalled) {
            *place = describe(reader);
        }
        if !count.is_null() {
            // SAFETY: the caller's word.
            unsafe { put(count, stalled.len()) }?;
        }
        error.map_or(Ok(0), Err)
    })
}

/// As long as anybody waits.
const FOREVER: Duration = Duration::from_secs(1 << 32);

fn describe(reader: &PinnedReader) -> keyflip_reader {
    let mut thread = [0; 64];
    // One place less: the zero at the end.
    for (to, from) in thread.iter_mut().take(63).zip(reader.thread.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    keyflip_reader { thread, pinned_us: u64::try_from(reader.since.elapsed().as_micros()).unwrap_or(u64::MAX) }
}

/// Wipes what can be wiped now, and does what is due (the end of a grace, events for a handler): for the loop of a program whose domain has no thread of
/// its own.
///
/// left, which may be NULL, receives how many values still wait. Returns KEYFLIP_OK or KEYFLIP_ERR_BAD_HANDLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_reclaim(domain: keyflip_domain, left: *mut u64) -> i32 {
    call(|| {
        let waiting = handles::domain(domain)?.reclaim();
        if !left.is_null() {
            // SAFETY: the caller's word.
            unsafe { put(left, waiting) }?;
        }
        Ok(0)
    })
}

/// What became of the keys of a domain. Once no call is in progress, keys_created is the number of those that sessions hold, and of keys_retired.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_domain_stats {
    /// sizeof(keyflip_domain_stats): set it before the call.
    pub size: usize,
    /// Keys derived.
    pub keys_created: u64,
    /// Keys that were replaced, retired, or went with their session.
    pub keys_retired: u64,
    /// Keys wiped from memory.
    pub keys_wiped: u64,
    /// Values of any kind that wait until no thread can see them any more.
    pub items_waiting: u64,
    /// Within so many microseconds half of what was retired was destroyed; at most twice the truth.
    pub wipe_latency_median_us: u64,
    /// Within so many microseconds 99 of 100 were.
    pub wipe_latency_p99_us: u64,
    /// Events lost, since nobody took those before them.
    pub events_missed: u64,
}

// SAFETY: integers, the first of which is the size.
unsafe impl Grows for keyflip_domain_stats {}

/// Reports what became of a domain's keys.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_BAD_SIZE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_domain_counters(domain: keyflip_domain, stats: *mut keyflip_domain_stats) -> i32 {
    call(|| {
        let domain = handles::domain(domain)?;
        let DomainStats { keys_created, keys_retired, keys_wiped, items_waiting, latency, .. } = domain.stats();
        let within = |part| u64::try_from(latency.quantile(part).as_micros()).unwrap_or(u64::MAX);
        let report = keyflip_domain_stats {
            size: 0,
            keys_created,
            keys_retired,
            keys_wiped,
            items_waiting,
            wipe_latency_median_us: within(0.5),
            wipe_latency_p99_us: within(0.99),
            events_missed: domain.events_missed(),
        };
        // SAFETY: the caller's word.
        unsafe { sized::write(stats, &report) }?;
        Ok(0)
    })
}
