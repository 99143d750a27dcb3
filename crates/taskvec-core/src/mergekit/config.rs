//! The keys of a mergekit file.
//!
//! Every key that mergekit 0.1.5 has is known here, read or refused by its name; any other is an error, where mergekit
//! passes over it.

use std::fmt;
use std::path::Path;

use super::error::{ConfigProblem, Position};
use super::fields::{Fields, expected, invalid, items, text, unsupported};
use super::setting::{Setting, Settings};
use super::yaml::{Fault, Node, Value};
use crate::dtype::Dtype;
use crate::reference::Reference;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) method: String,
    pub(super) method_at: Position,
    pub(super) base: Option<Model>,
    /// One that covers everything where the file has `models`.
    pub(super) slices: Vec<Slice>,
    pub(super) settings: Settings,
    /// What results are stored as.
    pub(super) dtype: Option<Dtype>,
    pub(super) tokenizer: Option<TokenizerSource>,
}

/// Whose tokenizer the result takes.
#[derive(Debug)]
pub(super) enum TokenizerSource {
    Base,
    Model(Model),
}

/// A model that the file names.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) reference: Reference,
    /// A vector that is added to it.
    pub(super) adapter: Option<Reference>,
    pub(super) at: Position,
}

impl Model {
    /// Whether both name the same weights.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.reference == other.reference && self.adapter == other.adapter
    }
}

impl fmt::Display for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reference.fmt(formatter)?;
        match &self.adapter {
            Some(adapter) => write!(formatter, "+{adapter}"),
            None => Ok(()),
        }
    }
}

/// Models that are merged over a range of layers.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) sources: Vec<Source>,
    pub(super) base: Option<Model>,
    pub(super) settings: Settings,
    pub(super) at: Position,
}

/// A model that takes part, and what is set for it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) model: Model,
    /// First layer and the one after the last; all of them where it is absent.
    pub(super) layers: Option<(u32, u32)>,
    /// Where that stands, or else the source.
    pub(super) layers_at: Position,
    pub(super) settings: Settings,
}

impl Config {
    pub(super) fn read(root: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of("a mergekit file", root)?;
        let method_node = fields.require("merge_method")?;
        fields.refuse(
            "modules",
            "models of several modules are not merged",
            Some("a file with `models` or `slices` merges a model of one module"),
        )?;
        let base = fields.take("base_model").map(Model::read).transpose()?;
        let (models, slices) = (fields.take("models"), fields.take("slices"));
        let slices = match (models, slices) {
            (Some(models), None) => vec![Slice::of_models(models)?],
            (None, Some(slices)) => items("slices", slices)?
                .iter()
                .map(Slice::read)
                .collect::<Result<_, _>>()?,
            _ => {
                return Err(invalid(
                    root.at,
                    "a mergekit file has either `models` or `slices`",
                ));
            }
        };
        let settings = Settings::read(fields.take("parameters"))?;
        let work = fields
            .take("dtype")
            .map(|node| dtype("dtype", node))
            .transpose()?;
        let output = fields
            .take("out_dtype")
            .map(|node| dtype("out_dtype", node))
            .transpose()?;
        let source = fields.take("tokenizer_source");
        let tokenizer = fields.take("tokenizer");
        if let (Some(_), Some(tokenizer)) = (source, tokenizer) {
            let reason = "`tokenizer` and `tokenizer_source` exclude one another";
            return Err(invalid(tokenizer.at, reason));
        }
        let tokenizer = match (source, tokenizer) {
            (Some(node), _) => Some(TokenizerSource::read(node)?),
            (None, Some(node)) => Some(TokenizerSource::read_table(node)?),
            (None, None) => None,
        };
        if let Some(node) = fields.take("chat_template")
            && text("chat_template", node)? != "auto"
        {
            return Err(unsupported(
                node.at,
                "a `chat_template` other than `auto`",
                "the result keeps the template of the model whose tokenizer it takes",
                Some("remove it, and put the template into the output's `chat_template.jinja`"),
            ));
        }
        fields.finish()?;
        Ok(Self {
            method: text("merge_method", method_node)?.to_owned(),
            method_at: method_node.at,
            base,
            slices,
            settings,
            dtype: output.or(work),
            tokenizer,
        })
    }
}

fn dtype(key: &str, node: &Node) -> Result<Dtype, Fault> {
    let name = text(key, node)?;
    match name.strip_prefix("torch.").unwrap_or(name) {
        "bfloat16" => Ok(Dtype::Bf16),
        "float16" => Ok(Dtype::F16),
        "float32" => Ok(Dtype::F32),
        "float64" => Ok(Dtype::F64),
        _ => Err(expected(
            key,
            "`bfloat16`, `float16`, `float32` or `float64`",
            node,
        )),
    }
}

impl TokenizerSource {
    fn read(node: &Node) -> Result<Self, Fault> {
        match &node.value {
            Value::Scalar { text, .. } if text == "base" => Ok(Self::Base),
            Value::Scalar { text, .. } if text == "union" => Err(unsupported(
                node.at,
                "a `union` of tokenizers",
                "rows of embeddings are not put into another order",
                Some("merge models of one tokenizer, with `tokenizer_source: base` or without it"),
            )),
            _ => Model::read(node).map(Self::Model),
        }
    }

    fn read_table(node: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of("`tokenizer`", node)?;
        fields.refuse("tokens", "rows of embeddings are not made up", None)?;
        fields.refuse("pad_to_multiple_of", "embeddings keep their rows", None)?;
        let source = fields.take("source");
        fields.finish()?;
        match source {
            Some(source) => Self::read(source),
            None => Err(unsupported(
                node.at,
                "a `tokenizer` without `source`, which is a `union`,",
                "rows of embeddings are not put into another order",
                Some("write `source: base`"),
            )),
        }
    }
}

