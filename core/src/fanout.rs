//! One payload to many: what an SFU does with each packet it relays.
//!
//! Each target has a key, a header and an index of its own; the payload is shared. It is encrypted from where it lies straight into each output. The
//! packets are of one length, or of few, so their tags fill the lanes of vector registers.

use crate::context::{FETCH_AHEAD_FROM, fetch_ahead};
use crate::crypto::many::{AT_ONCE, tags};
use crate::epoch::Guard;
use crate::error::{Error, Result};
use crate::kernels::{scrub_after_packet, scrubbed};
use crate::outbound::Outbound;
use crate::protect::{Ready, ready};
use crate::wire::{Protocol, rtp, ssrc_of};
use arrayvec::ArrayVec;

/// Groups after which a guard is pinned afresh.
const GROUPS_PER_PIN: usize = 4;

/// One receiver of a payload: by whose keys, under which header, and where the packet goes.
#[derive(Debug)]
pub struct Target<'a> {
    outbound: &'a Outbound,
    header: &'a [u8],
    prefix: &'a [u8],
    output: &'a mut [u8],
    result: Result<usize>,
}

impl<'a> Target<'a> {
    /// A packet of `header`, a whole RTP header (CSRCs and header extension included), and the payload, protected into `output`, which needs
    /// `header.len() + payload.len() +` [`Outbound::rtp_overhead`] octets.
    pub const fn new(outbound: &'a Outbound, header: &'a [u8], output: &'a mut [u8]) -> Self {
        Self { outbound, header, prefix: &[], output, result: Err(Error::NotProcessed) }
    }

    /// Puts `octets` in the place of as many octets at the beginning of the payload: a payload descriptor of this target's own, as VP8 and VP9 need
    /// when layers are dropped.
    #[must_use]
    pub const fn replacing(self, octets: &'a [u8]) -> Self {
        Self { prefix: octets, ..self }
    }

    /// The length of the protected packet, or why there is none.
    ///
    /// # Errors
    ///
    /// As [`Outbound::protect_rtp`]; [`Error::HeaderMismatch`] if the header is shorter or longer than it says;
    /// [`Error::PrefixTooLong`] if more octets are to be replaced than the payload has; [`Error::NotProcessed`] before the call.
    pub const fn result(&self) -> Result<usize> {
        self.result
    }

    /// The protected packet.
    ///
    /// # Errors
    ///
    /// As [`Self::result`].
    pub fn protected(&self) -> Result<&[u8]> {
        self.result.map(|len| self.output.get(..len).unwrap_or_default())
    }

    /// Takes the packet's index, and writes all of it but its tag; `None` if that is written, too.
    #[inline(always)]
    fn encrypt<'g>(&mut self, guard: &'g Guard<'_>, payload: &[u8]) -> Result<Option<Ready<'g>>>
    where
        'a: 'g,
    {
        if rtp::parse(self.header)?.len != self.header.len() {
            return Err(Error::HeaderMismatch);
        }
        let rest = payload.get(self.prefix.len()..).ok_or(Error::PrefixTooLong)?;
        let len = self.header.len() + payload.len();
        let ready = ready(&self.outbound.0, guard, Protocol::Rtp, self.header, len, self.output.len())?;
        let mut sealed = false;
        if ready.is_cryptex() {
            sealed = self.encrypt_cryptex(ready, rest);
        } else if let Some((header, body)) = self.output.split_at_mut_checked(self.header.len()) {
            header.copy_from_slice(self.header);
            let (body, room) = body.split_at_mut_checked(payload.len()).unwrap_or_default();
            ready.encrypt_elements(header);
            sealed = ready.encrypt_parts(header, (self.prefix, rest), body, room);
        }
        ready.put_clear(self.output);
        if sealed {
            self.result = Ok(ready.len());
        }
        Ok((!sealed).then_some(ready))
    }

    /// Puts the packet together first: of its header, too, something is encrypted.
    #[cold]
    fn encrypt_cryptex(&mut self, ready: Ready<'_>, rest: &[u8]) -> bool {
        let packet = self.header.iter().chain(self.prefix).chain(rest);
        for (to, from) in self.output.iter_mut().zip(packet) {
            *to = *from;
        }
        ready.encrypt_cryptex(self.output)
    }
}

/// Protects one payload for many targets, each packet written straight from `payload`. Results are in the targets.
///
/// It is as if a packet were made of each target's header and the payload, and given to [`Outbound::protect_rtp`]; targets of several contexts,
/// profiles and sessions may be mixed. A target that fails harms no other. The guard is pinned afresh every 256 targets.
///
/// # Performance
///
/// Best with 16 targets or more. It does not allocate, and copies nothing but headers.
///
/// ```
/// # use keyflip::{Domain, MasterKey, Profile, Session, Target};
/// # fn main() -> Result<(), keyflip::Error> {
/// # let domain = Domain::new();
/// let subscriber = |octet| {
///     Session::builder(Profile::Aes128CmSha1_80).outbound(MasterKey::take(&mut [octet; 30])).build(&domain)
/// };
/// let subscribers = [subscriber(1)?, subscriber(2)?, subscriber(3)?];
/// let header = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
/// let mut outputs = [[0u8; 1500]; 3];
/// let mut targets: Vec<Target<'_>> = (subscribers.iter().zip(&mut outputs))
///     .map(|(subscriber, output)| Target::new(subscriber.outbound(), &header, output))
///     .collect();
/// keyflip::fanout(&mut domain.pin(), b"a payload", &mut targets);
/// for target in &targets {
///     assert_eq!(target.protected()?.len(), header.len() + 9 + 10);
/// }
/// # Ok(())
/// # }
/// ```
pub fn fanout(guard: &mut Guard<'_>, payload: &[u8], targets: &mut [Target<'_>]) {
    let many = targets.len() >= FETCH_AHEAD_FROM;
    for (turn, group) in targets.chunks_mut(AT_ONCE).enumerate() {
        if turn > 0 && turn.is_multiple_of(GROUPS_PER_PIN) {
            guard.repin();
        }
        if many {
            fetch_ahead(guard, Protocol::Rtp, |at| {
                let target = group.get(at)?;
                Some((&**target.outbound.0, ssrc_of(Protocol::Rtp, target.header)?))
            });
        }
        protect_group(guard, payload, group);
    }
}

fn protect_group(guard: &Guard<'_>, payload: &[u8], targets: &mut [Target<'_>]) {
    let mut encrypted: ArrayVec<(u8, Ready<'_>), AT_ONCE> = ArrayVec::new();
    scrubbed(scrub_after_packet, || {
        for (at, target) in (0..).zip(targets.iter_mut().take(AT_ONCE)) {
            match target.encrypt(guard, payload) {
                Ok(Some(ready)) => encrypted.push((at, ready)),
                Ok(None) => {}
                Err(error) => target.result = Err(error),
            }
        }
    });
    if encrypted.is_empty() {
        return;
    }
    let tags = tags(encrypted.len(), |nth| {
        let (at, ready) = encrypted.get(nth)?;
        Some(ready.tag_job(targets.get(usize::from(*at))?.output))
    });
    for (nth, (at, ready)) in encrypted.iter().enumerate() {
        if let (Some(target), Some(tag)) = (targets.get_mut(usize::from(*at)), tags.get(nth)) {
            tag.write(ready.split(target.output).1);
            target.result = Ok(ready.len());
        }
    }
}
