//! ln p(target) of rows of logits, fused.
//!
//! The logits are the largest tensor of a training step. Composed from burn's operations, log-softmax and its
//! gradient go over them some twelve times, each time through a new tensor; here the forward pass reads them
//! once and the backward pass writes their gradient once.

use std::sync::Arc;

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{
    Backend, Dispatch, Flex, TensorMetadata, backend_extension, flex::FlexTensor,
    tensor::FloatTensor,
};
use burn::tensor::{DType, Device, Int, Tensor, TensorData, activation};
use multiversion::multiversion;
use rayon::prelude::*;

use crate::decoder::exponential::exp;

/// The target of each row.
pub(crate) type Targets = Arc<[i32]>;

#[backend_extension(Flex, Autodiff)]
pub(crate) trait LikelihoodOps: Backend {
    /// ln softmax of each row at its target: logits `[N, V]`, result `[N]`.
    fn select(logits: FloatTensor<Self>, targets: Targets) -> FloatTensor<Self>;
    /// Gradient of [`LikelihoodOps::select`] with respect to the logits: grad `[N]`, result `[N, V]`.
    fn select_backward(
        logits: FloatTensor<Self>,
        targets: Targets,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// ln p(target) of each row: logits `[N, V]`, `targets` N of them, result `[N]`, in nats.
///
/// # Panics
///
/// Panics where a target is outside `0..V` or there is not one for each row, as indexing does.
#[must_use]
pub fn log_probabilities(logits: Tensor<2>, targets: &[i32]) -> Tensor<1> {
    let [rows, width] = logits.dims();
    assert_eq!(rows, targets.len(), "one target for each row of logits");
    let known = |target: &i32| usize::try_from(*target).is_ok_and(|target| target < width);
    assert!(
        targets.iter().all(known),
        "targets are below the vocabulary's size {width}"
    );
    if logits.dtype() == DType::F32 && logits.device().inner() == Device::flex() {
        return Tensor::from_dispatch(Dispatch::select(logits.into_dispatch(), targets.into()));
    }
    composed(logits, targets)
}

/// The same from burn's own operations, for other devices and types.
fn composed(logits: Tensor<2>, targets: &[i32]) -> Tensor<1> {
    let data = TensorData::new(targets.to_vec(), [targets.len(), 1]);
    let targets = Tensor::<2, Int>::from_data(data, &logits.device());
    activation::log_softmax(logits, 1)
        .gather(1, targets)
        .squeeze_dim(1)
}

const LANES: usize = 8;

/// The largest value; −∞ for an empty row.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let chunks = row.chunks_exact(LANES);
    let rest = chunks
        .remainder()
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            // Not `f32::max`, whose rules about NaN cost a comparison more. A NaN in the row still ends in
            // the sum of exponentials.
            lanes[lane] = if chunk[lane] > lanes[lane] {
                chunk[lane]
            } else {
                lanes[lane]
            };
        }
    }
    lanes.into_iter().fold(rest, f32::max)
}

/// ln softmax of one row at `target`.
#[multiversion(targets("x86_64+avx2+fma"))]
fn forward(row: &[f32], target: usize) -> f32 {
    let largest = largest(row);
    let chunks = row.chunks_exact(LANES);
    let mut sum: f32 = chunks
        .remainder()
        .iter()
        .map(|value| exp(value - largest))
        .sum();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += exp(chunk[lane] - largest);
        }
    }
    sum += lanes.iter().sum::<f32>();
    row[target] - largest - sum.ln()
}

/// ∂xⱼ = g (δⱼₜ − pⱼ) with p = softmax of the row.
#[multiversion(targets("x86_64+avx2+fma"))]
fn backward(row: &[f32], target: usize, grad: f32, output: &mut [f32]) {
    let largest = largest(row);
    let mut lanes = [0f32; LANES];
    let chunks = row.chunks_exact(LANES);
    let mut outputs = output.chunks_exact_mut(LANES);
    let rest = chunks.remainder();
    for (chunk, output) in chunks.zip(&mut outputs) {
        for lane in 0..LANES {
            output[lane] = exp(chunk[lane] - largest);
            lanes[lane] += output[lane];
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for (output, value) in outputs.into_remainder().iter_mut().zip(rest) {
        *output = exp(value - largest);
        sum += *output;
    }
    let scale = -grad / sum;
    output.iter_mut().for_each(|value| *value *= scale);
    output[target] += grad;
}

fn values(tensor: &FlexTensor) -> std::borrow::Cow<'_, [f32]> {
    const F32: &str = "`log_probabilities` passes f32 tensors only";
    match tensor.as_slice::<f32>() {
        Some(values) if tensor.is_contiguous() => values.into(),
        _ => {
            let tensor = tensor.to_contiguous();
            tensor.as_slice::<f32>().expect(F32).to_vec().into()
        }
    }
}

impl LikelihoodOps for Flex {
    fn select(logits: FlexTensor, targets: Targets) -> FlexTensor {
        let width = logits.shape()[1];
        let rows = values(&logits);
        let selected: Vec<f32> = rows
            .par_chunks_exact(width)
            .zip(&targets[..])
            .map(|(row, &target)| forward(row, target as usize))
            .collect();
        FlexTensor::from_data(TensorData::new(selected, [targets.len()]))
    }

    fn select_backward(logits: FlexTensor, targets: Targets, grad: FlexTensor) -> FlexTensor {
        let width = logits.shape()[1];
        let (rows, grad) = (values(&logits), values(&grad));
        let mut output = vec![0f32; rows.len()];
        output
            .par_chunks_exact_mut(width)
            .zip(rows.par_chunks_exact(width))
            .zip(targets.par_iter().zip(&grad[..]))
            .for_each(|((output, row), (&target, &grad))| {
                backward(row, target as usize, grad, output);
            });
        FlexTensor::from_data(TensorData::new(output, [targets.len(), width]))
    }
}

#[derive(Debug)]
struct Select;

impl<B: LikelihoodOps> Backward<B, 1> for Select {
    type State = (FloatTensor<B>, Targets);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (logits, targets) = ops.state;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::select_backward(logits, targets, grad));
        }
    }
}