impl Model {
    /// A path, or a repository of the Hub, as mergekit writes it.
    pub(super) fn read(node: &Node) -> Result<Self, Fault> {
        let Value::Scalar { text, .. } = &node.value else {
            return Self::read_table(node);
        };
        if node.is_null() || text.is_empty() {
            return Err(expected("model", "a path or a name on the Hub", node));
        }
        let at = node.at;
        if let Some((model, adapter)) = text.split_once('+') {
            let part = |text: &str| {
                Self::read(&Node {
                    value: Value::Scalar {
                        text: text.to_owned(),
                        plain: false,
                    },
                    at,
                })
            };
            return part(model)?.with_adapter(part(adapter)?);
        }
        let refuse = |reason: &str| invalid(at, format!("`{text}` names no model: {reason}"));
        let (path, revision) = match text.split_once('@') {
            None => (text.as_str(), None),
            Some((path, revision)) => (path, Some(revision)),
        };
        if Path::new(path).exists() {
            if revision.is_some() {
                return Err(refuse("a directory has no revision"));
            }
            return Ok(Self {
                reference: Reference::Path(path.into()),
                adapter: None,
                at,
            });
        }
        let is_hub = path.split('/').count() == 2
            && !path.starts_with(['.', '~', '/'])
            && !path.contains(':');
        let written = if is_hub {
            format!("hf:{text}")
        } else {
            text.clone()
        };
        let reference = written
            .parse()
            .map_err(|error| refuse(&format!("{error}")))?;
        Ok(Self {
            reference,
            adapter: None,
            at,
        })
    }

    fn with_adapter(self, adapter: Self) -> Result<Self, Fault> {
        if self.adapter.is_some() || adapter.adapter.is_some() {
            return Err(unsupported(
                adapter.at,
                "more than one adapter on a model",
                "a model takes one",
                Some("write the expression itself: adapters are vectors, and add up"),
            ));
        }
        Ok(Self {
            adapter: Some(adapter.reference),
            ..self
        })
    }

    fn read_table(node: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of("a model", node)?;
        fields.refuse(
            "override_architecture",
            "architectures are told by tensor names",
            None,
        )?;
        let model = fields.require("model")?;
        let adapter = fields.take("lora").filter(|node| !node.is_null());
        fields.finish()?;
        let read = match &model.value {
            Value::Mapping(_) => {
                let mut fields = Fields::of("`model`", model)?;
                let path = fields.require("path")?;
                let revision = fields.take("revision");
                fields.finish()?;
                let mut written = text("path", path)?.to_owned();
                if let Some(revision) = revision {
                    written = format!("{written}@{}", text("revision", revision)?);
                }
                Self::read(&Node {
                    value: Value::Scalar {
                        text: written,
                        plain: false,
                    },
                    at: path.at,
                })
            }
            _ => Self::read(model),
        }?;
        match adapter {
            Some(adapter) => read.with_adapter(Self::read(adapter)?),
            None => Ok(read),
        }
    }
}

impl Slice {
    fn of_models(models: &Node) -> Result<Self, Fault> {
        let sources = items("models", models)?
            .iter()
            .map(|node| {
                let mut fields = Fields::of("a model of `models`", node)?;
                let source = Source {
                    model: Model::read(fields.require("model")?)?,
                    layers: None,
                    layers_at: node.at,
                    settings: Settings::read(fields.take("parameters"))?,
                };
                fields.finish()?;
                Ok(source)
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            sources,
            base: None,
            settings: Settings::default(),
            at: models.at,
        })
    }

    fn read(node: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of("a slice", node)?;
        fields.refuse(
            "residual_weight",
            "mergekit itself does nothing with it",
            Some("remove it"),
        )?;
        let sources = items("sources", fields.require("sources")?)?
            .iter()
            .map(Source::read)
            .collect::<Result<_, _>>()?;
        let slice = Self {
            sources,
            base: fields.take("base_model").map(Model::read).transpose()?,
            settings: Settings::read(fields.take("parameters"))?,
            at: node.at,
        };
        fields.finish()?;
        Ok(slice)
    }
}

impl Source {
    fn read(node: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of("a source", node)?;
        let model = Model::read(fields.require("model")?)?;
        let range = fields.require("layer_range")?;
        let bounds = match &range.value {
            Value::Sequence(items) => items.as_slice(),
            _ => &[],
        };
        let whole = |node: &Node| match &node.value {
            Value::Scalar { text, .. } => text.parse::<u32>().ok(),
            _ => None,
        };
        let layers = match bounds {
            [first, end] => whole(first).zip(whole(end)),
            _ => None,
        };
        let layers = layers.ok_or_else(|| {
            expected(
                "layer_range",
                "`[FIRST, AFTER_THE_LAST]`, whole numbers",
                range,
            )
        })?;
        if layers.0 >= layers.1 {
            return Err((range.at, ConfigProblem::NoLayers { range: layers }));
        }
        let settings = Settings::read(fields.take("parameters"))?;
        fields.finish()?;
        Ok(Self {
            model,
            layers: Some(layers),
            layers_at: range.at,
            settings,
        })
    }
}

impl Settings {
    fn read(node: Option<&Node>) -> Result<Self, Fault> {
        let Some(node) = node else {
            return Ok(Self::default());
        };
        let Value::Mapping(entries) = &node.value else {
            return Err(expected("parameters", "a mapping", node));
        };
        let settings = entries
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| Ok((key.clone(), Setting::read(&key.text, value)?)))
            .collect::<Result<_, Fault>>()?;
        Ok(Self(settings))
    }
}
