//! Numbers and octets, one behind the other, big-endian.

use super::Error;

/// Writes, or, where there is nothing to write to, counts what would be written.
pub(super) struct Writer<'a> {
    out: Option<&'a mut [u8]>,
    len: usize,
}

impl<'a> Writer<'a> {
    pub(super) const fn counting() -> Self {
        Self { out: None, len: 0 }
    }

    /// What does not fit is not written.
    pub(super) const fn to(out: &'a mut [u8]) -> Self {
        Self { out: Some(out), len: 0 }
    }

    /// Octets written, or counted.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        if let Some(place) = self.out.as_mut().and_then(|out| out.get_mut(self.len..end)) {
            place.copy_from_slice(octets);
        }
        self.len = end;
    }

    pub(super) fn octet(&mut self, octet: u8) {
        self.octets(&[octet]);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.octets(&number.to_be_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.octets(&number.to_be_bytes());
    }

    /// How many of something follow: below 2^32, as all is that there is here.
    pub(super) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.octet(u8::from(flag));
    }
}

/// Reads what a [`Writer`] wrote. Everything it does fails with [`Error::Malformed`].
pub(super) struct Reader<'a> {
    rest: &'a mut [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn of(octets: &'a mut [u8]) -> Self {
        Self { rest: octets }
    }

    /// The next octets, for whoever wipes them.
    pub(super) fn octets(&mut self, len: usize) -> Result<&'a mut [u8], Error> {
        let rest = core::mem::take(&mut self.rest);
        let (octets, rest) = rest.split_at_mut_checked(len).ok_or(Error::Malformed)?;
        self.rest = rest;
        Ok(octets)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], Error> {
        self.octets(LEN)?.first_chunk().copied().ok_or(Error::Malformed)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Error> {
        let [octet] = self.array()?;
        Ok(octet)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn flag(&mut self) -> Result<bool, Error> {
        match self.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Malformed),
        }
    }

    /// As many of something as a count before them says, each of at least `least` octets: so nothing is allocated for what is not there.
    pub(super) fn many<T>(
        &mut self,
        least: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let count = usize::try_from(self.u32()?).map_err(|_| Error::Malformed)?;
        if count > self.rest.len() / least.max(1) {
            return Err(Error::Malformed);
        }
        let mut many = Vec::with_capacity(count);
        for _ in 0..count {
            many.push(each(self)?);
        }
        Ok(many)
    }

    /// Nothing is left.
    pub(super) const fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Malformed) }
    }
}
