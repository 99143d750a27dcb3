//! Random bits by counter: Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! Word `i` of a stream is a function of key and `i` alone, so it does not matter which thread asks for it, or when.

use crate::content_hash::ContentHash;

/// The key of the stream that `text` names.
pub(super) fn key(text: &[u8]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h, ..] = *ContentHash::of(text).as_bytes();
    [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ]
}

/// Words `offset`, `offset + 1`, … of a stream, without end.
pub(super) fn words(key: [u32; 2], offset: u64) -> impl Iterator<Item = u32> {
    (offset / 4..)
        .flat_map(move |counter| philox([counter as u32, (counter >> 32) as u32, 0, 0], key))
        .skip((offset % 4) as usize)
}

/// Four words from a counter.
pub(super) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let left = u64::from(counter[0]) * 0xd251_1f53;
        let right = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (right >> 32) as u32 ^ counter[1] ^ key[0],
            right as u32,
            (left >> 32) as u32 ^ counter[3] ^ key[1],
            left as u32,
        ];
        key = [
            key[0].wrapping_add(0x9e37_79b9),
            key[1].wrapping_add(0xbb67_ae85),
        ];
    }
    counter
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
        let whole: Vec<u32> = words(key, 0).take(40).collect();
        for offset in 0..9 {
            let part: Vec<u32> = words(key, offset).take(20).collect();
            assert_eq!(part, whole[offset as usize..][..20]);
        }
    }
}
