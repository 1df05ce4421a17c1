//! The SRTCP index that a sender gives out next (RFC 3711 3.4).
//!
//! One word: `closed (1) | index (40) | key (23)`. The index counts on past the 31 bits of the wire; the key is the id, modulo 2^23, of the one
//! that sent last.
//!
//! 1. Each index is given out once: each call moves the word on, by compare-and-swap.
//! 2. The keys of successive indices never go back: a caller whose key was replaced meanwhile is told so, and takes the newer one.
//! 3. On the wire the index wraps only between two keys. With 2 there is no index that one key sends twice.

use crate::error::{Error, Result};
use crate::id::KeyId;
use crate::index::SrtcpIndex;
use crate::primitive::atomic::{AtomicU64, Ordering};

/// A value of the word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NextSrtcp(u64);

impl NextSrtcp {
    const CLOSED: u64 = 1 << 63;
    const KEY_BITS: u32 = 23;
    const KEY_MASK: u64 = (1 << Self::KEY_BITS) - 1;
    const INDEX_BITS: u32 = 40;
    const LAST_OF_FIRST_CYCLE: u64 = (1 << 31) - 1;

    /// Stands for "no key yet". (A key whose id ends in these bits is taken for it: it may then wrap the index, once.)
    const NO_KEY: u64 = Self::KEY_MASK;

    pub(crate) const fn starting_at(index: u32) -> Self {
        Self::new(index as u64, Self::NO_KEY)
    }

    const fn new(index: u64, key: u64) -> Self {
        Self(index << Self::KEY_BITS | key & Self::KEY_MASK)
    }

    /// The word itself, and what stands in one that was taken elsewhere.
    pub(crate) const fn word(self) -> u64 {
        self.0
    }

    pub(crate) const fn of_word(word: u64) -> Self {
        Self(word & !Self::CLOSED)
    }

    pub(crate) const fn index(self) -> u64 {
        (self.0 & !Self::CLOSED) >> Self::KEY_BITS
    }

    const fn has_sent(self) -> bool {
        self.0 & Self::KEY_MASK != Self::NO_KEY
    }

    const fn sent_under(self, key: KeyId) -> bool {
        (self.0 ^ key.0) & Self::KEY_MASK == 0
    }

    /// Whether `key` looks older than the one that sent last. Ids are compared modulo 2^23, so a key 2^22 rekeys newer does, too.
    const fn looks_newer_than(self, key: KeyId) -> bool {
        let ahead = key.0.wrapping_sub(self.0) & Self::KEY_MASK;
        ahead > Self::KEY_MASK / 2
    }
}

impl NextSrtcp {
    /// The index that would be sent under `key` now. `None` if a newer key has sent already (invariant 2), unless `key` is known to be the
    /// `current` one.
    ///
    /// # Errors
    ///
    /// [`Error::SrtcpIndexExhausted`].
    pub(crate) const fn index_for(self, key: KeyId, current: bool) -> Result<Option<SrtcpIndex>> {
        if self.has_sent() && self.looks_newer_than(key) && !current {
            return Ok(None);
        }
        let index = SrtcpIndex::from_extended(self.index());
        let wraps = index.wire() == 0 && index.get() > 0;
        // A key that comes back after others have sent may have used these very indices one cycle ago.
        let returns = self.has_sent() && self.looks_newer_than(key) && index.get() > Self::LAST_OF_FIRST_CYCLE;
        if wraps && self.has_sent() && self.sent_under(key) || returns || index.get() >> Self::INDEX_BITS != 0 {
            return Err(Error::SrtcpIndexExhausted);
        }
        Ok(Some(index))
    }
}

/// What became of a request for an index.
pub(crate) enum Taken {
    Index(SrtcpIndex),
    /// A newer key has sent already (invariant 2).
    KeyReplaced,
}

/// The word.
pub(crate) struct SrtcpSender(AtomicU64);

