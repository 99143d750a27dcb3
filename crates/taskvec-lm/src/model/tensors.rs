//! The tensors of a checkpoint: names, shapes and their places in a [`Decoder`].

use std::collections::BTreeMap;

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};

use crate::decoder::{Decoder, DecoderConfig, Layer, Projection};
use crate::{Error, Result};

/// A tensor as Hugging Face stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredTensor {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    /// Whether the decoder holds the transpose.
    pub(super) transposed: bool,
}

/// Every tensor of a model, in the order in which transformers writes them.
pub(super) fn stored(config: &DecoderConfig) -> Vec<StoredTensor> {
    let c = config.hidden_size;
    let f = config.intermediate_size;
    let query = config.num_attention_heads.saturating_mul(config.head_dim);
    let key = config.num_key_value_heads.saturating_mul(config.head_dim);
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, transposed: bool| {
        tensors.push(StoredTensor {
            name,
            shape,
            transposed,
        });
    };
    add(EMBEDDING.to_owned(), vec![config.vocab_size, c], false);
    for layer in 0..config.num_hidden_layers {
        let name = |suffix: &str| format!("model.layers.{layer}.{suffix}");
        for (projection, outputs) in [("q", query), ("k", key), ("v", key)] {
            add(
                name(&format!("self_attn.{projection}_proj.weight")),
                vec![outputs, c],
                true,
            );
            if config.attention_bias {
                add(
                    name(&format!("self_attn.{projection}_proj.bias")),
                    vec![outputs],
                    false,
                );
            }
        }
        if config.query_key_norm {
            add(
                name("self_attn.q_norm.weight"),
                vec![config.head_dim],
                false,
            );
            add(
                name("self_attn.k_norm.weight"),
                vec![config.head_dim],
                false,
            );
        }
        add(name("self_attn.o_proj.weight"), vec![c, query], true);
        add(name("mlp.gate_proj.weight"), vec![f, c], true);
        add(name("mlp.up_proj.weight"), vec![f, c], true);
        add(name("mlp.down_proj.weight"), vec![c, f], true);
        add(name("input_layernorm.weight"), vec![c], false);
        add(name("post_attention_layernorm.weight"), vec![c], false);
    }
    add("model.norm.weight".to_owned(), vec![c], false);
    if !config.tie_word_embeddings {
        add(HEAD.to_owned(), vec![config.vocab_size, c], true);
    }
    tensors
}

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Compares what a checkpoint has with what its config asks for.
///
/// A tied model may store its head once more, and old ones store the rotary frequencies: both are
/// computed from the rest, as transformers does.
///
/// # Errors
///
/// [`Error::TensorMismatch`] with every missing, extra and misshapen tensor.
pub(super) fn compare(
    origin: &str,
    config: &DecoderConfig,
    found: &BTreeMap<String, Vec<usize>>,
) -> Result<Vec<StoredTensor>> {
    let expected = stored(config);
    let mut problems = Vec::new();
    for tensor in &expected {
        match found.get(&tensor.name) {
            None => problems.push(format!(
                "`{}` is missing, expected {:?}",
                tensor.name, tensor.shape
            )),
            Some(shape) if *shape != tensor.shape => {
                problems.push(format!(
                    "`{}` is {shape:?}, expected {:?}",
                    tensor.name, tensor.shape
                ));
            }
            Some(_) => {}
        }
    }
    let known: std::collections::BTreeSet<&str> =
        expected.iter().map(|tensor| tensor.name.as_str()).collect();
    for (name, shape) in found {
        let repeated_head = config.tie_word_embeddings
            && name == HEAD
            && *shape == [config.vocab_size, config.hidden_size];
        if !known.contains(name.as_str())
            && !repeated_head
            && !name.ends_with("rotary_emb.inv_freq")
        {
            problems.push(format!(
                "`{name}` {shape:?} is not part of the architecture"
            ));
        }
    }
    if problems.is_empty() {
        return Ok(expected);
    }
    Err(Error::TensorMismatch {
        origin: origin.to_owned(),
        problems,
    })
}

/// Rows and columns exchanged.
pub(super) fn transpose(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    // Square tiles, so that both sides stay in the first-level cache.
    const TILE: usize = 32;
    let mut transposed = vec![0.0; values.len()];
    for row_tile in (0..rows).step_by(TILE) {
        for column_tile in (0..columns).step_by(TILE) {
            for row in row_tile..rows.min(row_tile + TILE) {
                for column in column_tile..columns.min(column_tile + TILE) {
                    transposed[column * rows + row] = values[row * columns + column];
                }
            }
        }
    }
    transposed
}

