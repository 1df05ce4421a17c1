//! Many packets at a time.

use crate::apart::{NOBODY, Place, find_overlaps};
use crate::boundary::{Outcome, call, slice_mut};
use crate::error::keyflip_err;
use crate::handles::{Other, by_domain, default_domain, look_up};
use crate::packet::{buffer, check_buffer, protocol};
use crate::session::keyflip_session;
use arrayvec::ArrayVec;
use keyflip::{Guard, Outgoing, Protocol, Received, Session, protect_batch, unprotect_batch};

/// A packet of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_packet {
    /// Whose it is.
    pub session: keyflip_session,
    /// The packet. It is changed in place.
    pub data: *mut u8,
    /// Octets of the packet; after the call, if status is KEYFLIP_OK, of what became of it.
    pub len: usize,
    /// Octets of the buffer at data: for a packet to be protected, room for keyflip_overhead octets behind it; for one to be unprotected, len or more.
    pub capacity: usize,
    /// One of enum keyflip_protocol.
    pub protocol: u32,
    /// After the call: KEYFLIP_OK or an error, as the call for one packet returns it; the packet is untouched then.
    pub status: i32,
}

/// Packets that are worked on at once: as many as the library's own batches take.
pub(crate) const AT_ONCE: usize = 64;

/// Groups after which what was retired meanwhile may go.
pub(crate) const GROUPS_PER_PIN: usize = 4;

/// A packet of a group whose session was found.
struct Job<'g> {
    /// Its place in the group.
    at: usize,
    session: &'g Session,
    protocol: Protocol,
    data: *mut u8,
    len: usize,
    capacity: usize,
}

type Jobs<'g> = ArrayVec<Job<'g>, AT_ONCE>;
type Results = ArrayVec<keyflip::Result<usize>, AT_ONCE>;

impl<'a> Job<'a> {
    /// Its octets.
    ///
    /// # Safety
    ///
    /// The caller's word; and it overlaps nothing that is borrowed.
    unsafe fn buffer(&self) -> &'a mut [u8] {
        // SAFETY: the caller's word. What can be seen to be wrong was refused before.
        unsafe { buffer(self.data, self.len, self.capacity) }.unwrap_or_default()
    }

    fn received(&self) -> Received<'a> {
        // SAFETY: jobs that overlap anything were left out.
        let packet = unsafe { self.buffer() }.get_mut(..self.len).unwrap_or_default();
        match self.protocol {
            Protocol::Rtp => Received::rtp(self.session.inbound(), packet),
            Protocol::Rtcp => Received::rtcp(self.session.inbound(), packet),
        }
    }

    fn outgoing(&self) -> Outgoing<'a> {
        // SAFETY: jobs that overlap anything were left out.
        let buffer = unsafe { self.buffer() };
        match self.protocol {
            Protocol::Rtp => Outgoing::rtp(self.session.outbound(), buffer, self.len),
            Protocol::Rtcp => Outgoing::rtcp(self.session.outbound(), buffer, self.len),
        }
    }
}

/// Unprotects packets of any sessions, streams, profiles and lengths, as recvmmsg or GRO deliver them, each in place.
///
/// It is as if keyflip_unprotect_rtp or keyflip_unprotect_rtcp were called for one after the other, and quicker, best with 16 packets or more. Each packet's
/// status says what became of it; one that is refused harms no other. Of packets whose buffers overlap, each is refused with KEYFLIP_ERR_OVERLAP if they are
/// among the same 64 of the call, counted from the first.
///
/// Returns how many were accepted; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_MISALIGNED, KEYFLIP_ERR_BAD_LENGTH. Any thread. No lock, no allocation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_unprotect_batch(packets: *mut keyflip_packet, count: usize) -> i32 {
    // SAFETY: the caller's word.
    call(|| unsafe { run(packets, count, unprotect) })
}

