//! Packets of whose header something is encrypted, too: apart from the path of the others.

use super::Accepted;
use crate::buffer::Buffer;

impl Accepted<'_> {
    /// As [`Self::decrypt`], and the header after it.
    #[cold]
    pub(super) fn decrypt_with_header(&self, buffer: &mut Buffer<'_>) -> usize {
        let (head, body, _) = buffer.parts(self.frame.head..self.body_end);
        self.key.suite(self.protocol).crypt(&self.frame, body);
        self.key.crypt_elements(&self.frame, head);
        self.body_end
    }
}
