//! What is done to the headers of RTP packets: apart from the paths of packets that it is not done to.

use super::Policy;
use crate::error::{Error, Result};
use crate::wire::extension;
use crate::wire::{HeaderForm, MAX_PACKET_LEN, Plain, Protected};

impl Policy {
    /// Says in a plain RTP packet of `body_end` octets, which `octets` begin, what is to be done to its header; returns how long that makes it.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`]; [`Error::PacketTooLong`].
    #[cold]
    pub(crate) fn plan_header(&self, packet: &mut Plain, octets: &[u8], body_end: usize) -> Result<usize> {
        let header = octets.get(..packet.head).ok_or(Error::PacketTooShort)?;
        packet.form = self.form_of(header)?;
        if body_end > MAX_PACKET_LEN { Err(Error::PacketTooLong) } else { Ok(body_end) }
    }

    /// Says in a received RTP packet what was done to its header.
    ///
    /// # Errors
    ///
    /// [`Error::ElementOverrun`].
    #[cold]
    pub(crate) fn read_header(&self, packet: &mut Protected, octets: &[u8]) -> Result<()> {
        let header = octets.get(..packet.head).ok_or(Error::PacketTooShort)?;
        packet.form = self.form_of(header)?;
        Ok(())
    }

    fn form_of(&self, header: &[u8]) -> Result<HeaderForm> {
        extension::check(header, self.elements.keystream)?;
        Ok(HeaderForm::Elements)
    }
}