impl SrtcpSender {
    pub(crate) fn new(next: NextSrtcp) -> Self {
        Self(AtomicU64::new(next.0))
    }

    /// What [`Self::take`] would give out now. `None` if a newer key has sent.
    ///
    /// # Errors
    ///
    /// As [`Self::take`].
    pub(crate) fn peek(&self, key: KeyId, current: bool) -> Result<Option<SrtcpIndex>> {
        // Relaxed: a hint. `take` decides.
        Self::next(self.0.load(Ordering::Relaxed), key, current)
    }

    fn next(seen: u64, key: KeyId, current: bool) -> Result<Option<SrtcpIndex>> {
        if seen & NextSrtcp::CLOSED != 0 {
            return Err(Error::NoSuchStream);
        }
        NextSrtcp(seen).index_for(key, current)
    }

    /// Gives out the next index to be sent under `key`. `current` says that `key` is known to be the newest, whatever its id looks like.
    ///
    /// # Errors
    ///
    /// [`Error::SrtcpIndexExhausted`]; [`Error::NoSuchStream`] if the stream is being removed.
    pub(crate) fn take(&self, key: KeyId, current: bool) -> Result<Taken> {
        // Relaxed: tried again if it has changed.
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let Some(index) = Self::next(seen, key, current)? else { return Ok(Taken::KeyReplaced) };
            let after = NextSrtcp::new(index.get() + 1, key.0).0;
            // AcqRel on success: pairs with `close`. Relaxed on failure: tried again.
            match self.0.compare_exchange_weak(seen, after, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(Taken::Index(index)),
                Err(now) => seen = now,
            }
        }
    }

    /// Where it stands, closed or not.
    pub(crate) fn state(&self) -> NextSrtcp {
        // Relaxed: asked when nobody takes any more.
        NextSrtcp::of_word(self.0.load(Ordering::Relaxed))
    }

    /// Gives out no more, and returns where it stood.
    pub(crate) fn close(&self) -> NextSrtcp {
        // AcqRel: pairs with `take`: an index is either below what is returned, or not given out.
        NextSrtcp(self.0.fetch_or(NextSrtcp::CLOSED, Ordering::AcqRel) & !NextSrtcp::CLOSED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(sender: &SrtcpSender, key: u64) -> Result<Option<u64>> {
        Ok(match sender.take(KeyId(key), false)? {
            Taken::Index(index) => Some(index.get()),
            Taken::KeyReplaced => None,
        })
    }

    #[test]
    fn p07_the_index_wraps_between_two_keys_only() {
        let sender = SrtcpSender::new(NextSrtcp::starting_at((1 << 31) - 1));
        assert_eq!(index(&sender, 5), Ok(Some((1 << 31) - 1)));
        assert_eq!(index(&sender, 5), Err(Error::SrtcpIndexExhausted));
        assert_eq!(index(&sender, 6), Ok(Some(1 << 31)));
        assert_eq!(index(&sender, 6), Ok(Some((1 << 31) + 1)));
    }

    #[test]
    fn an_older_key_never_sends_after_a_newer_one() {
        let sender = SrtcpSender::new(NextSrtcp::starting_at(0));
        assert_eq!(index(&sender, 7), Ok(Some(0)));
        assert_eq!(index(&sender, 6), Ok(None));
        assert_eq!(index(&sender, 8), Ok(Some(1)));
        // So far ahead that its id looks older: the caller, who knows, has its way.
        let far = KeyId(8 + (1 << 22) + 1);
        assert!(matches!(sender.take(far, false), Ok(Taken::KeyReplaced)));
        assert!(matches!(sender.take(far, true), Ok(Taken::Index(_))));
    }

    #[test]
    fn a_closed_sender_gives_out_nothing() {
        let sender = SrtcpSender::new(NextSrtcp::starting_at(3));
        assert_eq!(sender.close().index(), 3);
        assert_eq!(index(&sender, 1), Err(Error::NoSuchStream));
    }
}
