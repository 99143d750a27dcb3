//! The fused operations on the CPU, and their place in burn's autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Flex, TensorMetadata, flex::FlexTensor, tensor::FloatTensor};
use burn::tensor::{Shape, TensorData};

use super::{DecoderOps, Heads, RotaryTable, Span, attention, norm, rotary, swiglu};

/// The values of a tensor in row-major order; copies only a strided view.
fn contiguous(tensor: &FlexTensor) -> std::borrow::Cow<'_, FlexTensor> {
    if tensor.is_contiguous() {
        std::borrow::Cow::Borrowed(tensor)
    } else {
        std::borrow::Cow::Owned(tensor.to_contiguous())
    }
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect(
        "callers pass contiguous f32 tensors: `is_fused` asks for f32, `contiguous` for the rest",
    )
}

fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

fn sizes(query: &FlexTensor, key: &FlexTensor, heads: Heads) -> attention::Sizes {
    let shape = query.shape();
    attention::Sizes {
        batch: shape[0],
        queries: shape[1],
        capacity: key.shape()[1],
        heads,
    }
}

impl DecoderOps for Flex {
    fn rms_norm(x: FlexTensor, weight: FlexTensor, eps: f64) -> FlexTensor {
        let (x, weight) = (contiguous(&x), contiguous(&weight));
        let mut output = vec![0f32; values(&x).len()];
        norm::forward(values(&x), values(&weight), eps as f32, &mut output);
        tensor(output, x.shape())
    }

    fn rms_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        eps: f64,
    ) -> (FlexTensor, FlexTensor) {
        let (x, weight, grad) = (contiguous(&x), contiguous(&weight), contiguous(&grad));
        let mut grad_x = vec![0f32; values(&x).len()];
        let mut grad_weight = vec![0f32; values(&weight).len()];
        norm::backward(
            values(&x),
            values(&weight),
            values(&grad),
            eps as f32,
            &mut grad_x,
            &mut grad_weight,
        );
        (
            tensor(grad_x, x.shape()),
            tensor(grad_weight, weight.shape()),
        )
    }

    fn swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        let (gate, up) = (contiguous(&gate), contiguous(&up));
        let mut output = vec![0f32; values(&gate).len()];
        swiglu::forward(values(&gate), values(&up), &mut output);
        tensor(output, gate.shape())
    }

    fn swiglu_backward(
        gate: FlexTensor,
        up: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let (gate, up, grad) = (contiguous(&gate), contiguous(&up), contiguous(&grad));
        let mut grad_gate = vec![0f32; values(&gate).len()];
        let mut grad_up = vec![0f32; values(&gate).len()];
        swiglu::backward(
            values(&gate),
            values(&up),
            values(&grad),
            &mut grad_gate,
            &mut grad_up,
        );
        (
            tensor(grad_gate, gate.shape()),
            tensor(grad_up, gate.shape()),
        )
    }

    fn rotate(x: FlexTensor, table: RotaryTable, span: Span, inverse: bool) -> FlexTensor {
        let x = contiguous(&x);
        let mut output = vec![0f32; values(&x).len()];
        rotary::forward(
            values(&x),
            x.shape()[1],
            &table,
            &span,
            inverse,
            &mut output,
        );
        tensor(output, x.shape())
    }

    fn attend(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        heads: Heads,
        span: Span,
    ) -> FlexTensor {
        let (query, key, value) = (contiguous(&query), contiguous(&key), contiguous(&value));
        let mut output = vec![0f32; values(&query).len()];
        attention::forward(
            values(&query),
            values(&key),
            values(&value),
            sizes(&query, &key, heads),
            &span,
            &mut output,
        );
        tensor(output, query.shape())
    }

    fn attend_backward(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        grad: FlexTensor,
        heads: Heads,
        span: Span,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (query, key) = (contiguous(&query), contiguous(&key));
        let (value, grad) = (contiguous(&value), contiguous(&grad));
        let mut grad_query = vec![0f32; values(&query).len()];
        let mut grad_key = vec![0f32; values(&key).len()];
        let mut grad_value = vec![0f32; values(&key).len()];
        attention::backward(
            values(&query),
            values(&key),
            values(&value),
            values(&grad),
            sizes(&query, &key, heads),
            &span,
            attention::Gradients {
                query: &mut grad_query,
                key: &mut grad_key,
                value: &mut grad_value,
            },
        );
        (
            tensor(grad_query, query.shape()),
            tensor(grad_key, key.shape()),
            tensor(grad_value, key.shape()),
        )
    }
}

