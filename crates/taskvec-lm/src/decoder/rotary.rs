//! Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in the half-split form of GPT-NeoX.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::DecoderConfig;

/// cos and sin of the angles of every position.
///
/// The angle of position p at pair i of a head of width D is `p / θ^(2i/D)`, the frequency scaled as
/// [`RopeScaling`](super::RopeScaling) says.
#[derive(Debug, Clone)]
pub struct RotaryTable {
    half: usize,
    /// `[positions, D/2]`, row-major.
    cos: Arc<[f32]>,
    sin: Arc<[f32]>,
}

impl RotaryTable {
    /// A table of positions 0 to `positions` for the decoder's heads.
    #[must_use]
    pub fn new(positions: usize, config: &DecoderConfig) -> Self {
        let periods: Vec<f64> = (0..config.head_dim / 2)
            .map(|pair| {
                let exponent = 2.0 * pair as f64 / config.head_dim as f64;
                config.rope_scaling.apply(config.rope_theta.powf(exponent))
            })
            .collect();
        Self::with_periods(positions, &periods)
    }

    /// A table of positions 0 to `positions`; pair i turns by one radian in `periods[i]` positions.
    pub(super) fn with_periods(positions: usize, periods: &[f64]) -> Self {
        let half = periods.len();
        let angles = (0..positions)
            .flat_map(|position| periods.iter().map(move |period| position as f64 / period));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles
            .map(|angle| (angle.cos() as f32, angle.sin() as f32))
            .unzip();
        Self {
            half,
            cos: cos.into(),
            sin: sin.into(),
        }
    }

    /// How many positions the table covers.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Half the width of a head.
    pub(super) fn half(&self) -> usize {
        self.half
    }

    /// cos and sin of one position, `D/2` each.
    pub(super) fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let range = position * self.half..(position + 1) * self.half;
        (&self.cos[range.clone()], &self.sin[range])
    }

    /// The table as tensors `[positions, D/2]`.
    pub(super) fn tensors(&self, device: &Device) -> (Tensor<2>, Tensor<2>) {
        let tensor = |values: &[f32]| {
            let shape = [self.positions(), self.half];
            Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
        };
        (tensor(&self.cos), tensor(&self.sin))
    }
}
