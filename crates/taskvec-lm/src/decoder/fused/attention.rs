//! Causal grouped-query attention, forward and backward, one head at a time.
//!
//! A head's scores fit the first-level cache at these sizes, so nothing of size T × S is ever
//! stored: the backward pass computes the probabilities again.

use burn::tensor::{Bool, Int, Tensor, TensorData, activation};
use multiversion::multiversion;
use rayon::prelude::*;

use super::{Heads, Span, exponential::exp};

pub(super) fn composed(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: Heads,
    span: &Span,
) -> Tensor<3> {
    let [b, t, _] = query.dims();
    let s = span.past + t;
    let Heads {
        query: h,
        key_value: g,
        width: d,
    } = heads;
    let device = query.device();
    // The query heads of one key head are stacked as more rows, so keys need no copies.
    let query =
        (query.reshape([b, t, g, h / g, d]).permute([0, 2, 3, 1, 4])).reshape([b, g, h / g * t, d]);
    let split = |x: Tensor<3>| x.narrow(1, 0, s).reshape([b, s, g, d]).swap_dims(1, 2);
    let (key, value) = (split(key), split(value));
    let visible = visibility(b, t, span);
    let hidden: Tensor<4, Bool> =
        Tensor::<4, Int>::from_data(TensorData::new(visible, [b, 1, t, s]), &device)
            .equal_elem(0)
            .repeat_dim(2, h / g)
            .expand([b, g, h / g * t, s]);
    let scores = query.matmul(key.swap_dims(2, 3)) * (1.0 / (d as f64).sqrt());
    let probabilities = activation::softmax(scores.mask_fill(hidden.clone(), -1e30), 3);
    // A padding query sees no key; its row is zero, as in the fused form.
    let probabilities = probabilities.mask_fill(hidden, 0.0);
    let output = probabilities.matmul(value).reshape([b, g, h / g, t, d]);
    output.permute([0, 3, 1, 2, 4]).reshape([b, t, h * d])
}

/// 1 where query t of row b sees key s, `[B, T, S]`.
fn visibility(batch: usize, queries: usize, span: &Span) -> Vec<i32> {
    let keys = span.past + queries;
    let mut visible = Vec::with_capacity(batch * queries * keys);
    for start in &span.starts {
        for query in 0..queries {
            visible
                .extend((0..keys).map(|key| i32::from(key >= *start && key <= span.past + query)));
        }
    }
    visible
}

/// Sizes of one call. `capacity` is S, the rows that key and value hold a sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub batch: usize,
    pub queries: usize,
    pub capacity: usize,
    pub heads: Heads,
}

impl Sizes {
    fn scale(&self) -> f32 {
        1.0 / (self.heads.width as f32).sqrt()
    }

    /// Offset and stride between rows of query head `h` of sequence `b`.
    fn query(&self, b: usize, h: usize) -> (usize, usize) {
        let stride = self.heads.query * self.heads.width;
        (b * self.queries * stride + h * self.heads.width, stride)
    }

    /// The same of the key head that query head `h` reads.
    fn key(&self, b: usize, h: usize) -> (usize, usize) {
        let stride = self.heads.key_value * self.heads.width;
        let group = h / (self.heads.query / self.heads.key_value);
        (
            b * self.capacity * stride + group * self.heads.width,
            stride,
        )
    }
}

/// Copies a head's rows `first..last` as columns: `[D, last - first]`.
#[inline(always)]
fn transpose(
    source: &[f32],
    offset: usize,
    stride: usize,
    first: usize,
    last: usize,
    width: usize,
    target: &mut [f32],
) {
    let rows = last - first;
    for row in 0..rows {
        let start = offset + (first + row) * stride;
        for (column, value) in source[start..start + width].iter().enumerate() {
            target[column * rows + row] = *value;
        }
    }
}

/// Keys, or columns of a value, whose sums are kept in registers at once.
const BLOCK: usize = 32;
/// What one register holds.
const REGISTER: usize = 8;

/// Adds `weight · rows[row][at..]` for every row to `sums`, one row after the other.
#[inline(always)]
fn add_weighted<const N: usize>(
    weights: &[f32],
    rows: &[f32],
    stride: usize,
    at: usize,
    sums: &mut [f32],
) {
    let mut held = [0f32; N];
    held.copy_from_slice(sums);
    for (weight, row) in weights.iter().zip(rows[at..].chunks(stride)) {
        for (sum, value) in held.iter_mut().zip(&row[..N]) {
            *sum += weight * value;
        }
    }
    sums.copy_from_slice(&held);
}

