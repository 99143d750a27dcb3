//! Sums that are one addition of singles: the same contract, where nothing is proved first.

use super::*;
use crate::execute::direct::DirectSum;

const DIRECT: [FloatFormat; 3] = [FloatFormat::Bf16, FloatFormat::F16, FloatFormat::F32];

fn is_direct(terms: &[(&str, FloatFormat)], output: FloatFormat) -> bool {
    let terms: Vec<(Coefficient, FloatFormat)> = terms
        .iter()
        .map(|(text, format)| (text.parse().unwrap(), *format))
        .collect();
    DirectSum::of(&terms, output).is_some()
}

/// `2^exponent` as an expression has it.
fn power(exponent: i32) -> String {
    let power = BigInt::from(2).pow(exponent.unsigned_abs());
    if exponent < 0 {
        format!("1/{power}")
    } else {
        power.to_string()
    }
}

/// Both signs of zero, of the ends of the subnormal, normal and infinite numbers, of one and its neighbour, and NaN.
fn special(format: FloatFormat) -> Vec<u64> {
    let infinity = format.infinity_bits();
    let normal = 1 << (format.precision() - 1);
    let one = format.round_f64(1.0);
    let sign = 1 << (format.size_bytes() * 8 - 1);
    let magnitudes = [0, 1, normal - 1, normal, one, one + 1];
    magnitudes
        .into_iter()
        .chain([infinity - 1, infinity, infinity + 1, format.nan_bits()])
        .flat_map(|magnitude| [magnitude, magnitude | sign])
        .collect()
}

/// What IEEE 754 says of two terms of which one is not finite; None of finite ones.
fn not_finite(terms: [f64; 2], output: FloatFormat) -> Option<u64> {
    let sum = terms[0] + terms[1];
    let is_any = terms.iter().any(|term| !term.is_finite());
    is_any.then(|| output.round_f64(sum))
}

#[test]
fn only_where_a_single_holds_every_product() {
    use FloatFormat::{Bf16, F16, F32, F64};
    assert!(is_direct(&[("1", Bf16), ("-1", Bf16)], F32));
    assert!(is_direct(&[("-1", F32), ("0.25", Bf16)], F32));
    assert!(is_direct(&[("-0.5", F16)], F32));
    for (format, least, most) in [(Bf16, -16, 0), (F16, -125, 112), (F32, 0, 0)] {
        for exponent in [least - 1, least, most, most + 1] {
            let expected = (least..=most).contains(&exponent);
            let found = is_direct(&[(&power(exponent), format)], F32);
            assert_eq!(found, expected, "{format:?} by 2^{exponent}");
        }
    }
    assert!(!is_direct(&[("0.75", Bf16), ("1", Bf16)], F32));
    assert!(!is_direct(&[("1/3", Bf16)], F32));
    assert!(!is_direct(&[("1", F64)], F32));
    assert!(!is_direct(&[("1", Bf16); 3], F32), "two roundings");
    assert!(
        !is_direct(&[("1", Bf16), ("-1", Bf16)], Bf16),
        "faster with a proof"
    );
    assert!(is_direct(&[("1", Bf16), ("-1", F32)], Bf16));
    assert!(is_direct(&[("1", F32), ("0.5", Bf16)], Bf16));
    assert!(is_direct(&[("1", F32)], Bf16));
    assert!(!is_direct(&[("0.75", F32)], Bf16));
    assert!(!is_direct(&[("1", F32), ("1", F16)], Bf16));
    assert!(!is_direct(&[("1", F32)], F16));
    assert!(!is_direct(&[], F32));
}

