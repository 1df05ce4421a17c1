//! Which buffers of a call overlap: none that is written may share an octet with another.

use arrayvec::ArrayVec;

/// A range of octets in memory.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    start: usize,
    end: usize,
    /// It will be written.
    written: bool,
    /// Whose it is: an item of the call.
    owner: usize,
}

/// Stands for no item.
pub(crate) const NOBODY: usize = usize::MAX;

impl Place {
    pub(crate) fn read(start: *const u8, len: usize, owner: usize) -> Self {
        Self { start: start.addr(), end: start.addr().saturating_add(len), written: false, owner }
    }

    pub(crate) fn written(start: *const u8, len: usize, owner: usize) -> Self {
        Self { written: true, ..Self::read(start, len, owner) }
    }
}

/// Calls `clash` with the owner of each place that overlaps another which is written, or which it writes.
pub(crate) fn find_overlaps<const N: usize>(places: &mut ArrayVec<Place, N>, mut clash: impl FnMut(usize)) {
    places.retain(|place| place.start < place.end);
    let ascending = places.iter().zip(places.iter().skip(1)).all(|(one, next)| one.end <= next.start);
    if ascending {
        return;
    }
    places.sort_unstable_by_key(|place| place.start);
    // What reaches furthest so far, of all places and of those that are written. It overlaps the next one if any does.
    let (mut any, mut written): (Option<Place>, Option<Place>) = (None, None);
    for place in places.iter() {
        let before = if place.written { any } else { written };
        if let Some(before) = before.filter(|before| before.end > place.start) {
            clash(before.owner);
            clash(place.owner);
        }
        let further = |of: Option<Place>| of.filter(|of| of.end >= place.end).or(Some(*place));
        any = further(any);
        if place.written {
            written = further(written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clashes(places: &[(usize, usize, bool)]) -> Vec<usize> {
        let at = |(owner, (start, len, written)): (usize, &(usize, usize, bool))| {
            let start = core::ptr::without_provenance(*start);
            if *written { Place::written(start, *len, owner) } else { Place::read(start, *len, owner) }
        };
        let mut places: ArrayVec<Place, 8> = places.iter().enumerate().map(at).collect();
        let mut found = Vec::new();
        find_overlaps(&mut places, |owner| found.push(owner));
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn places_that_are_apart_do_not_clash_in_any_order() {
        assert_eq!(clashes(&[(100, 10, true), (110, 10, true), (50, 50, false)]), [0; 0]);
        assert_eq!(clashes(&[(100, 10, true), (50, 10, true), (50, 0, true)]), [0; 0]);
    }

    #[test]
    fn a_shared_octet_clashes_if_either_writes_it() {
        assert_eq!(clashes(&[(100, 10, true), (109, 10, true)]), [0, 1]);
        assert_eq!(clashes(&[(100, 10, false), (109, 10, true), (300, 1, true)]), [0, 1]);
        assert_eq!(clashes(&[(100, 10, true), (102, 2, false)]), [0, 1]);
        assert_eq!(clashes(&[(100, 10, false), (100, 10, false)]), [0; 0]);
    }

    #[test]
    fn a_long_place_clashes_with_all_it_covers() {
        assert_eq!(clashes(&[(100, 100, true), (110, 5, true), (150, 5, true), (200, 5, true)]), [0, 1, 2]);
        // The read one in between hides nothing.
        assert_eq!(clashes(&[(100, 50, true), (120, 100, false), (140, 5, false)]), [0, 1, 2]);
    }
}