/// `output[i] += Σ_row weights[row] · rows[row][i]`, every sum in the order of the rows, whatever the width.
#[inline(always)]
fn weighted_sum(weights: &[f32], rows: &[f32], stride: usize, output: &mut [f32]) {
    let mut at = 0;
    while output.len() - at >= BLOCK {
        add_weighted::<BLOCK>(weights, rows, stride, at, &mut output[at..at + BLOCK]);
        at += BLOCK;
    }
    while output.len() - at >= REGISTER {
        add_weighted::<REGISTER>(weights, rows, stride, at, &mut output[at..at + REGISTER]);
        at += REGISTER;
    }
    let rest = &mut output[at..];
    if rest.is_empty() {
        return;
    }
    for (weight, row) in weights.iter().zip(rows[at..].chunks(stride)) {
        for (sum, value) in rest.iter_mut().zip(row) {
            *sum += weight * value;
        }
    }
}

/// Probabilities of one query over `scores.len()` keys, given as columns `[D, keys]`; `scaled` has room for the query.
#[inline(always)]
fn probabilities(
    query: &[f32],
    key_columns: &[f32],
    keys: usize,
    scale: f32,
    scaled: &mut [f32],
    scores: &mut [f32],
) {
    for (scaled, q) in scaled.iter_mut().zip(query) {
        *scaled = q * scale;
    }
    scores.fill(0.0);
    weighted_sum(scaled, key_columns, keys, scores);
    let mut maximum = f32::NEG_INFINITY;
    for score in scores.iter() {
        maximum = maximum.max(*score);
    }
    for score in scores.iter_mut() {
        *score = exp(*score - maximum);
    }
    let mut sums = [0f32; 8];
    let chunks = scores.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().sum();
    for chunk in chunks {
        for lane in 0..8 {
            sums[lane] += chunk[lane];
        }
    }
    let inverse = 1.0 / (sums.iter().sum::<f32>() + rest);
    for score in scores.iter_mut() {
        *score *= inverse;
    }
}

/// Queries of one sequence that a thread takes at a time, where there are several threads.
const QUERIES_AT_ONCE: usize = 32;
/// Multiplications below which other threads are not worth waking.
const PARALLEL_FROM: usize = 1 << 20;

/// Writes `softmax(q kᵀ / √D) v` of every head to `output`, which starts as zeros.
///
/// Each query is computed by itself, so neither the number of threads nor what one takes at a time changes a bit.
pub(super) fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    sizes: Sizes,
    span: &Span,
    output: &mut [f32],
) {
    let stride = sizes.heads.query * sizes.heads.width;
    let sequence = sizes.queries * stride;
    if output.is_empty() {
        return;
    }
    let multiplications = 2 * output.len() * (span.past + sizes.queries);
    if rayon::current_num_threads() == 1 || multiplications < PARALLEL_FROM {
        for (b, output) in output.chunks_mut(sequence).enumerate() {
            forward_rows(q, k, v, sizes, span, (b, 0), output);
        }
        return;
    }
    let some = QUERIES_AT_ONCE * stride;
    output
        .par_chunks_mut(sequence)
        .enumerate()
        .for_each(|(b, output)| {
            output
                .par_chunks_mut(some)
                .enumerate()
                .for_each(|(part, output)| {
                    let first = part * QUERIES_AT_ONCE;
                    forward_rows(q, k, v, sizes, span, (b, first), output);
                });
        });
}

