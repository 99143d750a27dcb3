//! Interpolation along the great circle, near to where it is a line as well.
//!
//! mergekit's `nuslerp` in its default form, where each tensor is one vector: the formula of `slerp`, but linear only
//! where the sine of the angle vanishes, 1 − cos² ≤ 10⁻¹⁶. `t` is what mergekit makes of its two weights,
//! w₁/(w₀ + w₁). Its `base_model` is written out: `base + nuslerp(a - base, b - base)`. Its forms that interpolate rows
//! or columns one by one (`nuslerp_flatten: false`) are not offered.

use std::sync::Arc;

use super::slerp::{GreatCircle, PLACE};
use super::span::InSpan;
use super::{Method, OperandKinds, Operation, Signature};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "nuslerp",
        summary: "as `slerp`, but along the great circle for operands that nearly agree, too",
        operands: &["a", "b"],
        variadic: false,
        kinds: OperandKinds::Alike,
        parameters: &[PLACE],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(InSpan(GreatCircle {
            place: arguments.real("t"),
            is_linear: |cosine| 1.0 - cosine * cosine <= 1e-16,
        }))))
    },
};
