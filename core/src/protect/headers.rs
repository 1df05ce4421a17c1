//! Packets of whose header something is encrypted, too: apart from the path of the others.

use super::Ready;
use crate::buffer::Buffer;
use crate::kernels::{scrub_at_length, scrubbed};
use crate::wire::{HeaderForm, cryptex};
use cipher::inout::InOutBuf;

impl Ready<'_> {
    /// As [`Self::encrypt`], and the header before it.
    #[cold]
    #[inline(never)]
    pub(super) fn encrypt_with_header(self, buffer: &mut Buffer<'_>) -> bool {
        if self.is_cryptex() {
            return self.encrypt_cryptex(buffer.carried(buffer.packet().len()));
        }
        let (head, body, room) = buffer.parts(self.frame.head..self.body_end);
        self.encrypt_elements(head);
        scrubbed(scrub_at_length, || self.encrypt_behind(head, body, room))
    }

    /// Its CSRCs and its extension are encrypted with its payload (RFC 9335).
    pub(crate) const fn is_cryptex(&self) -> bool {
        matches!(self.frame.form, HeaderForm::Cryptex { .. })
    }

    /// Encrypts a packet that `output` begins with, in place.
    #[cold]
    #[inline(never)]
    pub(crate) fn encrypt_cryptex(self, output: &mut [u8]) -> bool {
        let (packet, room) = output.split_at_mut_checked(self.body_end).unwrap_or_default();
        cryptex::hide(packet);
        let (head, body) = packet.split_at_mut_checked(self.frame.head).unwrap_or_default();
        let sealed = scrubbed(scrub_at_length, || self.encrypt_behind(head, body.into(), room));
        cryptex::scatter(packet);
        sealed
    }

    /// Encrypts the elements of the header's extension that were selected.
    #[inline(always)]
    pub(crate) fn encrypt_elements(self, header: &mut [u8]) {
        if self.frame.form == HeaderForm::Elements {
            self.encrypt_selected(header);
        }
    }

    #[cold]
    #[inline(never)]
    fn encrypt_selected(self, header: &mut [u8]) {
        scrubbed(scrub_at_length, || self.key.crypt_elements(&self.frame, header));
    }

    /// Encrypts a body behind what stays as it is; true if the tag, too, is written to its place in `room`.
    fn encrypt_behind(self, head: &[u8], mut body: InOutBuf<'_, '_, u8>, room: &mut [u8]) -> bool {
        let suite = self.suite;
        let Some(tag) = suite.seal(&self.frame, head, body.reborrow()) else {
            suite.crypt(&self.frame, body);
            return false;
        };
        tag.write(self.tag_in(room));
        true
    }
}
