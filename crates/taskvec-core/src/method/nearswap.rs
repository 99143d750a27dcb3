//! The first model, drawn to the second where the two are near.
//!
//! alchemonaut, "QuartetAnemoi-70B-t0.0001", <https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001>: for each
//! element, with w = min(1, t/|a − b|), the result is w·b + (1 − w)·a. So elements no further apart than `t` are those
//! of `b`, and the others move by `t` towards `b`.
//!
//! mergekit takes differences below 10⁻⁶ for 10⁻⁶, which matters for `t` below that only; here they are what they are.

use std::sync::Arc;

use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Range, Signature,
    StreamingMethod, TensorContext,
};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "nearswap",
        summary: "`a`, every element moved towards `b` by `t`, but not beyond it",
        operands: &["a", "b"],
        variadic: false,
        kinds: OperandKinds::Alike,
        parameters: &[Parameter {
            name: "t",
            value: ParameterType::Real(Range::NotNegative),
            default: None,
        }],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(NearSwap {
            step: arguments.real("t").to_f64(),
        })))
    },
};

struct NearSwap {
    step: f64,
}

impl NearSwap {
    fn element(&self, a: f32, b: f32) -> f32 {
        let difference = f64::from(b) - f64::from(a);
        if difference.abs() <= self.step {
            b
        } else {
            (f64::from(a) + self.step * difference.signum()) as f32
        }
    }
}

impl StreamingMethod for NearSwap {
    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let pairs = block.operands[0].iter().zip(block.operands[1]);
        for ((a, b), output) in pairs.zip(output) {
            *output = self.element(*a, *b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_by_a_step_and_never_beyond() {
        let swap = NearSwap { step: 0.5 };
        assert_eq!(swap.element(1.0, 1.25), 1.25);
        assert_eq!(swap.element(1.0, 3.0), 1.5);
        assert_eq!(swap.element(1.0, -3.0), 0.5);
        assert_eq!(NearSwap { step: 0.0 }.element(0.1, 0.2), 0.1);
        assert!(swap.element(f32::NAN, 1.0).is_nan() && swap.element(1.0, f32::NAN).is_nan());
    }
}
