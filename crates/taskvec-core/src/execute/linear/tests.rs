use num_rational::BigRational;
use num_traits::{Pow, Signed};
use proptest::prelude::*;

use super::*;

mod direct;

const FORMATS: [FloatFormat; 4] = [
    FloatFormat::Bf16,
    FloatFormat::F16,
    FloatFormat::F32,
    FloatFormat::F64,
];

fn exact_value(format: FloatFormat, bits: u64) -> BigRational {
    let Decoded::Finite {
        negative,
        mantissa,
        exponent,
    } = format.decode(bits)
    else {
        panic!("not finite")
    };
    let power = BigRational::from_integer(2.into()).pow(exponent);
    let value = BigRational::from_integer(mantissa.into()) * power;
    if negative { -value } else { value }
}

/// Rounds by searching the ordered list of all magnitudes: slow, and shares nothing with the code under test but the
/// meaning of bit patterns.
fn reference_rounding(value: &BigRational, format: FloatFormat) -> u64 {
    let magnitude = value.abs();
    let (mut below, mut above) = (0, format.infinity_bits());
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if exact_value(format, middle) <= magnitude {
            below = middle
        } else {
            above = middle
        }
    }
    let lower = exact_value(format, below);
    let upper = if above == format.infinity_bits() {
        BigRational::from_integer(2.into()).pow(format.maximum_exponent() + 1)
    } else {
        exact_value(format, above)
    };
    let (to_lower, to_upper) = (&magnitude - &lower, &upper - &magnitude);
    let nearest = match to_lower.cmp(&to_upper) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Greater => above,
        std::cmp::Ordering::Equal => below + (below & 1),
    };
    let sign = if value.is_negative() {
        1 << (format.size_bytes() * 8 - 1)
    } else {
        0
    };
    nearest | sign
}

fn bytes(format: FloatFormat, bits: &[u64]) -> Vec<u8> {
    let mut stored = vec![0; bits.len() * format.size_bytes()];
    for (index, each) in bits.iter().enumerate() {
        format.store(&mut stored, index, *each);
    }
    stored
}

/// Runs the kernel and compares every element with the reference.
fn check(terms: &[(&str, FloatFormat)], columns: &[Vec<u64>], output: FloatFormat) {
    let terms: Vec<(Coefficient, FloatFormat)> = terms
        .iter()
        .map(|(text, format)| (text.parse().unwrap(), *format))
        .collect();
    let stored: Vec<Vec<u8>> = terms
        .iter()
        .zip(columns)
        .map(|((_, format), column)| bytes(*format, column))
        .collect();
    let inputs: Vec<&[u8]> = stored.iter().map(Vec::as_slice).collect();
    let count = columns[0].len();
    let mut written = vec![0xaa; count * output.size_bytes()];
    let mut tally = Tally::default();
    LinearKernel::new(&terms, output).evaluate(&inputs, &mut written, &mut tally);
    let mut overflowed = 0;
    for index in 0..count {
        let finite = terms
            .iter()
            .zip(columns)
            .all(|((_, format), column)| format.is_finite(column[index]));
        if !finite {
            continue;
        }
        let value = terms.iter().zip(columns).fold(
            BigRational::zero(),
            |sum, ((coefficient, format), column)| {
                let number = BigRational::new(
                    coefficient.numerator().clone(),
                    coefficient.denominator().clone(),
                );
                sum + number * exact_value(*format, column[index])
            },
        );
        let found = output.load(&written, index);
        let mut expected = reference_rounding(&value, output);
        overflowed += u64::from(!output.is_finite(expected));
        if value.is_zero() {
            let all_negative = terms
                .iter()
                .zip(columns)
                .all(|((coefficient, format), column)| {
                    format.magnitude(column[index]) == 0
                        && (format.load(&bytes(*format, &column[index..=index]), 0) != 0)
                            != coefficient.is_negative()
                });
            expected = if all_negative {
                1 << (output.size_bytes() * 8 - 1)
            } else {
                0
            };
        }
        let operands: Vec<String> = columns
            .iter()
            .map(|column| format!("{:#x}", column[index]))
            .collect();
        assert_eq!(
            found, expected,
            "{terms:?} -> {output:?}: element {index} {operands:?}, exact {value}"
        );
    }
    assert_eq!(tally.overflowed, overflowed);
}

