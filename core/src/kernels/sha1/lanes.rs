//! HMAC-SHA1 in lanes: the algorithm that the vector kernels share, word `i` of a vector being that of message `i`.
//!
//! 1. A kernel gives its vector (`V`, of `LANES` words) and some operations on it; [`hmac_in_lanes`] makes the whole of HMAC of them, under the kernel's
//!    processor features. It is a macro since features are a matter of the function a line stands in, not of its types.
//! 2. All lanes go through blocks in step. As long as every message has the whole block, it is loaded plainly. From then on a lane loads what is left of
//!    its message, if anything; the suffix, the padding bit and the length are put behind it lane by lane, without a branch; and the state of a lane that is
//!    done stays as it is.
//! 3. The outer hash is one more block of the same loop, made of the states as they are.

/// SHA-1's constants, each for twenty rounds (FIPS 180-4 4.2.1).
pub(super) const K: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/// Calls `$round` for each of the 80 rounds.
macro_rules! each_round {
    ($round:ident!($($args:tt)*)) => {
        each_round!(@ $round ($($args)*)
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
            40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79)
    };
    (@ $round:ident $args:tt $($t:literal)*) => { $(each_round!(@@ $round $args $t);)* };
    (@@ $round:ident ($($args:tt)*) $t:literal) => { $round::<$t>($($args)*) };
}
pub(super) use each_round;

