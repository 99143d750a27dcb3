//! RMSNorm, forward and backward.

use burn::tensor::Tensor;
use multiversion::multiversion;

pub(super) fn composed(x: Tensor<3>, weight: Tensor<1>, eps: f64) -> Tensor<3> {
    let variance = x.clone().square().mean_dim(2);
    x * (variance + eps).sqrt().recip() * weight.unsqueeze()
}

/// 1 / sqrt(mean(x²) + ε) of one row.
#[inline(always)]
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    let sum: f32 = dot(row, row);
    1.0 / (sum / row.len() as f32 + eps).sqrt()
}

/// Σ aᵢ bᵢ with eight running sums, so that the compiler may use vector registers.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Writes the normalised rows of `x`, each as long as `weight`, to `output`.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn forward(x: &[f32], weight: &[f32], eps: f32, output: &mut [f32]) {
    let width = weight.len();
    for (row, output) in x.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
        let scale = inverse_rms(row, eps);
        for ((output, x), weight) in output.iter_mut().zip(row).zip(weight) {
            *output = x * scale * weight;
        }
    }
}

/// With r = 1/rms: ∂x = r·(g∘w) − x·r³/C·Σ(g∘w∘x) and ∂w = Σ_rows g∘x·r.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    eps: f32,
    grad_x: &mut [f32],
    grad_weight: &mut [f32],
) {
    let width = weight.len();
    let rows = x.chunks_exact(width).zip(grad.chunks_exact(width));
    for ((row, grad), grad_x) in rows.zip(grad_x.chunks_exact_mut(width)) {
        let scale = inverse_rms(row, eps);
        for ((out, g), w) in grad_x.iter_mut().zip(grad).zip(weight) {
            *out = g * w;
        }
        let shrink = scale * scale * scale / width as f32 * dot(grad_x, row);
        for (((out, x), g), gw) in grad_x.iter_mut().zip(row).zip(grad).zip(&mut *grad_weight) {
            *out = *out * scale - x * shrink;
            *gw += g * x * scale;
        }
    }
}