/// Uniform 64 bits from a counter.
fn hash(counter: u64) -> u64 {
    let mut state = counter
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x1234_5678_9abc_def1);
    state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

/// Weights as models have them: a bell of width 0.02.
fn weight(format: FloatFormat, counter: u64) -> u64 {
    let uniform = |salt: u64| (hash(counter * 16 + salt) >> 11) as f64 / (1u64 << 53) as f64;
    let bell: f64 = (0..12).map(uniform).sum::<f64>() - 6.0;
    format.round_f64(0.02 * bell)
}

/// Finite bits of every magnitude.
fn any_bits(format: FloatFormat, counter: u64) -> u64 {
    let bits = hash(counter) >> (64 - format.size_bytes() * 8);
    if format.is_finite(bits) {
        bits
    } else {
        bits & !format.infinity_bits()
    }
}

const COEFFICIENTS: [&str; 14] = [
    "1",
    "-1",
    "0.5",
    "0.7",
    "-0.7",
    "1/3",
    "3",
    "1e-30",
    "-1e30",
    "0.123456789",
    "1/1000003",
    "2",
    "-5/8",
    "16777217",
];

#[test]
fn weights_of_every_format_are_rounded_correctly() {
    for (pass, output) in FORMATS.into_iter().enumerate() {
        for (row, format) in FORMATS.into_iter().enumerate() {
            let columns: Vec<Vec<u64>> = (0..3)
                .map(|column| {
                    (0..600)
                        .map(|index| {
                            weight(format, ((pass * 4 + row) * 3 + column) as u64 * 600 + index)
                        })
                        .collect()
                })
                .collect();
            for scale in ["1", "0.5", "0.7", "1/3", "-0.25", "1e-30"] {
                let negative = format!("-{}", scale.trim_start_matches('-'));
                check(
                    &[("1", format), (scale, format), (&negative, format)],
                    &columns,
                    output,
                );
            }
        }
    }
}

#[test]
fn mixed_formats_and_all_magnitudes() {
    for trial in 0..300 {
        let count = 1 + (hash(trial) % 4) as usize;
        let pick = |salt: u64, among: usize| (hash(trial * 100 + salt) % among as u64) as usize;
        let terms: Vec<(&str, FloatFormat)> = (0..count as u64)
            .map(|term| {
                (
                    COEFFICIENTS[pick(term, COEFFICIENTS.len())],
                    FORMATS[pick(10 + term, 4)],
                )
            })
            .collect();
        let columns: Vec<Vec<u64>> = terms
            .iter()
            .enumerate()
            .map(|(term, (_, format))| {
                (0..40)
                    .map(|index| any_bits(*format, (trial * 4 + term as u64) * 40 + index))
                    .collect()
            })
            .collect();
        check(&terms, &columns, FORMATS[pick(20, 4)]);
    }
}

#[test]
fn halfway_cases_go_to_even() {
    use FloatFormat::{Bf16, F16, F32};
    // 1 + 2^-8 lies halfway between the BF16 numbers 1 and 1 + 2^-7; the next odd one rounds up.
    check(
        &[("1", Bf16), ("1", Bf16)],
        &[vec![0x3f80, 0x3f81, 0xbf80], vec![0x3b80, 0x3b80, 0xbb80]],
        Bf16,
    );
    // 7/10 of a difference of five steps, plus a number: exact halfway points that binary 0.7 misses.
    let step = |steps: u64| 0x3f80 + steps;
    check(
        &[("1", Bf16), ("0.7", Bf16), ("-0.7", Bf16)],
        &[
            vec![step(0), step(1), step(2)],
            vec![step(5), step(10), step(15)],
            vec![step(0), step(5), step(0)],
        ],
        Bf16,
    );
    // Halfway plus a whisper from another order of magnitude.
    check(
        &[("1", Bf16), ("1", Bf16), ("1", Bf16)],
        &[
            vec![0x3f80, 0x3f80],
            vec![0x3b80, 0x3b80],
            vec![0x0001, 0x8001],
        ],
        Bf16,
    );
    check(
        &[("1", F16), ("0.5", F16)],
        &[(0..64).collect(), (1..65).collect()],
        F16,
    );
    check(&[("1/3", F32)], &[(0..64).collect()], F32);
    check(
        &[("0.5", F32), ("0.25", F32)],
        &[(1..65).collect(), (3..67).collect()],
        F32,
    );
}