/// As [`forward`], for those queries that fit `output`, from `place` on: a sequence and a query of it.
#[multiversion(targets("x86_64+avx2+fma"))]
fn forward_rows(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    sizes: Sizes,
    span: &Span,
    place: (usize, usize),
    output: &mut [f32],
) {
    let (b, first) = place;
    let Heads {
        query: heads,
        key_value: groups,
        width,
    } = sizes.heads;
    let queries = output.len() / (heads * width);
    let start = span.starts[b];
    // What the last of these queries sees.
    let keys = (span.past + first + queries).saturating_sub(start);
    if keys == 0 {
        return;
    }
    let mut columns = vec![0f32; width * keys];
    let mut scores = vec![0f32; keys];
    let mut scaled = vec![0f32; width];
    for h in 0..heads {
        let (q_offset, q_stride) = sizes.query(b, h);
        let (k_offset, k_stride) = sizes.key(b, h);
        // The heads of a group read the same keys.
        if h % (heads / groups) == 0 {
            transpose(
                k,
                k_offset,
                k_stride,
                start,
                start + keys,
                width,
                &mut columns,
            );
        }
        for row in 0..queries {
            let t = first + row;
            if span.past + t < start {
                continue;
            }
            let seen = span.past + t + 1 - start;
            let q_row = q_offset + t * q_stride;
            let scores = &mut scores[..seen];
            probabilities(
                &q[q_row..q_row + width],
                &columns,
                keys,
                sizes.scale(),
                &mut scaled,
                scores,
            );
            let out = row * q_stride + h * width;
            let values = &v[k_offset + start * k_stride..];
            weighted_sum(scores, values, k_stride, &mut output[out..out + width]);
        }
    }
}

/// Where the gradients of query, key and value are summed; all start as zeros.
pub(super) struct Gradients<'a> {
    pub query: &'a mut [f32],
    pub key: &'a mut [f32],
    pub value: &'a mut [f32],
}

/// With P the probabilities and S the scores: ∂V = Pᵀ∂O, ∂P = ∂O Vᵀ, ∂S = P∘(∂P − Σ P∘∂P),
/// ∂Q = ∂S K/√D, ∂K = ∂Sᵀ Q/√D.
#[multiversion(targets("x86_64+avx2+fma"))]
pub(super) fn backward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    grad: &[f32],
    sizes: Sizes,
    span: &Span,
    gradients: Gradients<'_>,
) {
    let width = sizes.heads.width;
    let total = span.past + sizes.queries;
    let mut key_columns = vec![0f32; width * total];
    let mut value_columns = vec![0f32; width * total];
    let mut scores = vec![0f32; total];
    let mut grad_scores = vec![0f32; total];
    let mut scaled = vec![0f32; width];
    let scale = sizes.scale();
    for b in 0..sizes.batch {
        let start = span.starts[b];
        let keys = total - start.min(total);
        for h in 0..sizes.heads.query {
            let (q_offset, q_stride) = sizes.query(b, h);
            let (k_offset, k_stride) = sizes.key(b, h);
            let key_columns = &mut key_columns[..width * keys];
            let value_columns = &mut value_columns[..width * keys];
            transpose(
                k,
                k_offset,
                k_stride,
                start,
                start + keys,
                width,
                key_columns,
            );
            transpose(
                v,
                k_offset,
                k_stride,
                start,
                start + keys,
                width,
                value_columns,
            );
            for t in 0..sizes.queries {
                if span.past + t < start {
                    continue;
                }
                let seen = span.past + t + 1 - start;
                let row = q_offset + t * q_stride;
                let (query, grad) = (&q[row..row + width], &grad[row..row + width]);
                let scores = &mut scores[..seen];
                probabilities(query, key_columns, keys, scale, &mut scaled, scores);
                let grad_scores = &mut grad_scores[..seen];
                grad_scores.fill(0.0);
                for (g, column) in grad.iter().zip(value_columns.chunks_exact(keys)) {
                    for (out, v) in grad_scores.iter_mut().zip(column) {
                        *out += g * v;
                    }
                }
                let mean = super::norm::dot(scores, grad_scores);
                for (out, p) in grad_scores.iter_mut().zip(scores.iter()) {
                    *out = (*out - mean) * p * scale;
                }
                let grad_query = &mut gradients.query[row..row + width];
                for s in 0..seen {
                    let key_row = k_offset + (start + s) * k_stride;
                    let key_range = key_row..key_row + width;
                    let (p, ds) = (scores[s], grad_scores[s]);
                    let key = &k[key_range.clone()];
                    let grad_key = &mut gradients.key[key_range.clone()];
                    let grad_value = &mut gradients.value[key_range];
                    for i in 0..width {
                        grad_query[i] += ds * key[i];
                        grad_key[i] += ds * query[i];
                        grad_value[i] += p * grad[i];
                    }
                }
            }
        }
    }
}
