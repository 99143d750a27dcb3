//! From the tensors of an adapter to the weights that it changes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::AdapterError;
use super::config::AdapterConfig;
use super::product::{Factor, Product, ReadAt, Strips};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::execute::FloatFormat;
use crate::safetensors::{Location, TensorInfo};

/// PEFT's wrappers around the model, as they stand in every name.
pub(super) const PREFIX: &str = "base_model.model.";

/// An adapter whose factors were found to fit.
#[derive(Debug)]
pub(crate) struct Adapter {
    products: BTreeMap<String, Product>,
    strips: Strips,
}

/// What a tensor's name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    A,
    B,
    EmbeddingA,
    EmbeddingB,
    /// The module's own weight, which PEFT stores beside the factors of embeddings.
    Base,
}

/// The tensors of one module.
#[derive(Default)]
struct Module<'a> {
    a: Option<(&'a str, &'a TensorInfo)>,
    b: Option<(&'a str, &'a TensorInfo)>,
    base: Option<(&'a str, &'a TensorInfo)>,
    embedding: bool,
}

impl Adapter {
    /// Pairs the factors in `tensors`, and says which weights they change.
    ///
    /// The weights are in the order of the names; each has dtype F32 and the shape of the module's weight.
    pub(crate) fn new(
        config: &Map<String, Value>,
        tensors: &BTreeMap<String, TensorInfo>,
    ) -> Result<Self, AdapterError> {
        let mut products = BTreeMap::new();
        let config = AdapterConfig::parse(config)?;
        for (module, found) in modules(tensors)? {
            let product = found.product(module, &config)?;
            products.insert(format!("{module}.weight"), product);
        }
        if products.is_empty() {
            return Err(AdapterError::Empty);
        }
        Ok(Self {
            products,
            strips: Strips::default(),
        })
    }

    /// The weights that it changes. Their locations are of no file.
    pub(crate) fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        self.products
            .iter()
            .map(|(name, product)| {
                let location = Location {
                    file: 0,
                    begin: 0,
                    bytes: product.bytes(),
                };
                let info = TensorInfo {
                    dtype: Dtype::F32,
                    shape: vec![product.rows, product.columns],
                    location,
                };
                (name.clone(), info)
            })
            .collect()
    }

    /// Fills `buffer` with bytes of the change of weight `name` from `offset` on; both lie within it.
    pub(crate) fn read_at(
        &self,
        name: &str,
        offset: u64,
        buffer: &mut [u8],
        read: ReadAt<'_>,
    ) -> Result<()> {
        let Some(product) = self.products.get(name) else {
            return Ok(());
        };
        let size = FloatFormat::F32.size_bytes();
        let (first, skipped) = (offset / size as u64, (offset % size as u64) as usize);
        if skipped == 0 && buffer.len().is_multiple_of(size) {
            return product.fill(first, buffer, &self.strips, read);
        }
        // Bytes of parts of elements: only readers that know nothing of elements ask for them.
        let mut whole = vec![0; (skipped + buffer.len()).next_multiple_of(size)];
        product.fill(first, &mut whole, &self.strips, read)?;
        buffer.copy_from_slice(&whole[skipped..][..buffer.len()]);
        Ok(())
    }
}

/// The tensors by module.
fn modules(
    tensors: &BTreeMap<String, TensorInfo>,
) -> Result<BTreeMap<&str, Module<'_>>, AdapterError> {
    let mut modules: BTreeMap<&str, Module<'_>> = BTreeMap::new();
    for (name, info) in tensors {
        let Some((module, role)) = parse(name) else {
            return Err(AdapterError::UnexpectedTensor {
                tensor: name.clone(),
            });
        };
        let entry = modules.entry(module).or_default();
        let place = match role {
            Role::A | Role::EmbeddingA => &mut entry.a,
            Role::B | Role::EmbeddingB => &mut entry.b,
            Role::Base => &mut entry.base,
        };
        if let Some((first, _)) = place.replace((name, info)) {
            return Err(AdapterError::Duplicate {
                first: first.to_owned(),
                second: name.clone(),
            });
        }
        entry.embedding |= matches!(role, Role::EmbeddingA | Role::EmbeddingB);
    }
    Ok(modules)
}

/// Module and role of a tensor's name.
fn parse(name: &str) -> Option<(&str, Role)> {
    let path = name.strip_prefix(PREFIX)?;
    if let Some(module) = path.strip_suffix(".base_layer.weight") {
        return Some((module, Role::Base));
    }
    let (module, last) = path
        .rsplit_once(".lora_")
        .filter(|(module, _)| !module.is_empty())?;
    let (role, rest) = [
        ("A", Role::A),
        ("B", Role::B),
        ("embedding_A", Role::EmbeddingA),
        ("embedding_B", Role::EmbeddingB),
    ]
    .into_iter()
    .find_map(|(letter, role)| Some((role, last.strip_prefix(letter)?)))?;
    // Old versions of PEFT kept the adapter's name: `lora_A.default.weight`.
    let rest = match role {
        Role::A | Role::B => rest.strip_suffix(".weight")?,
        _ => rest,
    };
    let plain = rest.is_empty()
        || rest
            .strip_prefix('.')
            .is_some_and(|name| !name.contains('.'));
    plain.then_some((module, role))
}

