//! Exact coefficients.
//!
//! A coefficient that a user writes as `0.7` means seven tenths, not the nearest binary fraction, and `1/3` means one
//! third. [`Coefficient`] keeps such numbers as rationals, so that the one rounding of a linear expression is the
//! rounding of its result.

use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::str::FromStr;

use num_bigint::{BigInt, BigUint, Sign};
use num_rational::BigRational;
use num_traits::{One, Pow, Signed, Zero};
use thiserror::Error;

/// Digits that a decimal literal may have, leading and trailing zeros aside.
const MAXIMUM_DIGITS: usize = 400;
/// Largest power of ten, up or down, of a decimal literal in scientific notation.
const MAXIMUM_EXPONENT: i64 = 400;

/// An exact rational number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coefficient(BigRational);

/// Why a text is not a [`Coefficient`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseCoefficientError {
    /// Not digits with an optional point and exponent, nor a fraction of two such.
    #[error("`{text}` is not a decimal number")]
    NotDecimal {
        /// What was read.
        text: String,
    },
    /// More digits, or a larger exponent, than any weight could feel.
    #[error(
        "the number has more than {MAXIMUM_DIGITS} digits or an exponent beyond ±{MAXIMUM_EXPONENT}"
    )]
    TooLong,
    /// A fraction over zero.
    #[error("the number is divided by zero")]
    ZeroDenominator,
}

impl Coefficient {
    /// The number 0.
    pub fn zero() -> Self {
        Self(BigRational::zero())
    }

    /// The number 1.
    pub fn one() -> Self {
        Self(BigRational::one())
    }

    /// A whole number of any size.
    pub(crate) fn whole(value: &BigInt) -> Self {
        Self(BigRational::from_integer(value.clone()))
    }

    /// The fraction `numerator / denominator`, or `None` when the denominator is 0.
    pub fn ratio(numerator: i64, denominator: i64) -> Option<Self> {
        (denominator != 0).then(|| Self(BigRational::new(numerator.into(), denominator.into())))
    }

    /// Whether this is exactly 0.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// Whether this is exactly 1.
    pub fn is_one(&self) -> bool {
        self.0.is_one()
    }

    /// Whether this is below 0.
    pub fn is_negative(&self) -> bool {
        self.0.is_negative()
    }

    /// The quotient, or `None` when `divisor` is 0.
    pub fn checked_div(&self, divisor: &Self) -> Option<Self> {
        (!divisor.is_zero()).then(|| Self(&self.0 / &divisor.0))
    }

    /// Absolute value.
    pub fn abs(&self) -> Self {
        Self(self.0.abs())
    }

    /// The largest whole number that is at most this times `whole`; 0 where that is negative.
    pub(crate) fn floor_of(&self, whole: u64) -> u64 {
        let product = &self.0 * BigRational::from_integer(whole.into());
        num_traits::ToPrimitive::to_u64(&product.floor().to_integer())
            .unwrap_or(if self.is_negative() { 0 } else { u64::MAX })
    }

    /// The value at `place` in [0, 1] of equally spaced values, the first at 0 and the last at 1, linear between them. Zero
    /// where there are none.
    pub(crate) fn interpolate(values: &[Self], place: &Self) -> Self {
        let last = values.len().saturating_sub(1);
        let before = usize::try_from(place.floor_of(last as u64)).unwrap_or(last);
        match (values.get(before), values.get(before + 1)) {
            (Some(low), Some(high)) => {
                let whole = |index: usize| Self::from(i64::try_from(index).unwrap_or(i64::MAX));
                let share = &(place * &whole(last)) - &whole(before);
                low + &(&share * &(high - low))
            }
            _ => values.last().cloned().unwrap_or_else(Self::zero),
        }
    }

    /// Numerator in lowest terms; it carries the sign.
    pub fn numerator(&self) -> &BigInt {
        self.0.numer()
    }

    /// Denominator in lowest terms; positive.
    pub fn denominator(&self) -> &BigInt {
        self.0.denom()
    }

    /// The value as an `f64` for display and statistics; not used where results must be exact.
    pub fn to_f64(&self) -> f64 {
        num_traits::ToPrimitive::to_f64(&self.0).unwrap_or(f64::NAN)
    }

