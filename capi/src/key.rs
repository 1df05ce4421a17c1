//! Keys, and how they are replaced.

use crate::boundary::{Outcome, call, put, reference, slice, slice_mut};
use crate::error::keyflip_err;
use crate::handles::{self, Direction};
use crate::info::choose;
use crate::session::keyflip_session;
use crate::sized::{self, Grows};
use keyflip::{KeyId, MasterKey, Rekeyed, RocOnRekey};
use zeroize::{Zeroize, Zeroizing};

/// A direction of a session. Each has keys and streams of its own.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_direction {
    /// What the peer sends, and we unprotect.
    Inbound = 1,
    /// What we protect and send.
    Outbound = 2,
}

/// What becomes of rollover counters, SRTCP indices and replay lists at a rekey.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum keyflip_roc {
    /// In keyflip_rekey_options: what the session was told when it was made. When it is made: KEYFLIP_ROC_KEEP.
    Default = 0,
    /// They go on, as RFC 3711 3.3.1 asks.
    Keep = 1,
    /// They begin afresh, at 0, as with peers that follow RFC 4568 7.1.4 or make a new context for each key.
    Reset = 2,
    /// Inbound only: the first SRTP packet of each SSRC under the new key says what its sender does.
    Probe = 3,
}

/// A master key. The library copies what it needs, into memory that it locks and wipes; the octets here stay the caller's, to be wiped when they are not
/// needed any more (keyflip_wipe).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_key {
    /// The master key; if salt is NULL, the master key and behind it the master salt, as SDES has them.
    pub key: *const u8,
    /// Octets at key.
    pub key_len: usize,
    /// The master salt, or NULL.
    pub salt: *const u8,
    /// Octets at salt; 0 if that is NULL.
    pub salt_len: usize,
    /// The MKI (RFC 3711 3.1), or NULL. All keys of a direction have MKIs of one length, or none.
    pub mki: *const u8,
    /// Octets at mki: 0 to 128.
    pub mki_len: usize,
    /// The most SRTP packets, and the most SRTCP packets, under this key: 1 to 2^48; 0 for what the session allows.
    pub lifetime: u64,
}

/// How a key is replaced. All zero (but for size) is the same as a null pointer.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct keyflip_rekey_options {
    /// sizeof(keyflip_rekey_options).
    pub size: usize,
    /// One of enum keyflip_roc.
    pub roc: u32,
    /// KEYFLIP_REKEY_NO_GRACE or 0.
    pub flags: u32,
}

// SAFETY: integers, the first of which is the size.
unsafe impl Grows for keyflip_rekey_options {}

/// Inbound: the keys before this one, those in grace included, are refused from here on. For keys that are known to others.
pub const KEYFLIP_REKEY_NO_GRACE: u32 = 1;

/// What keyflip_rekey returns where nothing has changed.
pub const KEYFLIP_REKEY_UNCHANGED: i32 = 1;

pub(crate) const ROCS: [(u32, Option<RocOnRekey>); 4] =
    [(0, None), (1, Some(RocOnRekey::Keep)), (2, Some(RocOnRekey::Reset)), (3, Some(RocOnRekey::Probe))];

const DIRECTIONS: [(u32, Direction); 2] = [(1, Direction::Inbound), (2, Direction::Outbound)];

/// The longest master key and salt of any profile.
const LONGEST_KEY: usize = 64;

/// # Errors
///
/// [`keyflip_err::BadArgument`].
pub(crate) fn direction(number: u32) -> Outcome<Direction> {
    choose(number, &DIRECTIONS)
}

pub(crate) const fn direction_number(direction: Direction) -> u32 {
    match direction {
        Direction::Inbound => 1,
        Direction::Outbound => 2,
    }
}