#[derive(Debug)]
struct RmsNorm;

impl<B: DecoderOps> Backward<B, 2> for RmsNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f64);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (x, weight, eps) = ops.state;
        let (grad_x, grad_weight) = B::rms_norm_backward(x, weight, grad, eps);
        if let Some(node) = x_node {
            grads.register::<B>(node.id, grad_x);
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, grad_weight);
        }
    }
}

#[derive(Debug)]
struct SwiGlu;

impl<B: DecoderOps> Backward<B, 2> for SwiGlu {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [gate_node, up_node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (gate, up) = ops.state;
        let (grad_gate, grad_up) = B::swiglu_backward(gate, up, grad);
        if let Some(node) = gate_node {
            grads.register::<B>(node.id, grad_gate);
        }
        if let Some(node) = up_node {
            grads.register::<B>(node.id, grad_up);
        }
    }
}

#[derive(Debug)]
struct Rotate;

impl<B: DecoderOps> Backward<B, 1> for Rotate {
    type State = (RotaryTable, Span, bool);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let (table, span, inverse) = ops.state;
        if let Some(node) = node {
            // A rotation's transpose is its inverse.
            grads.register::<B>(node.id, B::rotate(grad, table, span, !inverse));
        }
    }
}

#[derive(Debug)]
struct Attend;

impl<B: DecoderOps> Backward<B, 3> for Attend {
    type State = ([FloatTensor<B>; 3], Heads, Span);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let nodes = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let ([query, key, value], heads, span) = ops.state;
        let (query, key, value) = B::attend_backward(query, key, value, grad, heads, span);
        for (node, grad) in nodes.into_iter().zip([query, key, value]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

/// Gradients of gradients are not taken anywhere in this crate.
const SECOND_ORDER: &str = "the fused decoder operations have first derivatives only";

impl<B: DecoderOps, C: CheckpointStrategy> DecoderOps for Autodiff<B, C> {
    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f64) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node()];
        match RmsNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (x.primitive().clone(), weight.primitive().clone(), eps);
                prep.finish(
                    state,
                    B::rms_norm(x.into_primitive(), weight.into_primitive(), eps),
                )
            }
            OpsKind::UnTracked(prep) => prep.finish(B::rms_norm(
                x.into_primitive(),
                weight.into_primitive(),
                eps,
            )),
        }
    }

    fn rms_norm_backward(
        _x: FloatTensor<Self>,
        _weight: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _eps: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }

    fn swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let nodes = [gate.node(), up.node()];
        match SwiGlu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let state = (gate.primitive().clone(), up.primitive().clone());
                prep.finish(state, B::swiglu(gate.into_primitive(), up.into_primitive()))
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::swiglu(gate.into_primitive(), up.into_primitive()))
            }
        }
    }

    fn swiglu_backward(
        _gate: FloatTensor<Self>,
        _up: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }

    fn rotate(
        x: FloatTensor<Self>,
        table: RotaryTable,
        span: Span,
        inverse: bool,
    ) -> FloatTensor<Self> {
        match Rotate.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::rotate(x.into_primitive(), table.clone(), span.clone(), inverse);
                prep.finish((table, span, inverse), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::rotate(x.into_primitive(), table, span, inverse))
            }
        }
    }

    fn attend(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        heads: Heads,
        span: Span,
    ) -> FloatTensor<Self> {
        let nodes = [query.node(), key.node(), value.node()];
        let (query, key, value) = (
            query.into_primitive(),
            key.into_primitive(),
            value.into_primitive(),
        );
        match Attend.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let inputs = [query.clone(), key.clone(), value.clone()];
                let output = B::attend(query, key, value, heads, span.clone());
                prep.finish((inputs, heads, span), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::attend(query, key, value, heads, span)),
        }
    }

    fn attend_backward(
        _query: FloatTensor<Self>,
        _key: FloatTensor<Self>,
        _value: FloatTensor<Self>,
        _grad: FloatTensor<Self>,
        _heads: Heads,
        _span: Span,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{SECOND_ORDER}")
    }
}
