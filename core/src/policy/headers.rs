//! What is done to the headers of RTP packets: apart from the paths of packets that it is not done to.

use super::Policy;
use crate::error::{Error, Result};
use crate::wire::cryptex::{self, CLEAR_LEN, Cryptex};
use crate::wire::extension;
use crate::wire::{HeaderForm, MAX_PACKET_LEN};

impl Policy {
    /// Whether anything is done to headers.
    ///
    /// # Errors
    ///
    /// [`Error::BadExtensionId`], [`Error::NoHeaderCipher`], [`Error::TwoHeaderCiphers`].
    pub(super) fn check_headers(&self) -> Result<bool> {
        self.elements.check()?;
        let (elements, cryptex) = (!self.elements.is_empty(), self.cryptex != Cryptex::Off);
        if elements && cryptex {
            return Err(Error::TwoHeaderCiphers);
        }
        // Cryptex encrypts headers with payloads, so not where those are in the clear.
        if elements && !self.has_cipher() || cryptex && !(self.has_cipher() && self.srtp_encrypted) {
            return Err(Error::NoHeaderCipher);
        }
        Ok(elements || cryptex)
    }

    /// Octets that a packet to be sent may grow by, beside its trailer.
    pub(crate) fn header_growth(&self) -> usize {
        if self.cryptex == Cryptex::Off { 0 } else { cryptex::GROWTH }
    }

    /// What is to be done to the header, of `head` octets, that a plain RTP packet of `body_end` octets begins with; how much of it stays in the clear
    /// then, and how long that makes the packet.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`], [`Error::UnknownExtensionForm`]; [`Error::PacketTooLong`].
    #[cold]
    pub(crate) fn plan_header(
        &self,
        octets: &[u8],
        head: usize,
        body_end: usize,
    ) -> Result<(HeaderForm, usize, usize)> {
        let header = octets.get(..head).ok_or(Error::PacketTooShort)?;
        let (form, head, body_end) = if self.cryptex == Cryptex::Off {
            (self.form_of(header)?, head, body_end)
        } else if let Some((csrcs, growth)) = cryptex::plan(header)? {
            (HeaderForm::Cryptex { csrcs }, CLEAR_LEN, body_end + growth)
        } else {
            (HeaderForm::Clear, head, body_end)
        };
        if body_end > MAX_PACKET_LEN { Err(Error::PacketTooLong) } else { Ok((form, head, body_end)) }
    }

    /// What was done to the header, of `head` octets, that a received RTP packet begins with, and how much of it is in the clear.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`], [`Error::HeaderInTheClear`].
    #[cold]
    pub(crate) fn read_header(&self, octets: &[u8], head: usize) -> Result<(HeaderForm, usize)> {
        let header = octets.get(..head).ok_or(Error::PacketTooShort)?;
        if self.cryptex == Cryptex::Off {
            return Ok((self.form_of(header)?, head));
        }
        let csrcs = cryptex::detect(header, self.cryptex == Cryptex::Required)?;
        Ok(csrcs.map_or((HeaderForm::Clear, head), |csrcs| (HeaderForm::Cryptex { csrcs }, CLEAR_LEN)))
    }

    fn form_of(&self, header: &[u8]) -> Result<HeaderForm> {
        extension::check(header, self.elements.keystream)?;
        Ok(HeaderForm::Elements)
    }
}
