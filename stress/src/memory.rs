//! How much memory the process has, and whether it grows.
//!
//! What a run needs, it has by its first half. So the most of the second half may not exceed the most of the first by
//! more than allocators and noise account for.

use std::fs;
use std::time::{Duration, Instant};

use crate::board::Promise;
use crate::lanes::Run;

/// How much more memory the second half of a run may have, in octets.
const GROWTH: u64 = 64 << 20;

/// Time between two samples.
const INTERVAL: Duration = Duration::from_millis(20);

/// The samples of a run.
pub struct Memory {
    half: Instant,
    next: Instant,
    page: u64,
    /// The most of each half, in octets; 0 where there is no sample.
    most: [u64; 2],
}

impl Memory {
    /// Begins to watch a run.
    pub fn watch(run: &Run<'_>) -> Self {
        Self { half: run.began + run.settings.seconds / 2, next: run.began, page: page(), most: [0; 2] }
    }

    /// Takes a sample, if it is time for one. Call it often.
    pub fn sample(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        if let Some(pages) = resident_pages() {
            self.note(now, pages * self.page);
        }
    }

    fn note(&mut self, now: Instant, octets: u64) {
        let most = &mut self.most[usize::from(now >= self.half)];
        *most = octets.max(*most);
    }

    /// By how much the second half exceeds the first, in octets; `None` if either has no sample, as on systems that
    /// have no `/proc`.
    fn growth(&self) -> Option<u64> {
        let [first, second] = self.most;
        (first > 0 && second > 0).then(|| second.saturating_sub(first))
    }

    /// Breaks `promise` if memory grew.
    pub fn judge(&self, run: &Run<'_>, promise: Promise) {
        if let Some(grown) = self.growth()
            && grown > GROWTH
        {
            let what = format_args!("memory grew by {} MiB in the second half of the run", grown >> 20);
            run.board.broke(promise, what);
        }
    }
}

fn resident_pages() -> Option<u64> {
    fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()
}

/// The page size, as the kernel told the process (`AT_PAGESZ`).
fn page() -> u64 {
    const AT_PAGESZ: u64 = 6;
    let words = fs::read("/proc/self/auxv").unwrap_or_default();
    let word = |octets: &[u8]| usize::from_ne_bytes(octets.try_into().unwrap_or_default()) as u64;
    let size = size_of::<usize>();
    let found = words.chunks_exact(2 * size).find(|pair| word(&pair[..size]) == AT_PAGESZ);
    found.map_or(4096, |pair| word(&pair[size..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_what_the_second_half_has_more() {
        let half = Instant::now() + Duration::from_secs(9);
        let mut memory = Memory { half, next: half, page: page(), most: [0; 2] };
        assert!(memory.page.is_power_of_two());
        memory.note(half - Duration::from_secs(1), 50);
        memory.note(half - Duration::from_secs(1), 30);
        assert_eq!(memory.growth(), None);
        memory.note(half, 20);
        assert_eq!(memory.growth(), Some(0));
        memory.note(half, 90);
        memory.note(half, 60);
        assert_eq!(memory.growth(), Some(40));
    }
}
