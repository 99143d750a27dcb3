//! Interpolation along the great circle, near to where it is a line as well.
//!
//! mergekit's `nuslerp`: the formula of `slerp`, but linear only where the sine of the angle vanishes, 1 − cos² ≤ 10⁻¹⁶.
//! `t` is what mergekit makes of its two weights, w₁/(w₀ + w₁). Its `base_model` is written out:
//! `base + nuslerp(a - base, b - base)`.
//!
//! What is one vector is the tensor, or each of its rows or columns ([`span_lines`](super::span_lines)).
//! `nuslerp_flatten: false` is `over="rows"`, and with `nuslerp_row_wise: true` it is `over="columns"`: mergekit takes
//! the first index for the one that it calls a row's.

use super::slerp::{GreatCircle, PLACE};
use super::span_lines::{OVER, Over};
use super::{Method, OperandKinds, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "nuslerp",
        summary: "as `slerp`, but along the great circle for operands that nearly agree, too",
        operands: &["a", "b"],
        variadic: false,
        kinds: OperandKinds::Alike,
        parameters: &[PLACE, OVER],
    },
    build: |arguments| {
        let circle = GreatCircle {
            place: arguments.real("t"),
            is_linear: |cosine| 1.0 - cosine * cosine <= 1e-16,
        };
        Over::parse("nuslerp", arguments).map(|over| over.operation(circle))
    },
};
