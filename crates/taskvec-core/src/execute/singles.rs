//! Singles in memory as the little-endian bytes that they are stored as, without a copy where memory has that order too.

use std::borrow::Cow;

/// The stored form.
#[inline]
pub(super) fn stored(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|it| it.to_le_bytes()).collect())
    }
}

/// Has `store` write the stored form of all values.
#[inline]
pub(super) fn fill(values: &mut [f32], store: impl FnOnce(&mut [u8])) {
    store(bytemuck::cast_slice_mut(values));
    if cfg!(target_endian = "big") {
        for value in values {
            *value = f32::from_bits(value.to_bits().swap_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_what_comes_back() {
        let values = [1.0f32, -0.0, f32::MIN_POSITIVE, 3.0e38];
        let bytes = stored(&values);
        assert_eq!(bytes[..4], 1.0f32.to_le_bytes());
        let mut found = [0.0; 4];
        fill(&mut found, |stored| stored.copy_from_slice(&bytes));
        assert_eq!(found.map(f32::to_bits), values.map(f32::to_bits));
    }
}
