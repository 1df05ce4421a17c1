//! Pages from the system, for secrets.

use core::ptr::NonNull;

/// Pages of this process's own: zeros at first, writable, never moved.
pub(super) struct Pages {
    #[cfg(all(unix, not(any(miri, crossbeam_loom, keyflip_keys_on_heap))))]
    _map: memmap2::MmapMut,
    base: NonNull<u8>,
    octets: usize,
    /// The process that has locked them. Its children inherit the pages, not the lock.
    locked_by: Option<u32>,
    undumped: bool,
}

// SAFETY: it is an address and what is known of it. Who may touch the octets there is for the owners of the slots to say.
unsafe impl Send for Pages {}
// SAFETY: as above.
unsafe impl Sync for Pages {}

impl Pages {
    /// The fewest that are asked for, in octets.
    pub(super) const FEWEST: usize = 4096;

    /// Pages of `octets`, or of as many as can be locked: half of them, a quarter, down to `least`. If none can be, `octets` that are not.
    pub(super) fn for_secrets(octets: usize, least: usize) -> Option<Self> {
        let mut lockable = octets;
        loop {
            let pages = Self::map(lockable)?;
            if pages.locked_by.is_some() {
                return Some(pages);
            }
            if lockable / 2 < least {
                return if lockable == octets { Some(pages) } else { Self::map(octets) };
            }
            lockable /= 2;
        }
    }

    #[cfg(all(unix, not(any(miri, crossbeam_loom, keyflip_keys_on_heap))))]
    fn map(octets: usize) -> Option<Self> {
        let mut map = memmap2::MmapMut::map_anon(octets).ok()?;
        // Private to the process: what a child wipes stays with its parent.
        let base = NonNull::new(map.as_mut_ptr())?;
        #[cfg(target_os = "linux")]
        let undumped = map.advise(memmap2::Advice::DontDump).is_ok();
        #[cfg(not(target_os = "linux"))]
        let undumped = false;
        let locked_by = map.lock().is_ok().then(std::process::id);
        Some(Self { _map: map, base, octets, locked_by, undumped })
    }

    /// None to be had. AddressSanitizer knows nothing of slots, and so a build for it keeps keys in allocations, that it knows. Nor does a model have any.
    #[cfg(not(all(unix, not(any(miri, crossbeam_loom, keyflip_keys_on_heap)))))]
    fn map(_: usize) -> Option<Self> {
        None
    }

    pub(super) const fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(super) const fn octets(&self) -> usize {
        self.octets
    }

    pub(super) fn are_locked(&self) -> bool {
        self.locked_by == Some(std::process::id())
    }

    pub(super) const fn are_undumped(&self) -> bool {
        self.undumped
    }
}
