//! The sign of every element of a vector: 1, −1 or 0.
//!
//! What SignSGD keeps of a gradient (Bernstein et al., arXiv 1802.04560), here of a task vector. Scaled by
//! `match_norm(sign(v), to=v)` it says how much of a vector's effect lies in its signs. NaN stays NaN.

use std::sync::Arc;

use super::{
    Method, OperandBlock, OperandKinds, Operation, Signature, StreamingMethod, TensorContext,
};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "sign",
        summary: "the sign of every element of `v`: 1, -1 or 0",
        operands: &["v"],
        variadic: false,
        kinds: OperandKinds::Vectors,
        parameters: &[],
    },
    build: |_| Ok(Operation::Streaming(Arc::new(Sign))),
};

struct Sign;

impl StreamingMethod for Sign {
    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        for (value, output) in block.operands[0].iter().zip(output) {
            // `signum` of zero is one.
            *output = if *value == 0.0 { 0.0 } else { value.signum() };
        }
    }
}