impl Module<'_> {
    fn product(&self, module: &str, config: &AdapterConfig) -> Result<Product, AdapterError> {
        let ((a_name, a), (b_name, b)) = match (self.a, self.b, self.base) {
            (Some(a), Some(b), _) => (a, b),
            (Some((name, _)), None, _) => return Err(unpaired(name, "_A", "_B")),
            (None, Some((name, _)), _) => return Err(unpaired(name, "_B", "_A")),
            (None, None, base) => {
                return Err(AdapterError::UnexpectedTensor {
                    tensor: base.map_or_else(String::new, |(name, _)| name.to_owned()),
                });
            }
        };
        let rank = config.rank(module);
        let expect = |tensor: &str, info: &TensorInfo, fits: bool, expected: String| {
            if fits {
                Ok(())
            } else {
                Err(AdapterError::Shape {
                    tensor: tensor.to_owned(),
                    expected,
                    found: info.shape.clone(),
                })
            }
        };
        let fits = |shape: &[usize], rank_at: usize| {
            shape.len() == 2 && shape[rank_at] == rank && shape[1 - rank_at] > 0
        };
        expect(
            a_name,
            a,
            fits(&a.shape, 0),
            format!("[{rank}, in]: the config says rank {rank}"),
        )?;
        expect(
            b_name,
            b,
            fits(&b.shape, 1),
            format!("[out, {rank}]: the config says rank {rank}"),
        )?;
        let factor = |name: &str, info: &TensorInfo, rank_first| {
            Ok(Factor {
                location: info.location,
                format: FloatFormat::of(info.dtype).ok_or_else(|| AdapterError::Dtype {
                    tensor: name.to_owned(),
                    found: info.dtype,
                })?,
                rank_first,
            })
        };
        let (a_factor, b_factor) = (factor(a_name, a, true)?, factor(b_name, b, false)?);
        // Weights of embeddings are stored `[vocabulary, dimensions]`: in, out.
        let turned = self.embedding || config.fan_in_fan_out;
        let (input, output) = (a.shape[1], b.shape[0]);
        let product = if turned {
            Product {
                rows: input,
                columns: output,
                rank,
                scale: config.scale(module),
                left: a_factor,
                right: b_factor,
            }
        } else {
            Product {
                rows: output,
                columns: input,
                rank,
                scale: config.scale(module),
                left: b_factor,
                right: a_factor,
            }
        };
        let elements = (product.rows as u64).checked_mul(product.columns as u64);
        if elements.is_none_or(|elements| elements > isize::MAX as u64 / 8) {
            return Err(AdapterError::TooLarge {
                tensor: format!("{module}.weight"),
                rows: product.rows,
                columns: product.columns,
            });
        }
        // A copy of the base model's weight, which LoRA leaves as it is. Of another shape it is not.
        if let Some((name, info)) = self.base {
            let shape = [product.rows, product.columns];
            expect(
                name,
                info,
                info.shape == shape,
                format!("{shape:?}, as the factors"),
            )?;
        }
        Ok(product)
    }
}

fn unpaired(name: &str, here: &str, there: &str) -> AdapterError {
    let missing = match name.rsplit_once(here) {
        Some((before, after)) => format!("{before}{there}{after}"),
        None => name.to_owned(),
    };
    AdapterError::Unpaired {
        tensor: name.to_owned(),
        missing,
    }
}

impl Product {
    fn bytes(&self) -> u64 {
        self.rows as u64 * self.columns as u64 * FloatFormat::F32.size_bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_factors() {
        let name = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight";
        assert_eq!(parse(name), Some(("model.layers.0.mlp.up_proj", Role::A)));
        let name = "base_model.model.q.lora_B.default.weight";
        assert_eq!(parse(name), Some(("q", Role::B)));
        let name = "base_model.model.model.embed_tokens.lora_embedding_B";
        assert_eq!(parse(name), Some(("model.embed_tokens", Role::EmbeddingB)));
        let name = "base_model.model.lm_head.base_layer.weight";
        assert_eq!(parse(name), Some(("lm_head", Role::Base)));
        for name in [
            "model.q.lora_A.weight",
            "base_model.model.q.lora_A.bias",
            "base_model.model.q.lora_magnitude_vector",
            "base_model.model.q.weight",
            "base_model.model.lora_A.weight",
            "base_model.model.q.lora_A.a.b.weight",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