    /// Digits and power of ten, `digits × 10^power` with no trailing zero digit, when the number is a finite decimal.
    fn decimal(&self) -> Option<(BigUint, i64)> {
        let five = BigUint::from(5u8);
        let mut rest = self.denominator().magnitude().clone();
        let twos = rest.trailing_zeros().unwrap_or(0);
        rest >>= twos;
        let mut fives = 0u64;
        while (&rest % &five).is_zero() {
            rest /= &five;
            fives += 1;
        }
        if !rest.is_one() {
            return None;
        }
        let places = twos.max(fives);
        let mut digits = self.numerator().magnitude()
            * BigUint::from(2u8).pow(places - twos)
            * five.pow(places - fives);
        let mut power = -i64::try_from(places).ok()?;
        let ten = BigUint::from(10u8);
        while !digits.is_zero() && (&digits % &ten).is_zero() {
            digits /= &ten;
            power += 1;
        }
        Some((digits, power))
    }

    /// Whether the absolute value prints as one decimal literal that parses back.
    pub(crate) fn is_decimal_literal(&self) -> bool {
        self.decimal()
            .is_some_and(|(digits, power)| within_limits(&digits.to_string(), power))
    }
}

/// Limits of a literal, on digits without leading or trailing zeros.
fn within_limits(digits: &str, power: i64) -> bool {
    let leading = power.saturating_add(i64::try_from(digits.len()).unwrap_or(i64::MAX)) - 1;
    digits.len() <= MAXIMUM_DIGITS && leading.abs() <= MAXIMUM_EXPONENT
}

/// Parses `12`, `.5`, `0.70`, `1e-3`: no sign, no fraction.
fn parse_decimal(text: &str) -> Result<Coefficient, ParseCoefficientError> {
    let not_decimal = || ParseCoefficientError::NotDecimal {
        text: text.to_owned(),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(not_decimal());
    }
    let exponent = match exponent {
        None => 0,
        Some(text) => {
            let (negative, digits) = match text.as_bytes().first() {
                Some(b'-') => (true, &text[1..]),
                Some(b'+') => (false, &text[1..]),
                _ => (false, text),
            };
            if digits.is_empty() || !all_digits(digits) {
                return Err(not_decimal());
            }
            let size: i64 = digits.trim_start_matches('0').parse().or_else(|_| {
                // Only an empty remainder or an overflow gets here.
                if digits.bytes().all(|byte| byte == b'0') {
                    Ok(0)
                } else {
                    Err(ParseCoefficientError::TooLong)
                }
            })?;
            if negative { -size } else { size }
        }
    };
    let joined = format!("{whole}{fraction}");
    let significant = joined.trim_start_matches('0');
    let stripped = significant.trim_end_matches('0');
    if stripped.is_empty() {
        return Ok(Coefficient::zero());
    }
    let dropped = i64::try_from(significant.len() - stripped.len())
        .map_err(|_| ParseCoefficientError::TooLong)?;
    let places = i64::try_from(fraction.len()).map_err(|_| ParseCoefficientError::TooLong)?;
    let power = exponent.saturating_sub(places).saturating_add(dropped);
    if !within_limits(stripped, power) {
        return Err(ParseCoefficientError::TooLong);
    }
    let digits = BigInt::from_str(stripped).map_err(|_| not_decimal())?;
    let scale = BigInt::from(10).pow(power.unsigned_abs());
    Ok(Coefficient(if power >= 0 {
        BigRational::from_integer(digits * scale)
    } else {
        BigRational::new(digits, scale)
    }))
}

impl FromStr for Coefficient {
    type Err = ParseCoefficientError;

    /// Parses a decimal or a fraction of decimals, with an optional leading sign: `-0.7`, `1e-3`, `2/3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let (negative, magnitude) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let value = match magnitude.split_once('/') {
            None => parse_decimal(magnitude)?,
            Some((numerator, denominator)) => parse_decimal(numerator.trim())?
                .checked_div(&parse_decimal(denominator.trim())?)
                .ok_or(ParseCoefficientError::ZeroDenominator)?,
        };
        Ok(if negative { -value } else { value })
    }
}