#[test]
fn special_values_alone_and_among_others() {
    let pairs = || {
        DIRECT
            .into_iter()
            .flat_map(|one| DIRECT.map(|two| (one, two)))
    };
    for (output, (one, two)) in [FloatFormat::F32, FloatFormat::Bf16]
        .into_iter()
        .flat_map(|output| pairs().map(move |pair| (output, pair)))
    {
        let pairs: Vec<(u64, u64)> = special(one)
            .into_iter()
            .flat_map(|first| special(two).into_iter().map(move |second| (first, second)))
            .collect();
        for (factor, second) in [(-1.0, "-1"), (1.0, "1"), (-0.0625, "-1/16")] {
            let terms: [(&str, FloatFormat); 2] = [("1", one), (second, two)];
            // Together one value that is not finite sends all of them another way.
            for columns in pairs.chunks(1).chain([pairs.as_slice()]) {
                let (firsts, seconds): (Vec<u64>, Vec<u64>) = columns.iter().copied().unzip();
                check(&terms, &[firsts.clone(), seconds.clone()], output);

                let stored = [bytes(one, &firsts), bytes(two, &seconds)];
                let typed = terms.map(|(text, format)| (text.parse().unwrap(), format));
                let mut written = vec![0; output.size_bytes() * columns.len()];
                let mut tally = Tally::default();
                LinearKernel::new(&typed, output).evaluate(
                    &[&stored[0], &stored[1]],
                    &mut written,
                    &mut tally,
                );
                let mut expected = Tally::default();
                for (index, (first, second)) in columns.iter().enumerate() {
                    let values = [one.to_f64(*first), factor * two.to_f64(*second)];
                    let found = output.load(&written, index);
                    if let Some(bits) = not_finite(values, output) {
                        assert_eq!(found, bits, "{one:?} {first:#x}, {two:?} {second:#x}");
                    }
                    expected.count(output, found);
                }
                assert_eq!(
                    (tally.nan, tally.infinite),
                    (expected.nan, expected.infinite)
                );
            }
        }
    }
}

#[test]
fn the_ends_of_the_range() {
    use FloatFormat::{Bf16, F16, F32};
    // The last power of two that leaves every product a single, and the first that does not.
    for exponent in [-15, -16, -17] {
        let least = power(exponent);
        let columns = [(0..200).collect(), (0x8001..0x80c9).collect()];
        check(&[(&least, Bf16), (&least, Bf16)], &columns, F32);
        check(&[(&least, Bf16)], &columns[..1], F32);
        check(&[(&least, Bf16), ("1", F32)], &columns, F32);
    }
    for exponent in [112, 113] {
        let columns = [(0x7b00..0x7bff).collect(), (0x7b00..0x7bff).collect()];
        check(&[(&power(exponent), F16), ("1", Bf16)], &columns, F32);
    }
    // Two that are finite and whose sum is not.
    let largest = vec![Bf16.infinity_bits() - 1; 40];
    check(
        &[("1", Bf16), ("1", Bf16)],
        &[largest.clone(), largest.clone()],
        F32,
    );
    check(
        &[("2", Bf16), ("-1", Bf16)],
        &[largest.clone(), largest],
        F32,
    );
}

/// A stored number of a format that singles hold: of any magnitude, or near one of the same exponent as others.
fn stored() -> impl Strategy<Value = (u64, u64, u64)> {
    let special = 0..20usize;
    let each = |format: FloatFormat| {
        (any::<u64>(), special.clone(), 0..4u8).prop_map(move |(random, which, kind)| match kind {
            0 => special_of(format, which),
            1 => weight(format, random >> 16),
            _ => any_bits(format, random),
        })
    };
    (
        each(FloatFormat::Bf16),
        each(FloatFormat::F16),
        each(FloatFormat::F32),
    )
}

fn special_of(format: FloatFormat, which: usize) -> u64 {
    let all = special(format);
    let bits = all[which % all.len()];
    // Blocks with something that is not finite go another way: seldom, or this way would seldom be seen.
    if format.is_finite(bits) || which == 19 {
        bits
    } else {
        bits & 1
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn one_addition_is_rounded_correctly(
        columns in prop::collection::vec((stored(), stored()), 1..70),
        formats in (0..3usize, 0..3usize),
        coefficients in (prop::sample::select(&["1", "1", "-1", "0.5", "-1/65536", "1/131072"][..]),
                         prop::sample::select(&["-1", "-1", "1", "-0.25", "2", "0.7"][..])),
        terms in 1..3usize,
        output in prop::sample::select(&[FloatFormat::F32, FloatFormat::Bf16][..]),
    ) {
        let pick = |(bf16, f16, f32): (u64, u64, u64), format: usize| [bf16, f16, f32][format];
        let (first, second) = columns
            .iter()
            .map(|(first, second)| (pick(*first, formats.0), pick(*second, formats.1)))
            .unzip();
        let described = [(coefficients.0, DIRECT[formats.0]), (coefficients.1, DIRECT[formats.1])];
        check(&described[..terms], &[first, second][..terms], output);
    }
}