#[test]
fn cancellation_leaves_the_exact_remainder() {
    use FloatFormat::{Bf16, F32, F64};
    let huge = FloatFormat::F32.round_f64(1e30);
    let tiny = FloatFormat::F32.round_f64(1e-30);
    check(
        &[("1", F32), ("-1", F32), ("1", F32)],
        &[vec![huge], vec![huge], vec![tiny]],
        F32,
    );
    check(
        &[("1", F32), ("1", F32), ("-1", F32)],
        &[vec![tiny], vec![huge], vec![huge]],
        Bf16,
    );
    let ones = vec![1.0f64.to_bits(), (1.0 + f64::EPSILON).to_bits()];
    check(
        &[("1e20", F64), ("-1e20", F64)],
        &[ones.clone(), vec![1.0f64.to_bits(); 2]],
        F64,
    );
    check(&[("1", F64), ("1e-30", F64)], &[ones.clone(), ones], F32);
}

#[test]
fn overflow_and_subnormal_results() {
    use FloatFormat::{Bf16, F16, F32, F64};
    let largest = F32.infinity_bits() - 1;
    check(
        &[("1", F32), ("1", F32)],
        &[vec![largest, largest], vec![largest, 1]],
        F32,
    );
    check(
        &[("1", F32)],
        &[vec![
            largest,
            0x477f_efff,
            0x477f_f000,
            0x3380_0000,
            0x3300_0000,
            0x3300_0001,
        ]],
        F16,
    );
    check(
        &[("1", F32)],
        &[vec![
            largest,
            0x7f7f_7fff,
            0x7f7f_8000,
            1,
            0x0000_8000,
            0x0000_8001,
        ]],
        Bf16,
    );
    check(
        &[("1e30", F64)],
        &[vec![1e300f64.to_bits(), 1e-320f64.to_bits(), 1u64]],
        F64,
    );
    check(
        &[("1e-30", Bf16), ("0.7", Bf16)],
        &[vec![0x0080; 4], vec![0x0001, 0x0080, 0x8001, 0x007f]],
        Bf16,
    );
}

#[test]
fn signs_of_zero() {
    use FloatFormat::{Bf16, F32};
    for (first, second) in [
        (0, 0),
        (0, 0x8000),
        (0x8000, 0),
        (0x8000, 0x8000),
        (0x3f80, 0xbf80),
    ] {
        for coefficient in ["1", "-1", "0.7", "-1e-30"] {
            check(
                &[("1", Bf16), (coefficient, Bf16)],
                &[vec![first], vec![second]],
                Bf16,
            );
            check(&[(coefficient, Bf16)], &[vec![first, second]], F32);
        }
    }
}

#[test]
fn not_numbers_propagate_and_are_counted() {
    use FloatFormat::{Bf16, F16, F32};
    let (infinity, negative_infinity, nan, one) = (0x7f80, 0xff80, 0xffc1, 0x3f80);
    let first = bytes(
        Bf16,
        &[infinity, infinity, negative_infinity, nan, one, one],
    );
    let second = bytes(Bf16, &[one, infinity, infinity, one, nan, one]);
    for output in FORMATS {
        let kernel = LinearKernel::new(
            &[(Coefficient::one(), Bf16), ("-0.7".parse().unwrap(), Bf16)],
            output,
        );
        let mut written = vec![0; 6 * output.size_bytes()];
        let mut tally = Tally::default();
        kernel.evaluate(&[&first, &second], &mut written, &mut tally);
        let found: Vec<u64> = (0..6).map(|index| output.load(&written, index)).collect();
        let minus = output.infinity_bits() | 1 << (output.size_bytes() * 8 - 1);
        let expected = [
            output.infinity_bits(),
            output.nan_bits(),
            minus,
            output.nan_bits(),
            output.nan_bits(),
        ];
        assert_eq!(found[..5], expected);
        assert!((output.to_f64(found[5]) - 0.3).abs() < 0.002);
        assert_eq!(
            tally,
            Tally {
                nan: 3,
                infinite: 2,
                overflowed: 0
            }
        );
    }
    let mut tally = Tally::default();
    tally.count_stored(F16, &bytes(F16, &[0x7c00, 0x7c01, 0x3c00, 0xfc00]));
    tally.count_stored(F32, &bytes(F32, &[0x7f80_0000, 0x7f7f_ffff]));
    assert_eq!(
        tally,
        Tally {
            nan: 1,
            infinite: 3,
            overflowed: 0
        }
    );
}

