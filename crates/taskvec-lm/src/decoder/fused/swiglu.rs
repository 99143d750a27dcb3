//! SwiGLU's product, forward and backward.

use burn::tensor::{Tensor, activation};
use multiversion::multiversion;
use rayon::prelude::*;

use super::exponential::exp;

pub(super) fn composed(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    activation::silu(gate) * up
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Values that a thread takes at a time.
const AT_ONCE: usize = 1 << 15;

/// `silu(gate) · up`.
pub(super) fn forward(gate: &[f32], up: &[f32], output: &mut [f32]) {
    if output.len() <= AT_ONCE || rayon::current_num_threads() == 1 {
        return forward_some(gate, up, output);
    }
    output
        .par_chunks_mut(AT_ONCE)
        .zip(gate.par_chunks(AT_ONCE).zip(up.par_chunks(AT_ONCE)))
        .for_each(|(output, (gate, up))| forward_some(gate, up, output));
}

#[multiversion(targets("x86_64+avx2+fma"))]
fn forward_some(gate: &[f32], up: &[f32], output: &mut [f32]) {
    for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
        *output = gate * sigmoid(*gate) * up;
    }
}

/// With s = σ(gate): ∂gate = g·up·s·(1 + gate·(1 − s)) and ∂up = g·gate·s.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn backward(
    gate: &[f32],
    up: &[f32],
    grad: &[f32],
    grad_gate: &mut [f32],
    grad_up: &mut [f32],
) {
    let inputs = gate.iter().zip(up).zip(grad);
    for (((gate, up), grad), (grad_gate, grad_up)) in
        inputs.zip(grad_gate.iter_mut().zip(grad_up.iter_mut()))
    {
        let s = sigmoid(*gate);
        *grad_gate = grad * up * s * (1.0 + gate * (1.0 - s));
        *grad_up = grad * gate * s;
    }
}