/// Protects packets of any sessions, streams, profiles and lengths, each in place. As keyflip_unprotect_batch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_protect_batch(packets: *mut keyflip_packet, count: usize) -> i32 {
    // SAFETY: the caller's word.
    call(|| unsafe { run(packets, count, protect) })
}

fn unprotect(guard: &mut Guard<'_>, jobs: &Jobs<'_>) -> Results {
    let mut items: ArrayVec<Received<'_>, AT_ONCE> = jobs.iter().map(Job::received).collect();
    unprotect_batch(guard, &mut items);
    items.iter().map(Received::result).collect()
}

fn protect(guard: &mut Guard<'_>, jobs: &Jobs<'_>) -> Results {
    let mut items: ArrayVec<Outgoing<'_>, AT_ONCE> = jobs.iter().map(Job::outgoing).collect();
    protect_batch(guard, &mut items);
    items.iter().map(Outgoing::result).collect()
}

/// Does `work` on packets, group by group; returns how many were accepted.
///
/// # Safety
///
/// The caller's word, as for [`slice_mut`], of the array and of each packet's buffer.
unsafe fn run(
    packets: *mut keyflip_packet,
    count: usize,
    work: impl Fn(&mut Guard<'_>, &Jobs<'_>) -> Results,
) -> Outcome<i32> {
    // SAFETY: the caller's word.
    let packets = unsafe { slice_mut(packets, count) }?;
    let array = Place::written(packets.as_ptr().cast(), size_of_val(packets), NOBODY);
    // Sessions are looked up under this guard; the work is done under another, so that this one may be borrowed meanwhile.
    let mut guard = default_domain().pin();
    let mut accepted = 0;
    for (turn, group) in packets.chunks_mut(AT_ONCE).enumerate() {
        if turn > 0 && turn.is_multiple_of(GROUPS_PER_PIN) {
            guard.repin();
        }
        accepted += run_group(&guard, group, array, &work);
    }
    Ok(accepted)
}

fn run_group(
    guard: &Guard<'_>,
    group: &mut [keyflip_packet],
    array: Place,
    work: &impl Fn(&mut Guard<'_>, &Jobs<'_>) -> Results,
) -> i32 {
    let mut jobs = ArrayVec::<_, AT_ONCE>::new();
    let mut places = ArrayVec::<Place, { AT_ONCE + 1 }>::new();
    places.push(array);
    for (at, packet) in group.iter_mut().enumerate() {
        match find(guard, packet, at) {
            Ok(job) => {
                packet.status = 0;
                places.push(Place::written(packet.data, packet.capacity, at));
                jobs.push(job);
            }
            Err(error) => packet.status = error.code(),
        }
    }
    find_overlaps(&mut places, |owner| {
        if let Some(packet) = group.get_mut(owner) {
            packet.status = keyflip_err::Overlap.code();
        }
    });
    jobs.retain(|(_, job)| group.get(job.at).is_some_and(|packet| packet.status == 0));
    let mut accepted = 0;
    by_domain(jobs, |guard, jobs| {
        for (job, result) in jobs.iter().zip(work(guard, &jobs)) {
            let Some(packet) = group.get_mut(job.at) else { continue };
            match result {
                Ok(len) => {
                    packet.len = len;
                    accepted += 1;
                }
                Err(error) => packet.status = keyflip_err::from(error).code(),
            }
        }
    });
    accepted
}

/// # Errors
///
/// [`keyflip_err::BadHandle`], [`keyflip_err::BadArgument`]; what can be seen to be wrong of the buffer.
fn find<'g>(guard: &'g Guard<'_>, packet: &keyflip_packet, at: usize) -> Outcome<(Option<&'g Other>, Job<'g>)> {
    let keyflip_packet { session, data, len, capacity, protocol, .. } = *packet;
    let (session, other) = look_up(session, guard)?;
    check_buffer(data, len, capacity)?;
    Ok((other, Job { at, session, protocol: self::protocol(protocol)?, data, len, capacity }))
}