#[test]
fn no_terms_give_zeros() {
    let mut written = vec![7; 8];
    LinearKernel::new(&[], FloatFormat::F32).evaluate(&[], &mut written, &mut Tally::default());
    assert_eq!(written, [0; 8]);
}

fn term() -> impl Strategy<Value = (String, FloatFormat, u64)> {
    let coefficient = prop_oneof![
        prop::sample::select(&COEFFICIENTS[..]).prop_map(str::to_owned),
        (1..2000i64, 1..2000i64)
            .prop_map(|(numerator, denominator)| format!("{numerator}/{denominator}")),
        (any::<i32>(), -20..20i32).prop_map(|(digits, power)| format!("{digits}e{power}")),
    ];
    // Exponents near one another make halfway points and cancellation likely.
    let bits = (
        prop::sample::select(&FORMATS[..]),
        any::<u64>(),
        -6..7i32,
        any::<bool>(),
        0..60u32,
    )
        .prop_map(|(format, random, power, near, cleared)| {
            let bits = if near {
                format.round_f64(
                    (1.0 + (random >> 12 << cleared.min(52)) as f64 * 2f64.powi(-64))
                        * 2f64.powi(power),
                )
            } else {
                any_bits(format, random)
            };
            (format, bits)
        });
    (coefficient, bits).prop_filter_map(
        "coefficients are not zero",
        |(coefficient, (format, bits))| {
            let zero = coefficient.parse::<Coefficient>().unwrap().is_zero();
            (!zero).then_some((coefficient, format, bits))
        },
    )
}

/// BF16 terms of elements whose magnitudes lie up to 20 binary places apart, near zero and far from it.
fn brain_columns() -> impl Strategy<Value = Vec<Vec<u64>>> {
    let value = (any::<u8>(), any::<bool>(), 0..21u64, prop::num::u8::ANY);
    let element = (prop::collection::vec(value, 4), 0..240u64);
    prop::collection::vec(element, 1..80).prop_map(|elements| {
        let column = |term: usize| {
            let bits = |(values, exponent): &(Vec<(u8, bool, u64, u8)>, u64)| {
                let (fraction, negative, below, zero) = values[term];
                let field = (exponent + below).min(254) << 7;
                let magnitude = if zero < 8 {
                    0
                } else {
                    field | u64::from(fraction >> 1)
                };
                magnitude | u64::from(negative) << 15
            };
            elements.iter().map(bits).collect()
        };
        (0..4).map(column).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn sums_of_bf16_are_rounded_correctly_whatever_lies_beside_them(
        columns in brain_columns(),
        coefficients in prop::collection::vec(
            prop::sample::select(&["1", "-1", "0.5", "0.7", "-3", "1/3", "0.001", "1024"][..]), 4),
        terms in 2..5usize,
        output in prop::sample::select(&FORMATS[..]),
    ) {
        let described: Vec<(&str, FloatFormat)> =
            coefficients.iter().map(|coefficient| (*coefficient, FloatFormat::Bf16)).take(terms).collect();
        check(&described, &columns[..terms], output);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn any_sum_is_rounded_correctly(
        terms in prop::collection::vec(term(), 1..5),
        output in prop::sample::select(&FORMATS[..]),
    ) {
        let described: Vec<(&str, FloatFormat)> =
            terms.iter().map(|(coefficient, format, _)| (coefficient.as_str(), *format)).collect();
        let columns: Vec<Vec<u64>> = terms.iter().map(|(_, _, bits)| vec![*bits]).collect();
        check(&described, &columns, output);
    }
}
