//! Interpolation along the great circle between two operands.
//!
//! Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985: with the angle θ between `a` and `b`, each
//! tensor being one vector,
//!
//! ```text
//! sin((1 − t)·θ)/sin θ · a  +  sin(t·θ)/sin θ · b
//! ```
//!
//! As in mergekit, operands whose cosine is beyond ±0.9995 in a tensor are interpolated linearly there, which two
//! fine-tunes of one model nearly always are; `nuslerp` goes on to rotate. Ends are exact: `t=0` is `a`, `t=1` is `b`.
//! Angles are computed in double precision, mergekit's in single.

use std::sync::Arc;

use super::span::{InSpan, Products, SpanMethod};
use super::{Method, OperandKinds, Operation, Parameter, ParameterType, Range, Signature};
use crate::coefficient::Coefficient;

/// Beyond this cosine, either way, the great circle is a line or is not determined.
const LINEAR_BEYOND: f64 = 0.9995;

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "slerp",
        summary: "the place `t` between `a` and `b` along a great circle, in every tensor",
        operands: &["a", "b"],
        variadic: false,
        kinds: OperandKinds::Alike,
        parameters: &[Parameter {
            default: None,
            ..PLACE
        }],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(InSpan(GreatCircle {
            place: arguments.real("t"),
            is_linear: |cosine| cosine.abs() > LINEAR_BEYOND,
        }))))
    },
};

/// A place between two operands.
pub(super) const PLACE: Parameter = Parameter {
    name: "t",
    value: ParameterType::Real(Range::Unit),
    default: Some("0.5"),
};

/// The place between two operands.
pub(super) struct GreatCircle {
    pub(super) place: Coefficient,
    /// Whether the operands are interpolated linearly when their angle has this cosine.
    pub(super) is_linear: fn(f64) -> bool,
}

impl SpanMethod for GreatCircle {
    fn weights(&self, products: &Products<'_>) -> Vec<f64> {
        let (before, after) = (
            (&Coefficient::one() - &self.place).to_f64(),
            self.place.to_f64(),
        );
        let cosine = products.cosine(0, 1);
        // The ends do not depend on the angle, which may not be a number.
        if before == 0.0 || after == 0.0 || (self.is_linear)(cosine) {
            return vec![before, after];
        }
        let angle = libm::acos(cosine);
        let sine = libm::sin(angle);
        vec![
            libm::sin(before * angle) / sine,
            libm::sin(after * angle) / sine,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::span::apply;
    use super::*;

    fn slerp(numerator: i64, denominator: i64, a: &[f32], b: &[f32]) -> Vec<f32> {
        let method = GreatCircle {
            place: Coefficient::ratio(numerator, denominator).unwrap(),
            is_linear: |cosine| cosine.abs() > LINEAR_BEYOND,
        };
        apply(method, &[a, b])
    }

    #[test]
    fn ends_are_exact() {
        let (a, b) = ([0.3, -0.7, 1e-30], [0.1, 0.9, f32::NAN]);
        assert_eq!(slerp(0, 1, &a, &b), a);
        let end = slerp(1, 1, &a, &b);
        assert!(end[..2] == b[..2] && end[2].is_nan());
    }

    #[test]
    fn thirds_of_a_right_angle_are_thirty_degrees() {
        let found = slerp(1, 3, &[1.0, 0.0], &[0.0, 1.0]);
        assert_eq!(found, [0.75f64.sqrt() as f32, 0.5]);
    }

    #[test]
    fn lines_are_followed_straight() {
        assert_eq!(slerp(1, 4, &[1.0, 0.0], &[3.0, 0.0]), [1.5, 0.0]);
        assert_eq!(slerp(1, 2, &[1.0, 0.0], &[-1.0, 0.0]), [0.0, 0.0]);
    }

    #[test]
    fn what_nearly_agrees_is_a_line_and_the_rest_is_none() {
        // Half way between two of one length the line is shorter by the cosine of half the angle.
        for (degrees, is_line) in [
            (1.8f64, true),
            (1.82, false),
            (178.2, true),
            (178.18, false),
        ] {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            let found = slerp(1, 2, &[1.0, 0.0], &[cosine as f32, sine as f32]);
            let length = f64::from(found[0]).hypot(f64::from(found[1]));
            let expected = if is_line {
                (degrees / 2.0).to_radians().cos()
            } else {
                1.0
            };
            assert!((length - expected).abs() < 1e-5, "{degrees}: {length}");
        }
    }

    #[test]
    fn either_end_may_come_first() {
        let (a, b) = ([0.3, -0.7, 0.2], [0.1, 0.9, 0.4]);
        for (one, other) in slerp(1, 4, &a, &b).iter().zip(slerp(3, 4, &b, &a)) {
            assert!((one - other).abs() <= f32::EPSILON);
        }
    }
}
