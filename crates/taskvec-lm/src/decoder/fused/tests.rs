//! The fused operations against burn's own: values, and gradients of a random projection.

use burn::tensor::{Device, Distribution, Tensor};

use super::{Heads, RotaryTable, Span, attention, norm, rotary, swiglu};

fn device() -> Device {
    Device::flex().autodiff()
}

fn random(shape: [usize; 3]) -> Tensor<3> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device()).require_grad()
}

fn close<const D: usize>(name: &str, fused: Tensor<D>, composed: Tensor<D>) {
    let difference = (fused.inner() - composed.inner()).abs().max();
    let difference: f32 = difference.into_scalar();
    // Sums of at most 64 products of unit normals in another order.
    assert!(difference < 2e-5, "{name} differs by {difference}");
}

/// Runs both forms on the same inputs, compares the outputs, and the gradients of `Σ output ∘ weights`.
fn same<const N: usize>(
    inputs: [Tensor<3>; N],
    fused: impl Fn([Tensor<3>; N]) -> Tensor<3>,
    composed: impl Fn([Tensor<3>; N]) -> Tensor<3>,
) {
    let outputs = [fused(inputs.clone()), composed(inputs.clone())];
    let weights = random(outputs[0].dims());
    let gradients = outputs
        .clone()
        .map(|output| (output * weights.clone()).sum().backward());
    let [a, b] = outputs;
    close("output", a, b);
    for (index, input) in inputs.iter().enumerate() {
        let [a, b] = gradients.each_ref().map(|gradients| {
            input
                .grad(gradients)
                .unwrap_or_else(|| panic!("input {index} has no gradient"))
        });
        close(&format!("gradient {index}"), a, b);
    }
}

#[test]
fn rms_norm_is_the_composed_one() {
    for width in [8, 13, 64] {
        let weight = random([1, 1, width]);
        same(
            [random([3, 5, width]), weight],
            |[x, weight]| super::rms_norm(x, weight.reshape([width]), 1e-6),
            |[x, weight]| norm::composed(x, weight.reshape([width]), 1e-6),
        );
    }
}

#[test]
fn swiglu_is_the_composed_one() {
    same(
        [random([3, 5, 17]) * 4.0, random([3, 5, 17])].map(|x| x.detach().require_grad()),
        |[gate, up]| super::swiglu(gate, up),
        |[gate, up]| swiglu::composed(gate, up),
    );
}

fn spans() -> [(Span, usize); 3] {
    let span = |starts: &[usize], past| Span {
        starts: starts.to_vec(),
        past,
    };
    // Training; left padding, one row all padding but its last; continuing behind six positions.
    [
        (span(&[0, 0, 0], 0), 7),
        (span(&[0, 3, 6], 0), 7),
        (span(&[0, 2, 5], 6), 3),
    ]
}

#[test]
fn rotation_is_the_composed_one() {
    let table = RotaryTable::with_periods(16, &[1.0, 20.0, 400.0]);
    for (span, t) in spans() {
        same(
            [random([3, t, 12])],
            |[x]| super::rotate(x, &table, &span),
            |[x]| rotary::composed(x, &table, &span),
        );
    }
}

#[test]
fn attention_is_the_composed_one() {
    for (query, key_value) in [(4, 4), (4, 2), (6, 1)] {
        let heads = Heads {
            query,
            key_value,
            width: 6,
        };
        for (span, t) in spans() {
            // Two rows of capacity more than is used: they must not matter.
            let capacity = span.past + t + 2;
            let key = || random([3, capacity, key_value * 6]);
            same(
                [random([3, t, query * 6]), key(), key()],
                |[q, k, v]| super::attend(q, k, v, heads, &span),
                |[q, k, v]| attention::composed(q, k, v, heads, &span),
            );
        }
    }
}

#[test]
fn strided_inputs_are_read_in_order() {
    let x = random([2, 8, 3]);
    let weight = random([1, 1, 8]).reshape([8]);
    let swapped = x.swap_dims(1, 2);
    close(
        "norm of a view",
        super::rms_norm(swapped.clone(), weight.clone(), 1e-6),
        norm::composed(swapped, weight, 1e-6),
    );
}

#[test]
fn threads_change_no_bit_of_attention_and_of_the_gate() {
    let heads = Heads {
        query: 6,
        key_value: 2,
        width: 44,
    };
    // More than one thread's share of queries, and more work than one thread is left alone with.
    let (batch, queries, past) = (2, 70, 5);
    let span = Span {
        starts: vec![0, 9],
        past,
    };
    let values = |shape| -> Vec<f32> { random(shape).inner().into_data().try_into_vec().unwrap() };
    let query = values([batch, queries, heads.query * heads.width]);
    let keys = || values([batch, past + queries, heads.key_value * heads.width]);
    let (key, value) = (keys(), keys());
    let (gate, up) = (values([3, 100, 301]), values([3, 100, 301]));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let sizes = attention::Sizes {
                batch,
                queries,
                capacity: past + queries,
                heads,
            };
            let mut attended = vec![0f32; query.len()];
            attention::forward(&query, &key, &value, sizes, &span, &mut attended);
            let mut gated = vec![0f32; gate.len()];
            swiglu::forward(&gate, &up, &mut gated);
            [attended, gated].concat()
        })
    };
    let bits = |values: Vec<f32>| -> Vec<u32> { values.into_iter().map(f32::to_bits).collect() };
    assert!(bits(run(1)) == bits(run(3)));
}
