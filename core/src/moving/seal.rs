//! Blobs, sealed by XChaCha20-Poly1305: its nonces are long enough to be random.

use super::encode::encode;
use super::wire::Writer;
use super::{Error, VERSION};
use crate::context::DirectionState;
use crate::kernels::{Vaulted, scrub_after_derivation, scrubbed};
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{Key, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use cipher::inout::InOutBuf;
use core::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Octets of a [`SealingKey`].
pub const SEALING_KEY_LEN: usize = 32;

const MAGIC: [u8; 4] = *b"KFMV";
const HEADER_LEN: usize = 8;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;

const OUTBOUND: u8 = 0;
const INBOUND: u8 = 1;

type Nonce = [u8; NONCE_LEN];

/// What blobs are sealed under: a secret that the two processes share, and nobody else.
///
/// It lies in memory of its own ([`KeyMemory`](crate::KeyMemory)), is wiped on drop, and cannot be read back.
pub struct SealingKey(Vaulted<[u8]>);

impl SealingKey {
    /// Takes a key of 32 octets, and wipes `source`.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`]. The source is untouched then.
    pub fn take(source: &mut [u8]) -> Result<Self, Error> {
        if source.len() != SEALING_KEY_LEN {
            return Err(Error::WrongKeyLength(source.len()));
        }
        let mut key = Vaulted::zeroed(SEALING_KEY_LEN);
        scrubbed(scrub_after_derivation, || key.copy_from_slice(source));
        source.zeroize();
        Ok(Self(key))
    }

    /// The cipher under it, for `work`; what that leaves on the stack is scrubbed.
    fn with<R>(&self, work: impl FnOnce(&XChaCha20Poly1305) -> Option<R>) -> Option<R> {
        scrubbed(scrub_after_derivation, || {
            let key: &Key = (&*self.0).try_into().ok()?;
            work(&XChaCha20Poly1305::new(key))
        })
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(redacted)")
    }
}

/// # Errors
///
/// [`Error::NoRandomness`].
pub(super) fn nonce() -> Result<Nonce, Error> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| Error::NoRandomness)?;
    Ok(nonce)
}

const fn header(inbound: bool) -> [u8; HEADER_LEN] {
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, VERSION, if inbound { INBOUND } else { OUTBOUND }, 0, 0]
}

/// Writes the state to a blob, and encrypts it there.
pub(super) fn seal(key: &SealingKey, nonce: &Nonce, state: &DirectionState) -> Vec<u8> {
    let mut counting = Writer::counting();
    encode(state, &mut counting);
    let header = header(state.inbound);
    let start = HEADER_LEN + NONCE_LEN;
    // As long as it must be: it does not grow, so nothing of it is left elsewhere.
    let mut blob = Zeroizing::new(vec![0; start + counting.len() + TAG_LEN]);
    let (head, rest) = blob.split_at_mut(start);
    head.iter_mut().zip(header.iter().chain(nonce)).for_each(|(to, from)| *to = *from);
    let (body, tag) = rest.split_at_mut(counting.len());
    let sealed = scrubbed(scrub_after_derivation, || {
        encode(state, &mut Writer::to(body));
        key.with(|cipher| {
            cipher.encrypt_inout_detached(&XNonce::from(*nonce), &header, InOutBuf::from(&mut *body)).ok()
        })
    });
    // A key of the right length, and less than 256 GiB: it is sealed. Else nothing would verify, and nothing be shown.
    if let Some(sealed) = sealed {
        tag.copy_from_slice(&sealed);
        core::mem::take(&mut *blob)
    } else {
        Vec::new()
    }
}

/// Opens a blob for `read`, which is told whether it is of a receiving direction; what it reads is wiped afterwards.
///
/// # Errors
///
/// [`Error::NotABlob`], [`Error::UnknownVersion`], [`Error::NotAuthentic`]; those of `read`.
pub(super) fn open<R>(
    key: &SealingKey,
    blob: &[u8],
    read: impl FnOnce(bool, &mut [u8]) -> Result<R, Error>,
) -> Result<R, Error> {
    let (head, rest) = blob.split_first_chunk::<HEADER_LEN>().ok_or(Error::NotABlob)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Error::NotABlob)?;
    let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(Error::NotABlob)?;
    let &[a, b, c, d, version, direction, ..] = head;
    if [a, b, c, d] != MAGIC {
        return Err(Error::NotABlob);
    }
    if version != VERSION {
        return Err(Error::UnknownVersion(version));
    }
    let mut plain = Zeroizing::new(body.to_vec());
    key.with(|cipher| {
        let body = InOutBuf::from(&mut plain[..]);
        cipher.decrypt_inout_detached(&XNonce::from(*nonce), head, body, &Tag::from(*tag)).ok()
    })
    .ok_or(Error::NotAuthentic)?;
    // Authentic, so the direction is one that somebody wrote.
    scrubbed(scrub_after_derivation, || read(direction == INBOUND, &mut plain))
}