/// Copies a key in; wipes every other copy made here.
///
/// # Errors
///
/// [`keyflip_err::NullPointer`], [`keyflip_err::WrongKeyLength`], [`keyflip_err::WrongSaltLength`] if it is longer than any; those of the MKI and of
/// the lifetime.
pub(crate) fn master_key(key: &keyflip_key) -> Outcome<MasterKey> {
    // SAFETY: the caller's word, here and below: so many octets are there as the lengths say.
    let octets = unsafe { slice(key.key, key.key_len) }?;
    // SAFETY: as above.
    let salt = unsafe { slice(key.salt, key.salt_len) }?;
    // SAFETY: as above.
    let mki = unsafe { slice(key.mki, key.mki_len) }?;
    if octets.is_empty() {
        return Err(keyflip_err::WrongKeyLength);
    }
    let mut copies = [Zeroizing::new([0; LONGEST_KEY]), Zeroizing::new([0; LONGEST_KEY])];
    let [key_copy, salt_copy] = &mut copies;
    let key_copy = key_copy.get_mut(..octets.len()).ok_or(keyflip_err::WrongKeyLength)?;
    let salt_copy = salt_copy.get_mut(..salt.len()).ok_or(keyflip_err::WrongSaltLength)?;
    key_copy.copy_from_slice(octets);
    salt_copy.copy_from_slice(salt);
    let taken = if key.salt.is_null() { MasterKey::take(key_copy) } else { MasterKey::take_parts(key_copy, salt_copy) };
    let taken = taken.with_mki(mki)?;
    Ok(if key.lifetime == 0 { taken } else { taken.with_lifetime(key.lifetime)? })
}

/// Ids of C begin with 1.
pub(crate) fn id_number(id: KeyId) -> u64 {
    id.number().wrapping_add(1)
}

fn key_id(number: u64) -> KeyId {
    KeyId::of_number(number.wrapping_sub(1))
}

/// What C is told of a rekey.
fn report(rekeyed: Rekeyed, id: *mut u64) -> Outcome<i32> {
    if !id.is_null() {
        // SAFETY: not null; that it may be written is the caller's word.
        unsafe { put(id, id_number(rekeyed.key())) }?;
    }
    Ok(if matches!(rekeyed, Rekeyed::Unchanged(_)) { KEYFLIP_REKEY_UNCHANGED } else { 0 })
}

fn options(pointer: *const keyflip_rekey_options) -> Outcome<(Option<RocOnRekey>, bool)> {
    if pointer.is_null() {
        return Ok((None, false));
    }
    // SAFETY: the caller's word.
    let options = unsafe { sized::read(pointer) }?;
    if options.flags & !KEYFLIP_REKEY_NO_GRACE != 0 {
        return Err(keyflip_err::BadFlags);
    }
    Ok((choose(options.roc, &ROCS)?, options.flags & KEYFLIP_REKEY_NO_GRACE != 0))
}

/// Replaces the key of a direction, at once and for all its streams, by one swap of a pointer. No call on a packet waits, fails or loses its packet,
/// on any thread; the other direction is not touched.
///
/// Inbound, packets in flight under the key before are accepted still, until the session's grace ends. Outbound, the key before is wiped as soon as
/// no thread uses it.
///
/// options may be NULL. key_id, if it is not NULL, receives the key's name.
///
/// Returns KEYFLIP_OK; KEYFLIP_REKEY_UNCHANGED (1) if the session holds this very master key already, so that nothing has changed, and a call that was
/// refused may be made again. Errors: KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT; KEYFLIP_ERR_WRONG_KEY_LENGTH and its kin; KEYFLIP_ERR_MKI_LENGTH_MISMATCH,
/// KEYFLIP_ERR_DUPLICATE_MKI; KEYFLIP_ERR_CANNOT_PROBE; KEYFLIP_ERR_KEY_USED_BEFORE if counters were to begin afresh under a key that was in use before;
/// KEYFLIP_ERR_TOO_MANY_RETIRED while a thread that is stuck inside a call holds up the wiping of many keys. The key in use stays then.
///
/// Any thread. Takes a lock that no call on packets takes; derives keys, some microseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_rekey(
    session: keyflip_session,
    direction: u32,
    key: *const keyflip_key,
    options: *const keyflip_rekey_options,
    key_id: *mut u64,
) -> i32 {
    call(|| {
        let (direction, (roc, no_grace)) = (self::direction(direction)?, self::options(options)?);
        // SAFETY: the caller's word.
        let key = unsafe { reference(key) }?;
        let rekeyed = match direction {
            Direction::Inbound => {
                let (inbound, key) = (handles::inbound(session)?, master_key(key)?);
                let rekeyed = match roc {
                    None => inbound.rekey(key),
                    Some(roc) => inbound.rekey_with(key, roc),
                }?;
                if no_grace {
                    inbound.end_grace()?;
                }
                rekeyed
            }
            Direction::Outbound => {
                let (outbound, key) = (handles::outbound(session)?, master_key(key)?);
                match roc {
                    None => outbound.rekey(key),
                    Some(roc) => outbound.rekey_with(key, roc),
                }?
            }
        };
        report(rekeyed, key_id)
    })
}

