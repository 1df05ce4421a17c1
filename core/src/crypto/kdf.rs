//! Key derivation (RFC 3711 4.3, RFC 6188 3, RFC 7714 11) at key derivation rate 0: AES-CM as a pseudo-random function.

use super::aes::{Aes, BLOCK};
use crate::error::Result;
use crate::kernels::{Engine, Kernels};
use zeroize::Zeroizing;

/// The labels of one protocol's session keys (RFC 3711 4.3.1, 4.3.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub(crate) encryption: u8,
    pub(crate) authentication: u8,
    pub(crate) salting: u8,
}

impl Labels {
    pub(crate) const SRTP: Self = Self { encryption: 0, authentication: 1, salting: 2 };
    pub(crate) const SRTCP: Self = Self { encryption: 3, authentication: 4, salting: 5 };
}

/// The labels of the key and salt that encrypt header extensions (RFC 6904 3.2).
pub(crate) const HEADER_KEY: u8 = 6;
pub(crate) const HEADER_SALT: u8 = 7;

/// A label outside the registry: what it derives tells master keys apart, and is never sent.
pub(crate) const IDENTITY: u8 = 0xff;

/// How far up the label is in the 128-bit input: the key id is `label || r` with `r` of 48 bits, and the 16 bits after it count blocks.
const LABEL_AT: u32 = 64;

/// The pseudo-random function under one master key and salt.
pub(crate) struct Prf {
    aes: Option<Aes>,
    /// With zeros after it.
    salt: Zeroizing<[u8; BLOCK]>,
}

impl Prf {
    pub(crate) fn vacant() -> Self {
        Self { aes: Aes::vacant(Engine::of(Kernels::active())), salt: Zeroizing::new([0; BLOCK]) }
    }

    /// A salt of 12 octets (AEAD profiles) is padded with zeros on the right to 14 (RFC 7714 11), and so is one of 14 to a block.
    ///
    /// # Errors
    ///
    /// [`Error::WrongKeyLength`](crate::error::Error::WrongKeyLength) unless `master_key` has 16, 24 or 32 octets.
    pub(crate) fn set_key(&mut self, master_key: &[u8], master_salt: &[u8]) -> Result<()> {
        for (to, from) in self.salt.iter_mut().zip(master_salt) {
            *to = *from;
        }
        Aes::expand_in(&mut self.aes, master_key)
    }

    /// Fills `output` with what the label derives: the keystream from `(label XOR salt) * 2^16` on, a few blocks of it.
    pub(crate) fn derive(&self, label: u8, output: &mut [u8]) {
        let input = u128::from_be_bytes(*self.salt) ^ u128::from(label) << LABEL_AT;
        output.fill(0);
        match &self.aes {
            Some(aes @ Aes::Kernel(_)) => aes.counter_mode(input, output.into()),
            Some(aes) => {
                for (count, part) in (0u128..).zip(output.chunks_mut(BLOCK)) {
                    let block = Zeroizing::new(aes.encrypt_block(input + count).to_be_bytes());
                    for (to, from) in part.iter_mut().zip(block.iter()) {
                        *to = *from;
                    }
                }
            }
            None => {}
        }
    }
}
