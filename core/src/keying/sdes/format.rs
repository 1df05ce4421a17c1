//! An attribute, written as a line of SDP.

use super::CryptoAttribute;
use super::error::Error;
use core::fmt::{self, Write};
use zeroize::Zeroizing;

impl CryptoAttribute {
    /// The line, `a=crypto:...` without its line end, in a string that is wiped when dropped. It is allocated once, so nothing of it stays behind.
    #[must_use]
    pub fn format(&self) -> Zeroizing<String> {
        let mut line = Zeroizing::new(String::with_capacity(self.formatted_len()));
        // Writing to a string cannot fail.
        let _ = self.write(&mut *line);
        line
    }

    /// Writes the line of [`Self::format`] to the beginning of `buffer`; returns its length in octets.
    ///
    /// # Errors
    ///
    /// [`Error::BufferTooSmall`].
    pub fn format_to(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let needed = self.formatted_len();
        let mut rest = buffer.get_mut(..needed).map(Rest).ok_or(Error::BufferTooSmall { needed })?;
        self.write(&mut rest).map_err(|_| Error::BufferTooSmall { needed })?;
        Ok(needed)
    }

    /// Octets of the line of [`Self::format`].
    #[must_use]
    pub fn formatted_len(&self) -> usize {
        let mut len = Length(0);
        // Counting cannot fail.
        let _ = self.write(&mut len);
        len.0
    }

    fn write(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "a=crypto:{} {}", self.tag, self.profile)?;
        for (number, key) in self.keys.iter().enumerate() {
            out.write_char(if number == 0 { ' ' } else { ';' })?;
            key.write(out)?;
        }
        self.params.write(out)
    }
}

/// Counts.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// What is left of a buffer.
struct Rest<'b>(&'b mut [u8]);

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let (here, rest) = std::mem::take(&mut self.0).split_at_mut_checked(text.len()).ok_or(fmt::Error)?;
        here.copy_from_slice(text.as_bytes());
        self.0 = rest;
        Ok(())
    }
}
