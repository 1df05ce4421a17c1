//! One payload to many.

use crate::apart::{NOBODY, Place, find_overlaps};
use crate::batch::{AT_ONCE, GROUPS_PER_PIN};
use crate::boundary::{Outcome, call, check, slice, slice_mut};
use crate::error::keyflip_err;
use crate::handles::{Other, by_domain, default_domain, look_up};
use crate::session::keyflip_session;
use arrayvec::ArrayVec;
use keyflip::{Guard, Session, Target, fanout};

/// One receiver of a payload.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_target {
    /// By whose sending key.
    pub session: keyflip_session,
    /// A whole RTP header, CSRCs and header extension included. Many targets may share one.
    pub header: *const u8,
    /// Octets of the header.
    pub header_len: usize,
    /// Octets that take the place of as many at the beginning of the payload, for payload descriptors of this target's own; or NULL.
    pub prefix: *const u8,
    /// Octets at prefix.
    pub prefix_len: usize,
    /// Where the SRTP packet goes.
    pub output: *mut u8,
    /// Room at output: header_len, the payload's length, and keyflip_overhead octets.
    pub capacity: usize,
    /// After the call, if status is KEYFLIP_OK: octets of the SRTP packet.
    pub len: usize,
    /// After the call: KEYFLIP_OK or an error, as keyflip_protect_rtp returns it; KEYFLIP_ERR_HEADER_MISMATCH, KEYFLIP_ERR_PREFIX_TOO_LONG, KEYFLIP_ERR_OVERLAP.
    pub status: i32,
    /// 0.
    pub reserved: u32,
}

/// A target of a group whose session was found.
struct Job<'g> {
    /// Its place in the group.
    at: usize,
    session: &'g Session,
    target: keyflip_target,
}

/// A target's places, and those that all share.
const PLACES: usize = 3 * AT_ONCE + 2;

/// Protects one RTP payload for many targets, each packet written straight from the payload, which is not copied: what an SFU does.
///
/// It is as if a packet were made of each target's header and the payload, and given to keyflip_protect_rtp. A target that fails harms no other; its output is
/// untouched. An output must overlap neither the payload nor a header, prefix or output of the same 64 targets, counted from the first: KEYFLIP_ERR_OVERLAP.
///
/// Returns how many packets were made; KEYFLIP_ERR_NULL_POINTER, KEYFLIP_ERR_MISALIGNED, KEYFLIP_ERR_BAD_LENGTH. Any thread. Best with 16 targets or more.
/// No lock, no allocation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_fanout(
    payload: *const u8,
    payload_len: usize,
    targets: *mut keyflip_target,
    count: usize,
) -> i32 {
    call(|| {
        check(payload, payload_len)?;
        // SAFETY: the caller's word.
        let targets = unsafe { slice_mut(targets, count) }?;
        let shared = [
            Place::written(targets.as_ptr().cast(), size_of_val(targets), NOBODY),
            Place::read(payload, payload_len, NOBODY),
        ];
        // As in a batch.
        let mut guard = default_domain().pin();
        let mut made = 0;
        for (turn, group) in targets.chunks_mut(AT_ONCE).enumerate() {
            if turn > 0 && turn.is_multiple_of(GROUPS_PER_PIN) {
                guard.repin();
            }
            made += run_group(&guard, group, shared, (payload, payload_len));
        }
        Ok(made)
    })
}

fn run_group(guard: &Guard<'_>, group: &mut [keyflip_target], shared: [Place; 2], payload: (*const u8, usize)) -> i32 {
    let mut jobs = ArrayVec::<_, AT_ONCE>::new();
    let mut places: ArrayVec<Place, PLACES> = shared.into_iter().collect();
    for (at, target) in group.iter_mut().enumerate() {
        match find(guard, target, at) {
            Ok(job) => {
                target.status = 0;
                places.push(Place::read(target.header, target.header_len, at));
                places.push(Place::read(target.prefix, target.prefix_len, at));
                places.push(Place::written(target.output, target.capacity, at));
                jobs.push(job);
            }
            Err(error) => target.status = error.code(),
        }
    }
    find_overlaps(&mut places, |owner| {
        if let Some(target) = group.get_mut(owner) {
            target.status = keyflip_err::Overlap.code();
        }
    });
    jobs.retain(|(_, job)| group.get(job.at).is_some_and(|target| target.status == 0));
    let mut made = 0;
    by_domain(jobs, |guard, jobs| {
        // SAFETY: the caller's word; and targets that overlap it were left out.
        let payload = unsafe { slice(payload.0, payload.1) }.unwrap_or_default();
        let mut items: ArrayVec<Target<'_>, AT_ONCE> = jobs.iter().map(target).collect();
        fanout(guard, payload, &mut items);
        for (job, result) in jobs.iter().zip(items.iter().map(Target::result)) {
            let Some(target) = group.get_mut(job.at) else { continue };
            match result {
                Ok(len) => {
                    target.len = len;
                    made += 1;
                }
                Err(error) => target.status = keyflip_err::from(error).code(),
            }
        }
    });
    made
}

/// # Errors
///
/// [`keyflip_err::BadHandle`]; what can be seen to be wrong of the buffers.
fn find<'g>(guard: &'g Guard<'_>, target: &keyflip_target, at: usize) -> Outcome<(Option<&'g Other>, Job<'g>)> {
    let (session, other) = look_up(target.session, guard)?;
    check(target.header, target.header_len)?;
    check(target.output, target.capacity)?;
    if target.prefix_len > 0 {
        check(target.prefix, target.prefix_len)?;
    }
    Ok((other, Job { at, session, target: *target }))
}

/// What [`find`] let pass. A part that is refused after all is taken for an empty one.
fn target<'a>(job: &Job<'a>) -> Target<'a> {
    let keyflip_target { header, header_len, prefix, prefix_len, output, capacity, .. } = job.target;
    // SAFETY: the caller's word; and targets that overlap it were left out.
    let header = unsafe { slice(header, header_len) }.unwrap_or_default();
    // SAFETY: as above.
    let prefix = unsafe { slice(prefix, prefix_len) }.unwrap_or_default();
    // SAFETY: as above; it overlaps nothing.
    let output = unsafe { slice_mut(output, capacity) }.unwrap_or_default();
    Target::new(job.session.outbound(), header, output).replacing(prefix)
}