/// Builds a decoder of tensors that are already in its own orientation.
///
/// # Errors
///
/// [`Error::TensorMismatch`] where `take` does not have a tensor.
pub(super) fn assemble(
    origin: &str,
    config: &DecoderConfig,
    mut tensors: BTreeMap<String, Vec<f32>>,
    device: &Device,
) -> Result<Decoder> {
    let shapes: BTreeMap<String, StoredTensor> = stored(config)
        .into_iter()
        .map(|tensor| (tensor.name.clone(), tensor))
        .collect();
    let mut take = |name: &str| -> Result<TensorData> {
        let missing = || Error::TensorMismatch {
            origin: origin.to_owned(),
            problems: vec![format!("`{name}` is missing")],
        };
        let values = tensors.remove(name).ok_or_else(missing)?;
        let tensor = shapes.get(name).ok_or_else(missing)?;
        let mut shape = tensor.shape.clone();
        if tensor.transposed {
            shape.reverse();
        }
        Ok(TensorData::new(values, shape))
    };
    let matrix = |data: TensorData| -> Param<Tensor<2>> {
        Param::from_tensor(Tensor::from_data(data, device))
    };
    let vector = |data: TensorData| -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::from_data(data, device))
    };
    let mut layers = Vec::with_capacity(config.num_hidden_layers);
    for layer in 0..config.num_hidden_layers {
        let mut projection = |name: &str, biased: bool| -> Result<Projection> {
            let stem = format!("model.layers.{layer}.{name}_proj");
            Ok(Projection {
                weight: matrix(take(&format!("{stem}.weight"))?),
                bias: if biased {
                    Some(vector(take(&format!("{stem}.bias"))?))
                } else {
                    None
                },
            })
        };
        let biased = config.attention_bias;
        let query = projection("self_attn.q", biased)?;
        let key = projection("self_attn.k", biased)?;
        let value = projection("self_attn.v", biased)?;
        let output = projection("self_attn.o", false)?;
        let gate = projection("mlp.gate", false)?;
        let up = projection("mlp.up", false)?;
        let down = projection("mlp.down", false)?;
        let mut norm = |name: &str| -> Result<Param<Tensor<1>>> {
            Ok(vector(take(&format!(
                "model.layers.{layer}.{name}.weight"
            ))?))
        };
        let mut head_norm = |name: &str| config.query_key_norm.then(|| norm(name)).transpose();
        let query_norm = head_norm("self_attn.q_norm")?;
        let key_norm = head_norm("self_attn.k_norm")?;
        layers.push(Layer {
            input_norm: norm("input_layernorm")?,
            query,
            key,
            value,
            query_norm,
            key_norm,
            output,
            post_attention_norm: norm("post_attention_layernorm")?,
            gate,
            up,
            down,
        });
    }
    let head = if config.tie_word_embeddings {
        None
    } else {
        Some(Projection {
            weight: matrix(take(HEAD)?),
            bias: None,
        })
    };
    Ok(Decoder {
        embedding: matrix(take(EMBEDDING)?),
        layers,
        norm: vector(take("model.norm.weight")?),
        head,
        config: config.clone(),
    })
}

/// A decoder's tensor by its stored name, in the stored orientation.
///
/// # Errors
///
/// [`Error::ReadTensor`] where the device cannot be read.
pub(super) fn read(decoder: &Decoder, tensor: &StoredTensor) -> Result<Vec<f32>> {
    let name = tensor.name.as_str();
    let missing = || Error::ReadTensor {
        tensor: name.to_owned(),
        reason: "the decoder does not have it".to_owned(),
    };
    let values = match name {
        EMBEDDING => values(name, decoder.embedding.val())?,
        "model.norm.weight" => values(name, decoder.norm.val())?,
        HEAD => values(
            name,
            decoder.head.as_ref().ok_or_else(missing)?.weight.val(),
        )?,
        _ => {
            let rest = name
                .strip_prefix("model.layers.")
                .and_then(|rest| rest.split_once('.'));
            let (index, part) = rest.ok_or_else(missing)?;
            let layer = index
                .parse()
                .ok()
                .and_then(|index: usize| decoder.layers.get(index))
                .ok_or_else(missing)?;
            let (stem, kind) = part.rsplit_once('.').ok_or_else(missing)?;
            let norm = match stem {
                "input_layernorm" => Some(&layer.input_norm),
                "post_attention_layernorm" => Some(&layer.post_attention_norm),
                "self_attn.q_norm" => layer.query_norm.as_ref(),
                "self_attn.k_norm" => layer.key_norm.as_ref(),
                _ => None,
            };
            if let Some(norm) = norm {
                return values(name, norm.val());
            }
            let projection = match stem {
                "self_attn.q_proj" => &layer.query,
                "self_attn.k_proj" => &layer.key,
                "self_attn.v_proj" => &layer.value,
                "self_attn.o_proj" => &layer.output,
                "mlp.gate_proj" => &layer.gate,
                "mlp.up_proj" => &layer.up,
                "mlp.down_proj" => &layer.down,
                _ => return Err(missing()),
            };
            if kind == "bias" {
                return values(name, projection.bias.as_ref().ok_or_else(missing)?.val());
            }
            values(name, projection.weight.val())?
        }
    };
    match tensor.shape[..] {
        // Held as [columns, rows] of what is stored.
        [rows, columns] if tensor.transposed => Ok(transpose(&values, columns, rows)),
        _ => Ok(values),
    }
}

fn values<const D: usize>(name: &str, tensor: Tensor<D>) -> Result<Vec<f32>> {
    let unreadable = |reason: String| Error::ReadTensor {
        tensor: name.to_owned(),
        reason,
    };
    let data = tensor
        .without_autodiff()
        .try_into_data()
        .map_err(|error| unreadable(format!("{error:?}")))?;
    data.try_into_vec::<f32>()
        .map_err(|error| unreadable(format!("{error:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        for (rows, columns) in [(1, 1), (3, 70), (33, 31), (64, 32)] {
            let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
            let once = transpose(&values, rows, columns);
            assert_eq!(once[rows * columns - 1], values[rows * columns - 1]);
            if rows > 1 {
                assert_eq!(once[1], values[columns]);
            }
            assert_eq!(transpose(&once, columns, rows), values);
        }
    }
}
