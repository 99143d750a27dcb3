//! The floating-point formats on which arithmetic is done, bit by bit.
//!
//! All four are IEEE 754 binary formats (BF16 is one in all but name): a sign, a biased exponent, a fraction, subnormal
//! numbers, infinities and NaNs. This module knows their layout and rounds to them exactly once, to nearest, ties to even.

use crate::dtype::Dtype;

/// A format on which arithmetic is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum FloatFormat {
    Bf16,
    F16,
    F32,
    F64,
}

/// A stored number taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// `±mantissa · 2^exponent`.
    Finite {
        negative: bool,
        mantissa: u64,
        exponent: i32,
    },
    Infinite {
        negative: bool,
    },
    NotANumber,
}

impl FloatFormat {
    /// The format of a dtype, or `None` where no arithmetic is done.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::Bf16 => Some(Self::Bf16),
            Dtype::F16 => Some(Self::F16),
            Dtype::F32 => Some(Self::F32),
            Dtype::F64 => Some(Self::F64),
            _ => None,
        }
    }

    pub(crate) const fn size_bytes(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bits of the significand, the implicit one included.
    pub(crate) const fn precision(self) -> i32 {
        match self {
            Self::Bf16 => 8,
            Self::F16 => 11,
            Self::F32 => 24,
            Self::F64 => 53,
        }
    }

    /// Exponent of the smallest normal number, `2^minimum`.
    pub(crate) const fn minimum_exponent(self) -> i32 {
        match self {
            Self::F16 => -14,
            Self::Bf16 | Self::F32 => -126,
            Self::F64 => -1022,
        }
    }

    /// Exponent of the largest power of two.
    pub(crate) const fn maximum_exponent(self) -> i32 {
        1 - self.minimum_exponent()
    }

    /// Exponent of the smallest subnormal number, of which every finite number is a multiple.
    pub(crate) const fn quantum_exponent(self) -> i32 {
        self.minimum_exponent() - (self.precision() - 1)
    }

    const fn sign_shift(self) -> u32 {
        self.size_bytes() as u32 * 8 - 1
    }

    /// Bits of positive infinity: the least magnitude that is not finite.
    pub(crate) const fn infinity_bits(self) -> u64 {
        let fields = (self.maximum_exponent() - self.minimum_exponent() + 2) as u64;
        fields << (self.precision() - 1)
    }

    /// The one NaN that is ever written: quiet, positive, no payload. Which operand's NaN hardware passes on differs
    /// between processors, and results must not.
    pub(crate) const fn nan_bits(self) -> u64 {
        self.infinity_bits() | 1 << (self.precision() - 2)
    }

    pub(crate) fn is_finite(self, bits: u64) -> bool {
        self.magnitude(bits) < self.infinity_bits()
    }

    pub(crate) fn is_nan(self, bits: u64) -> bool {
        self.magnitude(bits) > self.infinity_bits()
    }

    /// The bits without the sign; they order as the absolute values do.
    pub(crate) fn magnitude(self, bits: u64) -> u64 {
        bits & !(1 << self.sign_shift())
    }

    /// Reads element `index` of little-endian storage.
    pub(crate) fn load(self, bytes: &[u8], index: usize) -> u64 {
        let size = self.size_bytes();
        let mut word = [0; 8];
        word[..size].copy_from_slice(&bytes[index * size..][..size]);
        u64::from_le_bytes(word)
    }

    /// Writes element `index` of little-endian storage.
    pub(crate) fn store(self, bytes: &mut [u8], index: usize, bits: u64) {
        let size = self.size_bytes();
        bytes[index * size..][..size].copy_from_slice(&bits.to_le_bytes()[..size]);
    }

    pub(crate) fn decode(self, bits: u64) -> Decoded {
        let negative = bits >> self.sign_shift() & 1 == 1;
        let magnitude = self.magnitude(bits);
        if magnitude > self.infinity_bits() {
            return Decoded::NotANumber;
        }
        if magnitude == self.infinity_bits() {
            return Decoded::Infinite { negative };
        }
        let fraction_bits = self.precision() - 1;
        let fraction = magnitude & ((1 << fraction_bits) - 1);
        match (magnitude >> fraction_bits) as i32 {
            0 => Decoded::Finite {
                negative,
                mantissa: fraction,
                exponent: self.quantum_exponent(),
            },
            field => Decoded::Finite {
                negative,
                mantissa: fraction | 1 << fraction_bits,
                exponent: self.quantum_exponent() + field - 1,
            },
        }
    }

    /// Rounds `±(mantissa + s) · 2^exponent` once, where `0 < s < 1` if `sticky` and `s = 0` otherwise.
    ///
    /// With `sticky` the mantissa must have all 63 or 64 bits, so that what it leaves out lies below the rounding bit.
    pub(crate) fn round(self, negative: bool, mantissa: u64, exponent: i64, sticky: bool) -> u64 {
        debug_assert!(!sticky || mantissa >> 62 != 0);
        let sign = u64::from(negative) << self.sign_shift();
        if mantissa == 0 {
            return sign;
        }
        let leading = exponent + i64::from(mantissa.ilog2());
        if leading > i64::from(self.maximum_exponent()) {
            return sign | self.infinity_bits();
        }
        let least = i64::from(self.quantum_exponent());
        let quantum = (leading - i64::from(self.precision()) + 1).max(least);
        let significand = match quantum - exponent {
            // The last place lies at or below that of the mantissa: nothing is lost.
            shift if shift <= 0 => mantissa << -shift,
            // Less than half of the smallest number there is.
            shift if shift > 64 => 0,
            shift => {
                let wide = u128::from(mantissa);
                let kept = wide >> shift;
                let rest = wide & ((1 << shift) - 1);
                let half = 1 << (shift - 1);
                let up = rest > half || rest == half && (sticky || kept & 1 == 1);
                (kept + u128::from(up)) as u64
            }
        };
        // The implicit bit of a normal significand raises the exponent field by one, as does a carry out of it: the
        // sum is right for subnormal, normal and carried values, and a carry past the largest lands on infinity.
        let bits = ((quantum - least) as u64) << (self.precision() - 1);
        sign | (bits + significand)
    }

    /// Rounds an `f64` once.
    pub(crate) fn round_f64(self, value: f64) -> u64 {
        match Self::F64.decode(value.to_bits()) {
            Decoded::Finite {
                negative,
                mantissa,
                exponent,
            } => self.round(negative, mantissa, exponent.into(), false),
            Decoded::Infinite { negative } => {
                u64::from(negative) << self.sign_shift() | self.infinity_bits()
            }
            Decoded::NotANumber => self.nan_bits(),
        }
    }

    /// Widens; every value of every format is an `f64`.
    pub(crate) fn to_f64(self, bits: u64) -> f64 {
        match self {
            Self::Bf16 => f32::from_bits((bits as u32) << 16).into(),
            Self::F16 => widen_f16(bits as u16).into(),
            Self::F32 => f32::from_bits(bits as u32).into(),
            Self::F64 => f64::from_bits(bits),
        }
    }
}

