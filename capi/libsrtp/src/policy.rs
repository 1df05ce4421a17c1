//! What a policy asks for, in the core's terms; and its keys, kept until they are replaced.

use crate::abi::*;
use core::ffi::c_uint;
use core::slice;
use keyflip::{Cryptex, Grace, HeaderKeystream, MasterKey, Profile, Session, SessionBuilder, SrtcpEncryption};
use zeroize::Zeroizing;

/// As many master keys as libsrtp2 takes.
const MOST_KEYS: usize = 16;
/// As long MKIs as libsrtp2 takes.
const LONGEST_MKI: usize = 128;
/// Streams of a session: libsrtp2 knows no bound.
const MOST_STREAMS: usize = 1 << 24;

/// Whose a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Of all SSRCs that have none of their own.
    Template,
    /// Of this one.
    Ssrc(u32),
}

/// A policy without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    profile: Profile,
    encrypts_srtp: bool,
    encrypts_srtcp: bool,
    /// SRTCP has SRTP's short tags.
    short_srtcp_tags: bool,
    pub(crate) window: u32,
    repeats: bool,
    encrypted_ids: Vec<u8>,
    pub(crate) cryptex: bool,
}

/// A master key with its salt, and its MKI.
pub(crate) struct Key {
    octets: Zeroizing<Vec<u8>>,
    pub(crate) mki: Vec<u8>,
}

/// A policy, copied from its caller.
pub(crate) struct Policy {
    pub(crate) whose: Whose,
    pub(crate) shape: Shape,
    /// At least one.
    pub(crate) keys: Vec<Key>,
}

impl Shape {
    /// What a session without a template is made of: it has no key, and so refuses all but SSRCs with keys of their own.
    pub(crate) const fn plain() -> Self {
        Self {
            profile: Profile::Aes128CmSha1_80,
            encrypts_srtp: true,
            encrypts_srtcp: true,
            short_srtcp_tags: false,
            window: 128,
            repeats: false,
            encrypted_ids: Vec::new(),
            cryptex: false,
        }
    }

    /// A builder without keys.
    pub(crate) fn builder(&self) -> SessionBuilder {
        let mut builder = Session::builder(self.profile)
            .replay_window(self.window)
            .srtcp_replay_window(128)
            .max_streams(MOST_STREAMS)
            // A key that was replaced is refused at once, as in libsrtp2.
            .grace(Grace::NONE)
            .header_extension_keystream(HeaderKeystream::Libsrtp);
        if !self.encrypts_srtp {
            builder = builder.unencrypted_srtp();
        }
        if !self.encrypts_srtcp {
            builder = builder.srtcp_encryption(SrtcpEncryption::Off);
        }
        if self.short_srtcp_tags {
            builder = builder.srtcp_tags_as_short_as_srtps();
        }
        if self.repeats {
            builder = builder.dangerously_allow_identical_retransmission();
        }
        if !self.encrypted_ids.is_empty() {
            builder = builder.encrypted_header_extensions(&self.encrypted_ids);
        }
        if self.cryptex {
            builder = builder.cryptex(Cryptex::Enabled);
        }
        builder
    }

    pub(crate) const fn tag_len(&self, rtcp: bool) -> usize {
        if rtcp && !self.short_srtcp_tags { self.profile.srtcp_tag_len() } else { self.profile.srtp_tag_len() }
    }

    pub(crate) const fn is_gcm(&self) -> bool {
        matches!(
            self.profile,
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm | Profile::AeadAes128Gcm8 | Profile::AeadAes256Gcm8
        )
    }
}

impl Key {
    pub(crate) fn master_key(&self) -> Result<MasterKey, Status> {
        let mut octets = self.octets.clone();
        Ok(MasterKey::take(&mut octets).with_mki(&self.mki)?)
    }
}

impl Policy {
    /// Octets of the MKIs.
    pub(crate) fn mki_len(&self) -> usize {
        self.keys.first().map_or(0, |key| key.mki.len())
    }

    /// A builder with the keys, in both directions: which one a stream has shows when it is used.
    ///
    /// # Errors
    ///
    /// `bad_param` for MKIs that cannot be told apart.
    pub(crate) fn builder(&self) -> Result<SessionBuilder, Status> {
        let mut builder = self.shape.builder();
        for key in &self.keys {
            builder = builder.inbound(key.master_key()?);
        }
        if let Some(key) = self.keys.first() {
            builder = builder.outbound(key.master_key()?);
        }
        Ok(builder)
    }

    /// Copies a policy.
    ///
    /// # Errors
    ///
    /// `bad_param` for what libsrtp2 refuses, and for combinations of ciphers that the core has no profile for.
    ///
    /// # Safety
    ///
    /// The policy is as its caller says: keys have as many octets as the cipher takes, arrays as many elements as they are said to have.
    pub(crate) unsafe fn read(policy: &srtp_policy_t) -> Result<Self, Status> {
        let whose = match policy.ssrc.kind {
            SPECIFIC => Whose::Ssrc(policy.ssrc.value),
            ANY_INBOUND | ANY_OUTBOUND => Whose::Template,
            _ => return Err(Status::BadParam),
        };
        // SAFETY: as this function's.
        let encrypted_ids = unsafe { ids(policy) }?;
        let window = match policy.window_size {
            0 => 128,
            window @ 64..0x8000 => u32::try_from(window).map_err(|_| Status::BadParam)?,
            _ => return Err(Status::BadParam),
        };
        if !matches!(policy.allow_repeat_tx, 0 | 1) {
            return Err(Status::BadParam);
        }
        let profile = profile(&policy.rtp, &policy.rtcp)?;
        let shape = Shape {
            profile,
            encrypts_srtp: policy.rtp.sec_serv & CONF != 0 || policy.rtp.cipher_type == NULL_CIPHER,
            encrypts_srtcp: policy.rtcp.sec_serv & CONF != 0,
            short_srtcp_tags: policy.rtcp.auth_type == HMAC_SHA1 && policy.rtcp.auth_tag_len == 4,
            window,
            repeats: policy.allow_repeat_tx == 1,
            encrypted_ids,
            cryptex: false,
        };
        let len = profile.key_len() + profile.salt_len();
        // SAFETY: as this function's.
        let keys = unsafe { keys(policy, len) }?;
        Ok(Self { whose, shape, keys })
    }
}

