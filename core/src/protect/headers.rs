//! Packets of whose header something is encrypted, too: apart from the path of the others.

use super::Ready;
use crate::buffer::Buffer;
use crate::wire::{HeaderForm, Protocol};
use cipher::inout::InOutBuf;

impl Ready<'_> {
    /// As [`Self::encrypt`], and the header before it.
    #[cold]
    pub(super) fn encrypt_with_header(&self, buffer: &mut Buffer<'_>) -> bool {
        let (head, body, room) = buffer.parts(self.frame.head..self.body_end);
        self.encrypt_elements(head);
        self.encrypt_behind(head, body, room)
    }

    /// Encrypts the elements of the header's extension that were selected.
    pub(crate) fn encrypt_elements(&self, header: &mut [u8]) {
        if self.frame.form == HeaderForm::Elements {
            self.key.crypt_elements(&self.frame, header);
        }
    }

    /// Encrypts a body behind what stays as it is; true if the tag, too, is written to its place in `room`.
    fn encrypt_behind(&self, head: &[u8], mut body: InOutBuf<'_, '_, u8>, room: &mut [u8]) -> bool {
        let suite = self.key.suite(Protocol::Rtp);
        let Some(tag) = suite.seal(&self.frame, head, body.reborrow()) else {
            suite.crypt(&self.frame, body);
            return false;
        };
        tag.write(self.tag_in(room));
        true
    }
}