/// Widens an IEEE half without branches, so that loops over it vectorise.
#[inline(always)]
pub(crate) fn widen_f16(bits: u16) -> f32 {
    const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let magnitude = u32::from(bits & 0x7fff) << 13;
    // Read with the exponent of a single the value is 2^112 too small, subnormal numbers included.
    let scaled = f32::from_bits(magnitude) * REBIAS;
    let special = if magnitude >= 0x7c00 << 13 {
        0xff << 23
    } else {
        0
    };
    f32::from_bits(scaled.to_bits() | special | u32::from(bits & 0x8000) << 16)
}

/// Rounds a finite single to an IEEE half, nearest even, without branches. Values beyond the range become infinite.
#[inline(always)]
pub(crate) fn narrow_f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    // Normal result: rebias, then add just below half of the last place, and one more when that place is odd.
    let odd = magnitude >> 13 & 1;
    let normal = magnitude.wrapping_sub(112 << 23).wrapping_add(0xfff + odd) >> 13;
    // Subnormal result: adding one half lets the adder round at the place that counts, 2^-24.
    let subnormal = (f32::from_bits(magnitude) + 0.5)
        .to_bits()
        .wrapping_sub(0.5f32.to_bits());
    let rounded = if magnitude < 113 << 23 {
        subnormal
    } else {
        normal
    };
    let limited = if magnitude >= 0x4780_0000 {
        0x7c00
    } else {
        rounded
    };
    (limited | bits >> 16 & 0x8000) as u16
}