/// Makes `hmac` of a kernel's operations (see there for what each does).
macro_rules! hmac_in_lanes {
    ($features:literal, $witness:ty) => {
        use super::lanes::{self, each_round};
        use super::{HmacJob, Midstates};

        /// The MACs of at most [`LANES`] messages. The rest of the lanes repeat the first.
        ///
        /// Takes as long as the longest of the messages.
        #[inline]
        pub(in crate::kernels::sha1) fn hmac(_: $witness, jobs: &mut [HmacJob<'_>]) {
            // SAFETY: the witness shows that the processor has the features.
            unsafe { run(jobs) }
        }

        #[target_feature(enable = $features)]
        fn run(jobs: &mut [HmacJob<'_>]) {
            let Some(first) = jobs.first() else { return };
            let mut keys: [&Midstates; LANES] = [first.key; LANES];
            let mut messages: [&[u8]; LANES] = [first.message; LANES];
            let (mut lens, mut suffixes) = ([lanes::len_of(first); LANES], [0; LANES]);
            let lanes = keys.iter_mut().zip(&mut messages).zip(lens.iter_mut().zip(&mut suffixes));
            let (mut shortest, mut longest) = (u32::MAX, 0);
            for (((key, message), (len, suffix)), job) in lanes.zip(jobs.iter()) {
                (*key, *message, *suffix) = (job.key, job.message, u32::from_be_bytes(job.suffix));
                *len = lanes::len_of(job);
                (shortest, longest) = (shortest.min(*len), longest.max(*len));
            }
            let tail = Tail::new(words(&lens), words(&suffixes));
            let (full, last) = (shortest / 64, (longest + lanes::TRAILER - 1) / 64);

            let (mut state, outer) = midstates(&keys);
            let mut ring = [zero(); 16];
            for block in 0..=last + 1 {
                let mut live = everyone();
                if block < full {
                    load_block(&messages, block as usize * 64, &mut ring);
                } else if block <= last {
                    load_rest(&messages, block as usize * 64, &mut ring);
                    live = tail.put(block, &mut ring);
                } else {
                    ring = outer_block(&state);
                    state = outer;
                }
                compress(&mut state, &mut ring, live);
            }
            put_tags(&state, jobs);
        }

        /// What follows the messages, lane by lane.
        struct Tail {
            /// The suffix and the padding bit, as they lie in the two words from that in which the message ends.
            ends: [V; 2],
            /// The number of the word in which the message ends, counted from its start.
            end: V,
            /// The number of the last block, which holds the length.
            last: V,
            /// The length that SHA-1 sees, in bits: that of the keyed block, the message and the suffix.
            bits: V,
        }

        impl Tail {
            #[inline]
            #[target_feature(enable = $features)]
            fn new(len: V, suffix: V) -> Self {
                let shift = shift_left::<3>(and(len, splat(3)));
                let bit = splat(0x8000_0000);
                let ends = [
                    shift_right_by(suffix, shift),
                    or(shift_left_by(suffix, sub(splat(32), shift)), shift_right_by(bit, shift)),
                ];
                let bits = shift_left::<3>(add(len, splat(64 + 4)));
                Self {
                    ends,
                    end: shift_right::<2>(len),
                    last: shift_right::<6>(add(len, splat(lanes::TRAILER - 1))),
                    bits,
                }
            }

            /// Puts its part of this block into the words of it; says who was not done before this block.
            #[inline]
            #[target_feature(enable = $features)]
            fn put(&self, block: u32, ring: &mut [V; 16]) -> M {
                let [first, second] = self.ends;
                let end = sub(self.end, splat(block * 16));
                for (word, at) in ring.iter_mut().zip(0u32..) {
                    *word = or_where_equal(*word, end, splat(at), first);
                    *word = or_where_equal(*word, end, splat(at.wrapping_sub(1)), second);
                }
                let block = splat(block);
                ring[15] = or_where_equal(ring[15], self.last, block, self.bits);
                not_less(self.last, block)
            }
        }

        /// The outer hash's only block after the keyed one: the inner digest, the padding bit and the length.
        #[inline]
        #[target_feature(enable = $features)]
        fn outer_block(digest: &[V; 5]) -> [V; 16] {
            let mut block = [zero(); 16];
            for (word, digest) in block.iter_mut().zip(digest) {
                *word = *digest;
            }
            block[5] = splat(0x8000_0000);
            block[15] = splat((64 + 20) * 8);
            block
        }

        /// SHA-1's compression (FIPS 180-4 6.1.2) of one block in each of the live lanes. The schedule is a ring of sixteen words.
        #[inline]
        #[target_feature(enable = $features)]
        fn compress(state: &mut [V; 5], ring: &mut [V; 16], live: M) {
            let mut next = *state;
            each_round!(round!(&mut next, ring));
            for (word, next) in state.iter_mut().zip(next) {
                *word = add_where(live, *word, next);
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        #[expect(clippy::indexing_slicing, reason = "each index is a remainder of the length")]
        fn round<const T: usize>(state: &mut [V; 5], ring: &mut [V; 16]) {
            if T >= 16 {
                // The newest word last: the others do not wait for it.
                let mixed = xor(xor3(ring[T % 16], ring[(T + 2) % 16], ring[(T + 8) % 16]), ring[(T + 13) % 16]);
                ring[T % 16] = rotate::<1, 31>(mixed);
            }
            // Instead of moving the words from name to name, the names move.
            let [a, b, c, d, e] = const {
                let at = 80 - T;
                [at % 5, (at + 1) % 5, (at + 2) % 5, (at + 3) % 5, (at + 4) % 5]
            };
            let mixed = match T / 20 {
                0 => choose(state[b], state[c], state[d]),
                2 => majority(state[b], state[c], state[d]),
                _ => xor3(state[b], state[c], state[d]),
            };
            let sum = add(add(state[e], splat(lanes::K[T / 20])), add(ring[T % 16], mixed));
            state[e] = add(sum, rotate::<5, 27>(state[a]));
            state[b] = rotate::<30, 2>(state[b]);
        }
    };
}
pub(super) use hmac_in_lanes;

/// Octets behind a message: the suffix, the padding bit, the length.
pub(super) const TRAILER: u32 = 4 + 1 + 8;

/// The length of a job's message.
#[inline]
pub(super) fn len_of(job: &super::HmacJob<'_>) -> u32 {
    u32::try_from(job.message.len()).unwrap_or(u32::MAX)
}

/// A mask of the first `count` of 64 octets; of all, if there are more.
#[inline]
pub(super) fn first_64(count: usize) -> u64 {
    match count {
        0 => 0,
        1..64 => u64::MAX >> (64 - count),
        _ => u64::MAX,
    }
}

/// The same of 32.
#[inline]
pub(super) fn first_32(count: usize) -> u32 {
    match count {
        0 => 0,
        1..32 => u32::MAX >> (32 - count),
        _ => u32::MAX,
    }
}