/// Derives a sending key now, to become the current one by keyflip_activate_staged_key without the cost of derivation: for a switch that both ends time. It
/// takes the place of a key staged before.
///
/// Returns as keyflip_rekey; KEYFLIP_REKEY_UNCHANGED says that the session holds this master key already, and that nothing was staged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_stage_key(session: keyflip_session, key: *const keyflip_key, key_id: *mut u64) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        let key = unsafe { reference(key) }?;
        report(handles::outbound(session)?.stage_key(master_key(key)?)?, key_id)
    })
}

/// Makes the staged key the one that packets are protected under. options may be NULL; key_id, too.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_NO_STAGED_KEY; as keyflip_rekey. Any thread; one swap of a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_activate_staged_key(
    session: keyflip_session,
    options: *const keyflip_rekey_options,
    key_id: *mut u64,
) -> i32 {
    call(|| {
        let (roc, no_grace) = self::options(options)?;
        if no_grace {
            return Err(keyflip_err::BadFlags);
        }
        let outbound = handles::outbound(session)?;
        let rekeyed = match roc {
            None => outbound.activate_staged_key(),
            Some(roc) => outbound.activate_staged_key_with(roc),
        };
        report(rekeyed?, key_id)
    })
}

/// Adds a key beside the current one, up to 16 in all. Inbound, packets under it are accepted: it is found by its MKI or, without MKIs, tried last. Outbound, it
/// waits to be chosen by keyflip_use_key.
///
/// key_id, which may be NULL, receives its name. Returns KEYFLIP_OK; KEYFLIP_ERR_TOO_MANY_KEYS; as keyflip_rekey.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_add_key(
    session: keyflip_session,
    direction: u32,
    key: *const keyflip_key,
    key_id: *mut u64,
) -> i32 {
    call(|| {
        let direction = self::direction(direction)?;
        // SAFETY: the caller's word.
        let key = unsafe { reference(key) }?;
        let id = match direction {
            Direction::Inbound => handles::inbound(session)?.add_key(master_key(key)?)?,
            Direction::Outbound => handles::outbound(session)?.add_key(master_key(key)?)?,
        };
        report(Rekeyed::Switched(id), key_id)
    })
}

/// Makes an added key the current one. Outbound, the key before stays, to be chosen again; inbound, it is in grace.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_KEY; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT, KEYFLIP_ERR_TOO_MANY_RETIRED.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_use_key(session: keyflip_session, direction: u32, key_id: u64) -> i32 {
    call(|| {
        match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.promote_key(self::key_id(key_id))?,
            Direction::Outbound => handles::outbound(session)?.send_under(self::key_id(key_id))?,
        }
        Ok(0)
    })
}

/// Takes away a key that was added, or inbound one that is in grace. It is wiped as soon as no thread uses it.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_UNKNOWN_KEY, KEYFLIP_ERR_KEY_IS_CURRENT; KEYFLIP_ERR_BAD_HANDLE, KEYFLIP_ERR_BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_retire_key(session: keyflip_session, direction: u32, key_id: u64) -> i32 {
    call(|| {
        match self::direction(direction)? {
            Direction::Inbound => handles::inbound(session)?.retire_key(self::key_id(key_id))?,
            Direction::Outbound => handles::outbound(session)?.retire_key(self::key_id(key_id))?,
        }
        Ok(0)
    })
}

/// Ends the grace of all replaced receiving keys: what is still in flight under them is refused from here on. They are wiped as soon as no thread uses
/// them; keyflip_synchronize waits for that.
///
/// Returns KEYFLIP_OK or KEYFLIP_ERR_BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn keyflip_end_grace(session: keyflip_session) -> i32 {
    call(|| {
        handles::inbound(session)?.end_grace()?;
        Ok(0)
    })
}

/// Overwrites octets with zeros, in a way that no compiler leaves out: for keys that a program held itself.
///
/// Returns KEYFLIP_OK; KEYFLIP_ERR_NULL_POINTER if octets is NULL and len is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keyflip_wipe(octets: *mut u8, len: usize) -> i32 {
    call(|| {
        // SAFETY: the caller's word.
        unsafe { slice_mut(octets, len) }?.zeroize();
        Ok(0)
    })
}