/// # Safety
///
/// As [`Policy::read`].
unsafe fn ids(policy: &srtp_policy_t) -> Result<Vec<u8>, Status> {
    let count = usize::try_from(policy.enc_xtn_hdr_count).map_err(|_| Status::BadParam)?;
    if policy.enc_xtn_hdr.is_null() || count == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: not null; as this function's.
    let ids = unsafe { slice::from_raw_parts(policy.enc_xtn_hdr, count) };
    ids.iter().map(|id| u8::try_from(*id).map_err(|_| Status::BadParam)).collect()
}

/// # Safety
///
/// As [`Policy::read`].
unsafe fn keys(policy: &srtp_policy_t, len: usize) -> Result<Vec<Key>, Status> {
    if !policy.key.is_null() {
        // SAFETY: not null; as this function's.
        return Ok(vec![unsafe { key(policy.key, len, &[]) }]);
    }
    let count = usize::try_from(policy.num_master_keys).map_err(|_| Status::BadParam)?;
    if policy.keys.is_null() || count == 0 || count > MOST_KEYS {
        return Err(Status::BadParam);
    }
    // SAFETY: not null; as this function's.
    let list = unsafe { slice::from_raw_parts(policy.keys, count) };
    let copy = |given: &*mut srtp_master_key_t| {
        // SAFETY: null, or as this function's.
        let given = unsafe { given.as_ref() }.ok_or(Status::BadParam)?;
        // SAFETY: null, or as this function's.
        let mki = unsafe { mki(given.mki_id, given.mki_size) }?;
        if given.key.is_null() {
            return Err(Status::BadParam);
        }
        // SAFETY: not null; as this function's.
        Ok(unsafe { key(given.key, len, mki) })
    };
    list.iter().map(copy).collect()
}

/// # Safety
///
/// As [`Policy::read`].
unsafe fn key(octets: *const u8, len: usize, mki: &[u8]) -> Key {
    // SAFETY: as this function's.
    let octets = unsafe { slice::from_raw_parts(octets, len) };
    Key { octets: Zeroizing::new(octets.to_vec()), mki: mki.to_vec() }
}

/// # Safety
///
/// As [`Policy::read`].
unsafe fn mki<'a>(octets: *const u8, len: c_uint) -> Result<&'a [u8], Status> {
    let len = usize::try_from(len).map_err(|_| Status::BadParam)?;
    if len == 0 {
        return Ok(&[]);
    }
    if octets.is_null() || len > LONGEST_MKI {
        return Err(Status::BadParam);
    }
    // SAFETY: not null; as this function's.
    Ok(unsafe { slice::from_raw_parts(octets, len) })
}

/// The core's profile for both protocols.
fn profile(rtp: &srtp_crypto_policy_t, rtcp: &srtp_crypto_policy_t) -> Result<Profile, Status> {
    let is_hmac = |policy: &srtp_crypto_policy_t, tag| {
        policy.auth_type == HMAC_SHA1 && policy.auth_tag_len == tag && policy.sec_serv & AUTH != 0
    };
    let is_null = |policy: &srtp_crypto_policy_t| policy.auth_type == NULL_AUTH && policy.auth_tag_len == 0;
    let short = is_hmac(rtp, 4);
    let is_gcm = matches!(rtp.cipher_type, GCM_128 | GCM_256);
    // Each protocol's key is derived from the one master key, and its tag is the profile's.
    let fits = if is_gcm {
        rtcp.cipher_type == rtp.cipher_type && rtcp.auth_tag_len == rtp.auth_tag_len && rtp.auth_type == NULL_AUTH
    } else if rtp.cipher_type == NULL_CIPHER && is_null(rtp) {
        rtcp.cipher_type == NULL_CIPHER && is_null(rtcp)
    } else {
        (short || is_hmac(rtp, 10))
            && (is_hmac(rtcp, 10) || short && is_hmac(rtcp, 4))
            && rtcp.cipher_type == rtp.cipher_type
    };
    if !fits {
        return Err(Status::BadParam);
    }
    Ok(match (rtp.cipher_type, rtp.auth_tag_len) {
        (NULL_CIPHER, 0) => Profile::NullWithoutAuthentication,
        (NULL_CIPHER, 4) => Profile::NullSha1_32,
        (NULL_CIPHER, _) => Profile::NullSha1_80,
        (ICM_128, 4) => Profile::Aes128CmSha1_32,
        (ICM_128, _) => Profile::Aes128CmSha1_80,
        (ICM_192, 4) => Profile::Aes192CmSha1_32,
        (ICM_192, _) => Profile::Aes192CmSha1_80,
        (ICM_256, 4) => Profile::Aes256CmSha1_32,
        (ICM_256, _) => Profile::Aes256CmSha1_80,
        (GCM_128, 16) => Profile::AeadAes128Gcm,
        (GCM_128, 8) => Profile::AeadAes128Gcm8,
        (GCM_256, 16) => Profile::AeadAes256Gcm,
        (GCM_256, 8) => Profile::AeadAes256Gcm8,
        _ => return Err(Status::BadParam),
    })
}
