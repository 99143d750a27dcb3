//! Keys and values of the positions already decoded.

use burn::tensor::{Device, Tensor};

use super::DecoderConfig;

/// Rotated keys and values of every layer, `[B, S, G·D]` each, in buffers made once.
#[derive(Debug, Clone)]
pub struct KeyValueCache {
    /// A layer's pair is taken out while it is written, so that it is written in place.
    layers: Vec<Option<(Tensor<3>, Tensor<3>)>>,
    capacity: usize,
    len: usize,
}

impl KeyValueCache {
    /// An empty cache with room for `capacity` positions of `batch` sequences.
    #[must_use]
    pub fn new(config: &DecoderConfig, batch: usize, capacity: usize, device: &Device) -> Self {
        let shape = [
            batch,
            capacity,
            config.num_key_value_heads * config.head_dim,
        ];
        let layers = (0..config.num_hidden_layers)
            .map(|_| Some((Tensor::zeros(shape, device), Tensor::zeros(shape, device))))
            .collect();
        Self {
            layers,
            capacity,
            len: 0,
        }
    }

    /// Positions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is held yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Positions there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Keeps only the sequences at `rows`, in that order.
    pub fn select(&mut self, rows: &[usize]) {
        use burn::tensor::{Int, TensorData};
        let indices: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        for layer in &mut self.layers {
            *layer = layer.take().map(|(key, value)| {
                let indices = Tensor::<1, Int>::from_data(
                    TensorData::new(indices.clone(), [rows.len()]),
                    &key.device(),
                );
                (key.select(0, indices.clone()), value.select(0, indices))
            });
        }
    }

    /// Writes a layer's new keys and values behind the old and returns the whole buffers.
    pub(super) fn append(
        &mut self,
        layer: usize,
        key: Tensor<3>,
        value: Tensor<3>,
    ) -> (Tensor<3>, Tensor<3>) {
        let [batch, positions, width] = key.dims();
        let range = [0..batch, self.len..self.len + positions, 0..width];
        let slot = &mut self.layers[layer];
        let (keys, values) = slot
            .take()
            .expect("a layer's buffers are put back before anything can fail");
        let keys = keys.slice_assign(range.clone(), key);
        let values = values.slice_assign(range, value);
        *slot = Some((keys.clone(), values.clone()));
        (keys, values)
    }

    pub(super) fn advance(&mut self, positions: usize) {
        self.len += positions;
    }
}
