//! Rotation of heads by position.

use burn::tensor::{Int, Tensor, TensorData};

use super::{RotaryTable, Span};

pub(super) fn composed(x: Tensor<3>, table: &RotaryTable, span: &Span) -> Tensor<3> {
    let [b, t, width] = x.dims();
    let half = table.half();
    let heads = width / (2 * half);
    let device = x.device();
    let positions: Vec<i32> = (span.starts.iter())
        .flat_map(|start| (0..t).map(move |row| (span.past + row).saturating_sub(*start) as i32))
        .collect();
    let positions = Tensor::<1, Int>::from_data(TensorData::new(positions, [b * t]), &device);
    let (cos, sin) = table.tensors(&device);
    let of_positions =
        |values: Tensor<2>| values.select(0, positions.clone()).reshape([b, t, 1, half]);
    let (cos, sin) = (of_positions(cos), of_positions(sin));
    let x = x.reshape([b, t, heads, 2 * half]);
    let left = x.clone().narrow(3, 0, half);
    let right = x.narrow(3, half, half);
    let rotated = Tensor::cat(
        vec![
            left.clone() * cos.clone() - right.clone() * sin.clone(),
            right * cos + left * sin,
        ],
        3,
    );
    rotated.reshape([b, t, width])
}

/// Rotates rows of heads, `[B, T, N·D]`; the inverse is the transpose.
pub(super) fn forward(
    x: &[f32],
    rows_per_sequence: usize,
    table: &RotaryTable,
    span: &Span,
    inverse: bool,
    output: &mut [f32],
) {
    let half = table.half();
    let row_width = x.len() / (span.starts.len() * rows_per_sequence);
    let rows = x
        .chunks_exact(row_width)
        .zip(output.chunks_exact_mut(row_width));
    for (index, (row, output)) in rows.enumerate() {
        let start = span.starts[index / rows_per_sequence];
        let position = (span.past + index % rows_per_sequence).saturating_sub(start);
        let (cos, sin) = table.row(position);
        let sign = if inverse { -1.0 } else { 1.0 };
        let heads = row
            .chunks_exact(2 * half)
            .zip(output.chunks_exact_mut(2 * half));
        for (head, output) in heads {
            let (left, right) = head.split_at(half);
            let (out_left, out_right) = output.split_at_mut(half);
            for i in 0..half {
                let sin = sign * sin[i];
                out_left[i] = left[i] * cos[i] - right[i] * sin;
                out_right[i] = right[i] * cos[i] + left[i] * sin;
            }
        }
    }
}
