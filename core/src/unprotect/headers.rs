//! Packets of whose header something is encrypted, too: apart from the path of the others.

use super::Accepted;
use crate::buffer::Buffer;
use crate::kernels::{scrub_at_length, scrubbed};
use crate::wire::{HeaderForm, cryptex};

impl Accepted<'_> {
    /// As [`Self::decrypt`], and the header with it.
    #[cold]
    #[inline(never)]
    pub(super) fn decrypt_with_header(self, buffer: &mut Buffer<'_>) -> usize {
        scrubbed(scrub_at_length, || self.decrypt_all(buffer))
    }

    fn decrypt_all(self, buffer: &mut Buffer<'_>) -> usize {
        let suite = self.suite;
        if let HeaderForm::Cryptex { .. } = self.frame.form {
            let packet = buffer.carried(self.body_end).get_mut(..self.body_end).unwrap_or_default();
            cryptex::gather(packet);
            suite.crypt(&self.frame, packet.get_mut(self.frame.head..).unwrap_or_default().into());
            cryptex::reveal(packet);
        } else {
            let (head, body, _) = buffer.parts(self.frame.head..self.body_end);
            suite.crypt(&self.frame, body);
            self.key.crypt_elements(&self.frame, head);
        }
        self.body_end
    }
}