/// Rounds a finite single to BF16, nearest even, without branches.
#[inline(always)]
pub(crate) fn narrow_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// Narrows to a single such that a further rounding to at most 22 bits is right: the last bit becomes odd when
/// anything was lost ("round to odd"). Values below the normal range of singles are not covered.
#[inline(always)]
pub(crate) fn narrow_to_odd(value: f64) -> f32 {
    const LOST: u64 = (1 << 29) - 1;
    let bits = value.to_bits();
    let sticky = u64::from(bits & LOST != 0) << 29;
    f64::from_bits(bits & !LOST | sticky) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [FloatFormat; 4] = [
        FloatFormat::Bf16,
        FloatFormat::F16,
        FloatFormat::F32,
        FloatFormat::F64,
    ];

    #[test]
    fn constants_of_the_formats() {
        assert_eq!(FloatFormat::Bf16.infinity_bits(), 0x7f80);
        assert_eq!(FloatFormat::F16.infinity_bits(), 0x7c00);
        assert_eq!(
            FloatFormat::F32.infinity_bits(),
            u64::from(f32::INFINITY.to_bits())
        );
        assert_eq!(FloatFormat::F64.infinity_bits(), f64::INFINITY.to_bits());
        assert_eq!(FloatFormat::F32.nan_bits(), u64::from(f32::NAN.to_bits()));
        assert_eq!(FloatFormat::F16.quantum_exponent(), -24);
        assert_eq!(FloatFormat::F64.maximum_exponent(), 1023);
    }

    #[test]
    fn every_half_survives_the_way_through_f64() {
        for bits in 0..=u16::MAX {
            let theirs = half::f16::from_bits(bits);
            let wide = FloatFormat::F16.to_f64(bits.into());
            let brain = FloatFormat::Bf16.to_f64(bits.into());
            if theirs.is_nan() {
                assert!(wide.is_nan());
            } else {
                assert_eq!(wide.to_bits(), theirs.to_f64().to_bits());
                assert_eq!(FloatFormat::F16.round_f64(wide), u64::from(bits));
                assert_eq!(narrow_f16(widen_f16(bits)), bits);
            }
            if half::bf16::from_bits(bits).is_nan() {
                assert!(brain.is_nan());
            } else {
                assert_eq!(FloatFormat::Bf16.round_f64(brain), u64::from(bits));
            }
        }
    }

    #[test]
    fn rounding_agrees_with_hardware_and_between_paths() {
        // A multiplicative walk over all bit patterns hits every exponent and many fractions.
        let mut state = 1u64;
        for _ in 0..300_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let wide = f64::from_bits(state);
            let single = f32::from_bits((state >> 32) as u32);
            if wide.is_finite() {
                assert_eq!(
                    FloatFormat::F32.round_f64(wide) as u32,
                    (wide as f32).to_bits()
                );
                assert_eq!(FloatFormat::F64.round_f64(wide), wide.to_bits());
            }
            if single.is_finite() {
                let value = f64::from(single);
                assert_eq!(
                    FloatFormat::F16.round_f64(value) as u16,
                    half::f16::from_f64(value).to_bits()
                );
                assert_eq!(
                    u64::from(narrow_f16(single)),
                    FloatFormat::F16.round_f64(value),
                    "{single:e}"
                );
                assert_eq!(
                    u64::from(narrow_bf16(single)),
                    FloatFormat::Bf16.round_f64(value),
                    "{single:e}"
                );
                // The same single with noise below its last place: two roundings must act as one.
                let noisy = f64::from_bits(value.to_bits() | state & 0x1fff_ffff);
                if single.is_normal() && noisy.abs() < f32::MAX.into() {
                    let odd = narrow_to_odd(noisy);
                    assert_eq!(
                        u64::from(narrow_bf16(odd)),
                        FloatFormat::Bf16.round_f64(noisy),
                        "{noisy:e}"
                    );
                    assert_eq!(
                        u64::from(narrow_f16(odd)),
                        FloatFormat::F16.round_f64(noisy),
                        "{noisy:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn overflow_and_underflow_keep_the_sign() {
        for format in ALL {
            let tiny = i64::from(format.quantum_exponent());
            let huge = i64::from(format.maximum_exponent());
            let sign = 1 << (format.size_bytes() * 8 - 1);
            assert_eq!(
                format.round(true, 1, tiny - 1, false),
                sign,
                "half of the smallest is a tie to even zero"
            );
            assert_eq!(format.round(true, 3, tiny - 2, false), sign | 1);
            assert_eq!(
                format.round(false, u64::MAX, huge - 63, false),
                format.infinity_bits()
            );
            assert_eq!(
                format.round(true, 1, huge + 1, false),
                sign | format.infinity_bits()
            );
            assert_eq!(
                format.round(false, 1, huge, false),
                format.infinity_bits() - (1 << (format.precision() - 1))
            );
            assert_eq!(
                format.round(false, 1 << 63, tiny - 64, true),
                1,
                "above the tie"
            );
        }
    }
}