impl fmt::Display for Coefficient {
    /// The shortest exact form: a decimal where one exists (`0.7`, `1e-30`), else a fraction (`1/3`).
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((digits, power)) = self.decimal() else {
            return write!(formatter, "{}/{}", self.numerator(), self.denominator());
        };
        if self.numerator().sign() == Sign::Minus {
            formatter.write_str("-")?;
        }
        let digits = digits.to_string();
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let leading = power.saturating_add(count) - 1;
        // Between a millionth and a billion plain digits read better than an exponent.
        if (-6..=9).contains(&leading) {
            if power >= 0 {
                return write!(
                    formatter,
                    "{digits}{}",
                    "0".repeat(usize::try_from(power).unwrap_or(0))
                );
            }
            let point = count + power;
            if point > 0 {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                return write!(formatter, "{whole}.{fraction}");
            }
            return write!(
                formatter,
                "0.{}{digits}",
                "0".repeat(usize::try_from(-point).unwrap_or(0))
            );
        }
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        write!(formatter, "{first}{point}{rest}e{leading}")
    }
}

impl From<i64> for Coefficient {
    fn from(value: i64) -> Self {
        Self(BigRational::from_integer(value.into()))
    }
}

impl Add for &Coefficient {
    type Output = Coefficient;
    fn add(self, other: Self) -> Coefficient {
        Coefficient(&self.0 + &other.0)
    }
}

impl Sub for &Coefficient {
    type Output = Coefficient;
    fn sub(self, other: Self) -> Coefficient {
        Coefficient(&self.0 - &other.0)
    }
}

impl Mul for &Coefficient {
    type Output = Coefficient;
    fn mul(self, other: Self) -> Coefficient {
        Coefficient(&self.0 * &other.0)
    }
}

impl Neg for Coefficient {
    type Output = Coefficient;
    fn neg(self) -> Coefficient {
        Coefficient(-self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn printed(text: &str) -> String {
        text.parse::<Coefficient>().unwrap().to_string()
    }

    #[test]
    fn decimals_are_exact() {
        let tenth: Coefficient = "0.1".parse().unwrap();
        assert_eq!(&tenth * &Coefficient::from(10), Coefficient::one());
        assert_eq!(
            "0.70".parse::<Coefficient>().unwrap(),
            Coefficient::ratio(7, 10).unwrap()
        );
        assert_eq!(
            "1e-3".parse::<Coefficient>().unwrap(),
            Coefficient::ratio(1, 1000).unwrap()
        );
        assert_eq!(
            "-2/6".parse::<Coefficient>().unwrap(),
            Coefficient::ratio(-1, 3).unwrap()
        );
    }

    #[test]
    fn shares_of_whole_numbers_are_rounded_down() {
        let share = |text: &str, whole| text.parse::<Coefficient>().unwrap().floor_of(whole);
        // In double precision this product falls just short of 29.
        assert_eq!(share("0.29", 100), 29);
        assert_eq!(share("1/3", 10), 3);
        assert_eq!(share("1", u64::MAX), u64::MAX);
        assert_eq!(share("0", 7), 0);
        assert_eq!(share("-1", 7), 0);
    }

    #[test]
    fn prints_the_shortest_exact_form() {
        for (text, expected) in [
            ("0", "0"),
            ("000.500", "0.5"),
            (".5", "0.5"),
            ("1e-30", "1e-30"),
            ("12.50e-29", "1.25e-28"),
            ("1500", "1500"),
            ("1e12", "1e12"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("2/6", "1/3"),
            ("-1/8", "-0.125"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_number() {
        for text in [
            "", ".", "1.2.3", "e5", "1e", "1e+", "0x10", "--1", "1 2", "nan",
        ] {
            assert!(text.parse::<Coefficient>().is_err(), "{text}");
        }
        assert_eq!(
            "1/0".parse::<Coefficient>(),
            Err(ParseCoefficientError::ZeroDenominator)
        );
    }

    #[test]
    fn refuses_numbers_that_would_exhaust_memory() {
        for text in [
            "1e999999999999",
            "1e-99999999999999999999999999",
            "1e401",
            &"9".repeat(401),
        ] {
            assert_eq!(
                text.parse::<Coefficient>(),
                Err(ParseCoefficientError::TooLong),
                "{text}"
            );
        }
        assert!("0e99".parse::<Coefficient>().unwrap().is_zero());
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(numerator in any::<i64>(), denominator in 1..i64::MAX) {
            let value = Coefficient::ratio(numerator, denominator).unwrap();
            prop_assert_eq!(value.to_string().parse::<Coefficient>().unwrap(), value);
        }
    }
}
