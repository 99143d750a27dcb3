//! Operations that burn would run as many small kernels, fused into one pass each.
//!
//! At the sizes people train on a laptop the time of a decoder goes to small element-wise
//! kernels and the copies between them, not to its matrix products. Each operation here exists
//! twice: composed from burn's primitives, which every device runs and differentiates, and fused
//! for the CPU with a hand-written backward pass. Tests hold the two together, values and
//! gradients.
//!
//! Not covered: other dtypes than f32 on the CPU take the composed form.

mod attention;
mod autodiff;
pub(crate) mod exponential;
mod norm;
mod rotary;
mod swiglu;
#[cfg(test)]
mod tests;

use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::{DType, Device, Tensor};

use super::rotary::RotaryTable;

/// Where a batch's rows stand on their sequences.
///
/// Query t of a row has index `past + t`; it sees the keys from the row's start to its own index,
/// and its rotary position is its index less the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// First index of each row that is not padding.
    pub starts: Vec<usize>,
    /// Indices before this call's first.
    pub past: usize,
}

/// Head counts and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heads {
    /// Query heads, H.
    pub query: usize,
    /// Key and value heads, G.
    pub key_value: usize,
    /// Width of a head, D.
    pub width: usize,
}

/// The fused operations; gradients are operations of their own.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait DecoderOps: Backend {
    /// `x / sqrt(mean(x²) + ε) · weight` over the last dimension.
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f64) -> FloatTensor<Self>;
    /// Gradients of [`DecoderOps::rms_norm`] with respect to `x` and `weight`.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// `silu(gate) · up`.
    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of [`DecoderOps::swiglu`].
    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
    /// Rotates every head of `[B, T, N·D]`; `inverse` turns the other way.
    fn rotate(
        x: FloatTensor<Self>,
        table: RotaryTable,
        span: Span,
        inverse: bool,
    ) -> FloatTensor<Self>;
    /// Causal attention of `[B, T, H·D]` over the first `past + T` of `[B, S, G·D]`.
    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: Heads,
        span: Span,
    ) -> FloatTensor<Self>;
    /// Gradients of [`DecoderOps::attend`] with respect to query, key and value.
    fn attend_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        heads: Heads,
        span: Span,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Whether the fused form runs where `x` lives.
fn is_fused<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device().inner() == Device::flex()
}

/// RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467, equation 4) over the last dimension of
/// `[B, T, C]`.
pub(crate) fn rms_norm(x: Tensor<3>, weight: Tensor<1>, eps: f64) -> Tensor<3> {
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::rms_norm(
            x.into_dispatch(),
            weight.into_dispatch(),
            eps,
        ));
    }
    norm::composed(x, weight, eps)
}

/// SwiGLU's product (Shazeer 2020, arXiv 2002.05202): `silu(gate) · up`, all `[B, T, F]`.
pub(crate) fn swiglu(gate: Tensor<3>, up: Tensor<3>) -> Tensor<3> {
    if is_fused(&gate) {
        return Tensor::from_dispatch(Dispatch::swiglu(gate.into_dispatch(), up.into_dispatch()));
    }
    swiglu::composed(gate, up)
}

/// Rotary position embedding of every head of `[B, T, N·D]`.
pub(crate) fn rotate(x: Tensor<3>, table: &RotaryTable, span: &Span) -> Tensor<3> {
    if is_fused(&x) {
        return Tensor::from_dispatch(Dispatch::rotate(
            x.into_dispatch(),
            table.clone(),
            span.clone(),
            false,
        ));
    }
    rotary::composed(x, table, span)
}

/// Causal attention: queries `[B, T, H·D]` over the first `past + T` keys and values of
/// `[B, S, G·D]`; query head h reads key head `h / (H / G)`.
pub(crate) fn attend(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: Heads,
    span: &Span,
) -> Tensor<3> {
    if is_fused(&query) {
        return Tensor::from_dispatch(Dispatch::attend(
            query.into_dispatch(),
            key.into_dispatch(),
            value.into_dispatch(),
            heads,
            span.clone(),
        ));
    }
    attention::composed(query, key, value, heads, span)
}
