//! What is done to the headers of RTP packets: apart from the paths of packets that it is not done to.

use super::Policy;
use crate::error::{Error, Result};
use crate::wire::cryptex::{self, CLEAR_LEN, Cryptex};
use crate::wire::extension;
use crate::wire::{HeaderForm, MAX_PACKET_LEN, Plain, Protected};

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

    /// Says in a plain RTP packet of `body_end` octets, which `octets` begin, what is to be done to its header; returns how long that makes it.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`], [`Error::UnknownExtensionForm`]; [`Error::PacketTooLong`].
    #[cold]
    pub(crate) fn plan_header(&self, packet: &mut Plain, octets: &[u8], body_end: usize) -> Result<usize> {
        let header = octets.get(..packet.head).ok_or(Error::PacketTooShort)?;
        let mut body_end = body_end;
        if self.cryptex == Cryptex::Off {
            packet.form = self.form_of(header)?;
        } else if let Some((csrcs, growth)) = cryptex::plan(header)? {
            packet.form = HeaderForm::Cryptex { csrcs };
            packet.head = CLEAR_LEN;
            body_end += growth;
        }
        if body_end > MAX_PACKET_LEN { Err(Error::PacketTooLong) } else { Ok(body_end) }
    }

    /// Says in a received RTP packet what was done to its header.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`], [`Error::HeaderInTheClear`].
    #[cold]
    pub(crate) fn read_header(&self, packet: &mut Protected, octets: &[u8]) -> Result<()> {
        let header = octets.get(..packet.head).ok_or(Error::PacketTooShort)?;
        if self.cryptex == Cryptex::Off {
            packet.form = self.form_of(header)?;
        } else if let Some(csrcs) = cryptex::detect(header, self.cryptex == Cryptex::Required)? {
            packet.form = HeaderForm::Cryptex { csrcs };
            packet.head = CLEAR_LEN;
        }
        Ok(())
    }

    fn form_of(&self, header: &[u8]) -> Result<HeaderForm> {
        extension::check(header, self.elements.keystream)?;
        Ok(HeaderForm::Elements)
    }
}
