use crate::dtype::Dtype;

/// Every way in which an adapter cannot be read as a vector.
///
/// The file is named by the [`Error`](crate::Error) that this is the source of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// Factors without the file that says what they mean.
    #[error("the scale of its factors stands in `adapter_config.json`, which is not beside it")]
    MissingConfig,
    /// The config without factors.
    #[error("the factors should be in `adapter_model.safetensors`, which is not beside it")]
    MissingWeights,
    /// The file of the factors alone was named.
    #[error("the scale of its factors stands in `adapter_config.json`")]
    WeightsAlone,
    /// An adapter and other weights in one directory.
    #[error("other weights lie beside it")]
    BesideWeights,
    /// Not LoRA.
    #[error("`peft_type` is {found}, expected \"LORA\"")]
    Method {
        /// What the config says, as JSON.
        found: String,
    },
    /// A setting of another type or out of range.
    #[error("`{key}` is {found}, expected {expected}")]
    Value {
        /// The key.
        key: String,
        /// What is understood.
        expected: &'static str,
        /// What the config says, as JSON.
        found: String,
    },
    /// A setting under which the adapter is no sum of products with the weights.
    #[error("`{key}` is {found}: {meaning}")]
    Setting {
        /// The key.
        key: &'static str,
        /// What the config says, as JSON.
        found: String,
        /// Why that is no vector.
        meaning: &'static str,
    },
    /// A pattern of module names that cannot be understood.
    #[error("`{key}`: the pattern `{pattern}` is not understood")]
    Pattern {
        /// `rank_pattern` or `alpha_pattern`.
        key: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: Box<regex::Error>,
    },
    /// A tensor that is no factor.
    #[error("tensor `{tensor}` is no factor of a LoRA module")]
    UnexpectedTensor {
        /// Its name.
        tensor: String,
    },
    /// One factor without the other.
    #[error("tensor `{tensor}` has no counterpart `{missing}`")]
    Unpaired {
        /// The factor that is there.
        tensor: String,
        /// The one that is not.
        missing: String,
    },
    /// Two factors for one place.
    #[error("tensors `{first}` and `{second}` are the same factor of one module")]
    Duplicate {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A factor of a shape that does not fit.
    #[error("tensor `{tensor}` is {found:?}, expected {expected}")]
    Shape {
        /// Its name.
        tensor: String,
        /// What would fit.
        expected: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A factor that is not of floating-point numbers.
    #[error("tensor `{tensor}` is {found}, expected BF16, F16, F32 or F64")]
    Dtype {
        /// Its name.
        tensor: String,
        /// Its dtype.
        found: Dtype,
    },
    /// A product too large to address.
    #[error(
        "the weight `{tensor}` would have {rows} × {columns} elements, more than can be addressed"
    )]
    TooLarge {
        /// The weight.
        tensor: String,
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
    /// No factors at all.
    #[error("it holds no factors")]
    Empty,
}

impl AdapterError {
    /// Whether the fault is in the config, not in the factors.
    pub(crate) fn is_of_config(&self) -> bool {
        matches!(
            self,
            Self::Method { .. } | Self::Value { .. } | Self::Setting { .. } | Self::Pattern { .. }
        )
    }

    pub(crate) fn hint(&self) -> Option<String> {
        let merge = "merge it into its base model with peft's `merge_and_unload()`, save that, and subtract the base";
        match self {
            Self::MissingConfig | Self::MissingWeights => {
                Some("copy the missing file from where the adapter came from".to_owned())
            }
            Self::WeightsAlone => Some("pass the directory that holds both files".to_owned()),
            Self::BesideWeights => {
                Some("move the adapter's two files into a directory of their own".to_owned())
            }
            Self::Method { .. } | Self::UnexpectedTensor { .. } => Some(merge.to_owned()),
            Self::Setting {
                key: "init_lora_weights",
                ..
            } => Some(
                "save it from peft with `path_initial_model_for_weight_conversion`, which makes it a plain LoRA adapter"
                    .to_owned(),
            ),
            Self::Setting { .. } => Some(merge.to_owned()),
            Self::Shape { .. } => Some(
                "factors that were saved from a sharded model without gathering them have such shapes"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
