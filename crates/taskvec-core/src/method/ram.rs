//! Reinforced agent merging: what one vector alone changes stays whole, what several change is averaged.
//!
//! Arcee's mergekit and arXiv 2601.13572. An element counts as changed by a vector when its magnitude is above
//! `epsilon`. The result is the mean over the vectors that changed it, zero where none did.
//!
//! mergekit computes in the models' type or `dtype`, here in double precision. NaN makes the element NaN; mergekit, which
//! multiplies by masks, does the same.

use std::sync::Arc;

use super::{
    Method, OperandBlock, OperandKinds, Operation, Parameter, ParameterType, Range, Signature,
    StreamingMethod, TensorContext,
};

pub(super) const METHOD: Method = Method {
    signature: Signature {
        name: "ram",
        summary: "every element averaged over the vectors in which its magnitude is above `epsilon`",
        operands: &["v"],
        variadic: true,
        kinds: OperandKinds::Vectors,
        parameters: &[EPSILON],
    },
    build: |arguments| {
        Ok(Operation::Streaming(Arc::new(Ram {
            epsilon: arguments.real("epsilon").to_f64(),
        })))
    },
};

/// The magnitude above which an element counts as changed.
pub(super) const EPSILON: Parameter = Parameter {
    name: "epsilon",
    value: ParameterType::Real(Range::NotNegative),
    default: Some("0.00001"),
};

struct Ram {
    epsilon: f64,
}

impl StreamingMethod for Ram {
    fn emit(
        &self,
        _tensor: TensorContext<'_>,
        _known: &[Vec<f64>],
        block: OperandBlock<'_>,
        output: &mut [f32],
    ) {
        let unscaled = vec![1.0; block.operands.len()];
        for (index, output) in output.iter_mut().enumerate() {
            let values = block.operands.iter().map(|operand| operand[index]);
            *output = merged(values, &unscaled, self.epsilon);
        }
    }
}

/// Whether a vector changed an element. NaN counts, so that it is not lost.
pub(super) fn changed(value: f32, epsilon: f64) -> bool {
    value.is_nan() || f64::from(value.abs()) > epsilon
}

/// One element: scaled where a single vector changed it, else the mean over those that did.
pub(super) fn merged(values: impl Iterator<Item = f32>, scales: &[f64], epsilon: f64) -> f32 {
    let (mut sum, mut count, mut scale) = (0.0, 0u32, 1.0);
    for (value, own) in values
        .zip(scales)
        .filter(|(value, _)| changed(*value, epsilon))
    {
        sum += f64::from(value);
        scale = *own;
        count += 1;
    }
    match count {
        0 => 0.0,
        1 => (sum * scale) as f32,
        _ => (sum / f64::from(count)) as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ram(values: &[f32]) -> f32 {
        merged(values.iter().copied(), &vec![1.0; values.len()], 1e-5)
    }

    #[test]
    fn unique_changes_stay_and_shared_ones_are_averaged() {
        assert_eq!(ram(&[0.5, 0.0, 1e-6]), 0.5);
        assert_eq!(ram(&[0.5, 0.0, -1.0]), -0.25);
        assert_eq!(ram(&[1e-6, -1e-6]), 0.0);
        assert_eq!(ram(&[]), 0.0);
        assert!(ram(&[f32::NAN, 1.0]).is_nan());
    }
}
