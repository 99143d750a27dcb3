//! Random bits by counter: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! Word `i` of a stream is a function of key and `i` alone, so it does not matter which thread asks for it, or when.

use multiversion::multiversion;

use crate::content_hash::ContentHash;

/// The key of the stream that `text` names.
pub(super) fn key(text: &[u8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h, ..] = *ContentHash::of(text).as_bytes();
    [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ]
}

/// Counters whose words are drawn together.
const LANES: usize = 32;
/// Words that are drawn together.
pub(super) const DRAWN: usize = 4 * LANES;

/// Calls `take` with pieces of a stream from word `offset` on, each with the range of `0..count` that it is for.
pub(super) fn for_pieces(
    key: [u32; 2],
    offset: u64,
    count: usize,
    mut take: impl FnMut(std::ops::Range<usize>, &[u32]),
) {
    let mut words = [0; DRAWN];
    let mut skipped = (offset % 4) as usize;
    let (mut counter, mut start) = (offset / 4, 0);
    while start < count {
        draw(key, counter, &mut words);
        let length = (DRAWN - skipped).min(count - start);
        take(start..start + length, &words[skipped..][..length]);
        start += length;
        counter += LANES as u64;
        skipped = 0;
    }
}

/// The words of [`LANES`] counters in a row. One round of all of them after the other, which registers like.
#[multiversion(targets("x86_64+avx2"))]
fn draw(key: [u32; 2], first: u64, words: &mut [u32; DRAWN]) {
    let mut key = key;
    let (mut a, mut b, mut c, mut d) = ([0u32; LANES], [0u32; LANES], [0u32; LANES], [0u32; LANES]);
    for lane in 0..LANES {
        let counter = first.wrapping_add(lane as u64);
        a[lane] = counter as u32;
        b[lane] = (counter >> 32) as u32;
    }
    for _ in 0..10 {
        for lane in 0..LANES {
            [a[lane], b[lane], c[lane], d[lane]] = round([a[lane], b[lane], c[lane], d[lane]], key);
        }
        key = next_key(key);
    }
    for lane in 0..LANES {
        words[4 * lane] = a[lane];
        words[4 * lane + 1] = b[lane];
        words[4 * lane + 2] = c[lane];
        words[4 * lane + 3] = d[lane];
    }
}

/// Four words from a counter.
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        counter = round(counter, key);
        key = next_key(key);
    }
    counter
}

#[inline(always)]
fn round(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let left = u64::from(counter[0]) * 0xd251_1f53;
    let right = u64::from(counter[2]) * 0xcd9e_8d57;
    [
        (right >> 32) as u32 ^ counter[1] ^ key[0],
        right as u32,
        (left >> 32) as u32 ^ counter[3] ^ key[1],
        left as u32,
    ]
}

#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [
        key[0].wrapping_add(0x9e37_79b9),
        key[1].wrapping_add(0xbb67_ae85),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_vectors() {
        // From the Random123 distribution's known-answer tests.
        assert_eq!(
            philox([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
    }

    #[test]
    fn a_stream_begins_anywhere() {
        let key = key(b"w");
        let drawn = |offset: u64, count: usize| {
            let mut words = vec![0; count];
            for_pieces(key, offset, count, |range, piece| {
                words[range].copy_from_slice(piece);
            });
            words
        };
        // Counters of more than one word too.
        for start in [0, (1 << 34) - 40] {
            let whole: Vec<u32> = (start / 4..start / 4 + 80)
                .flat_map(|counter| philox([counter as u32, (counter >> 32) as u32, 0, 0], key))
                .collect();
            for offset in [0, 1, 2, 3, 4, 7] {
                for count in [0, 1, 5, DRAWN - 3, DRAWN + 20] {
                    let expected = &whole[offset as usize..][..count];
                    assert_eq!(drawn(start + offset, count), expected);
                }
            }
        }
    }
}