impl<B: LikelihoodOps, C: CheckpointStrategy> LikelihoodOps for Autodiff<B, C> {
    fn select(logits: FloatTensor<Self>, targets: Targets) -> FloatTensor<Self> {
        match Select
            .prepare::<C>([logits.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let logits = logits.into_primitive();
                let output = B::select(logits.clone(), targets.clone());
                prep.finish((logits, targets), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::select(logits.into_primitive(), targets)),
        }
    }

    fn select_backward(
        _logits: FloatTensor<Self>,
        _targets: Targets,
        _grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("gradients of gradients are not taken anywhere in this crate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::initialization::normal;
    use taskvec_eval::random::Random;

    #[test]
    fn fused_and_composed_agree_in_values_and_gradients() {
        let mut random = Random::derive(&[1]);
        for width in [1, 7, 8, 33, 512] {
            let rows = 5;
            let logits: Vec<f32> = (0..rows * width)
                .map(|_| (6.0 * normal(&mut random)) as f32)
                .collect();
            let targets: Vec<i32> = (0..rows).map(|_| random.below(width) as i32).collect();
            let weights: Vec<f32> = (0..rows).map(|_| normal(&mut random) as f32).collect();
            let run = |function: &dyn Fn(Tensor<2>, &[i32]) -> Tensor<1>| {
                let device = Device::flex().autodiff();
                let data = TensorData::new(logits.clone(), [rows, width]);
                let logits = Tensor::<2>::from_data(data, &device).require_grad();
                let selected = function(logits.clone(), &targets);
                let weights = TensorData::new(weights.clone(), [rows]);
                let loss = (selected.clone() * Tensor::from_data(weights, &device)).sum();
                let gradient = logits.grad(&loss.backward()).unwrap();
                let values = selected.into_data().as_slice::<f32>().unwrap().to_vec();
                (
                    values,
                    gradient.into_data().as_slice::<f32>().unwrap().to_vec(),
                )
            };
            let fused = run(&log_probabilities);
            let plain = run(&composed);
            // Logits up to 20, so ln p has an absolute error of a few units of 2⁻¹⁹; gradients are at most 3.
            for (fused, plain) in fused.0.iter().zip(&plain.0) {
                assert!(
                    (fused - plain).abs() < 1e-5,
                    "width {width}: {fused}, {plain}"
                );
            }
            for (fused, plain) in fused.1.iter().zip(&plain.1) {
                assert!(
                    (fused - plain).abs() < 2e-6,
                    "width {width}: {fused}, {plain}"
                );
            }
        }
    }

    #[test]
    fn a_transposed_view_is_read_in_its_own_order() {
        let data = TensorData::new(vec![0f32, 3.0, 1.0, 4.0, 2.0, 5.0], [3, 2]);
        let view = Tensor::<2>::from_data(data, &Device::flex()).transpose();
        let straight = Tensor::<2>::from_data([[0f32, 1.0, 2.0], [3.0, 4.0, 5.0]], &Device::flex());
        let found = log_probabilities(view, &[2, 0]).into_data();
        assert_eq!(found, log_probabilities(straight, &[2, 0]).into_data());
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let logits = Tensor::<2>::from_data([[0f32, f32::NAN, 1.0]], &Device::flex());
        let found = log_probabilities(logits, &[0]).into_data();
        assert!(found.as_slice::<f32>().unwrap()[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "below the vocabulary's size 3")]
    fn a_target_outside_the_vocabulary_panics() {
        let logits = Tensor::<2>::from_data([[0f32, 1.0, 2.0]], &Device::flex());
        let _ = log_probabilities(logits, &[3]);
    }
}
