//! Memory between two pages that must not be touched: whoever reads or writes a single octet beside it is stopped by the processor.

use core::ptr;
use core::slice;

const PAGE: usize = 4096;

/// Some pages, and one before and one behind them that cannot be accessed.
pub(crate) struct Guarded {
    start: *mut u8,
    len: usize,
}

impl Guarded {
    /// At least `room` octets.
    pub(crate) fn new(room: usize) -> Self {
        let len = room.next_multiple_of(PAGE).max(PAGE);
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever there is room.
        let base = unsafe { libc::mmap(ptr::null_mut(), len + 2 * PAGE, access, kind, -1, 0) };
        assert_ne!(base, libc::MAP_FAILED);
        let base = base.cast::<u8>();
        for page in [base, base.wrapping_add(PAGE + len)] {
            // SAFETY: a page of the mapping, to which nothing refers.
            assert_eq!(unsafe { libc::mprotect(page.cast(), PAGE, libc::PROT_NONE) }, 0);
        }
        Self { start: base.wrapping_add(PAGE), len }
    }

    /// The last `len` octets, right behind which is the page that stops; or the first ones, right before which is the other.
    pub(crate) fn edge(&mut self, len: usize, at_end: bool) -> &mut [u8] {
        assert!(len <= self.len);
        let from = self.start.wrapping_add(if at_end { self.len - len } else { 0 });
        // SAFETY: within the pages, which are this value's alone.
        unsafe { slice::from_raw_parts_mut(from, len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made.
        unsafe { libc::munmap(self.start.wrapping_sub(PAGE).cast(), self.len + 2 * PAGE) };
    }
}

/// The test of the test: an octet too far is fatal, in a process of its own.
#[test]
fn the_pages_beside_it_stop_whoever_touches_them() {
    const TOUCHES: &str = "KEYFLIP_TOUCH_THE_GUARD";
    let name = "kernels::guarded::the_pages_beside_it_stop_whoever_touches_them";
    let mut guarded = Guarded::new(10);
    match std::env::var(TOUCHES).as_deref() {
        Ok("behind") => {
            let last = guarded.edge(1, true).as_ptr();
            // SAFETY: none: the process ends here.
            core::hint::black_box(unsafe { last.wrapping_add(1).read_volatile() });
        }
        Ok("before") => {
            let first = guarded.edge(1, false).as_ptr();
            // SAFETY: none: the process ends here.
            core::hint::black_box(unsafe { first.wrapping_sub(1).read_volatile() });
        }
        Ok(_) => {
            guarded.edge(PAGE, false).fill(1);
            assert_eq!(guarded.edge(1, true), [1]);
        }
        Err(_) => {
            for (touch, survives) in [("behind", false), ("before", false), ("neither", true)] {
                let mut child = std::process::Command::new(std::env::current_exe().unwrap());
                let output = child.args([name, "--exact"]).env(TOUCHES, touch).output().unwrap();
                assert_eq!(output.status.success(), survives, "{touch}");
            }
        }
    }
}
