//! mergekit's YAML files as expressions.
//!
//! A file becomes an expression, bindings of its names and a dtype, and from there on is like any other: planned,
//! compared, refused or written. What it means is what mergekit 0.1.5 does with it, up to rounding; `docs/mergekit.md`
//! has every difference. What is not supported is refused by name, with the line.
//!
//! Headers of the model that gives the result its config are read on the way, for filters and slices mean nothing
//! without the names of tensors.
//!
//! Not covered: tokenizers other than that of one model, models of several modules.

mod config;
mod error;
mod method;
mod setting;
mod translation;
mod yaml;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

pub use error::{ConfigError, ConfigProblem, Position};

use crate::checkpoint::{Checkpoint, Library};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::expression::Expression;
use crate::plan::Bindings;
use crate::reference::Reference;
use crate::statistics::{Group, Module};
use config::{Config, Model, Slice, Source, TokenizerSource, invalid, unsupported};
use method::{Base, Input, Inputs, Method, levels};
use setting::{Scope, Settings};
use yaml::Fault;

/// What a mergekit file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// The model.
    pub expression: Expression,
    /// What the names in it stand for.
    pub bindings: Bindings,
    /// What results are stored as, where the file says so.
    pub dtype: Option<Dtype>,
    /// What the reader should know, as sentences.
    pub notes: Vec<String>,
}

/// Whether an argument names a mergekit file rather than being an expression: it ends in `.yml` or `.yaml` and there is
/// such a file.
pub fn is_file(argument: &str) -> bool {
    let path = Path::new(argument);
    let is_yaml = path
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml");
    is_yaml && path.is_file()
}

/// Reads a mergekit file. Paths in it are relative to the current directory, as in mergekit.
///
/// # Errors
///
/// [`Error::Io`]; [`Error::Mergekit`] with the line at fault; and whatever opening the model can say whose config the
/// result takes.
pub fn read(path: &Path, library: &Library) -> Result<Merge> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    translate(&text, &path.display().to_string(), library)
}

/// As [`read`], for the text of a file; `file` is its name for messages.
///
/// # Errors
///
/// As [`read`].
pub fn translate(text: &str, file: &str, library: &Library) -> Result<Merge> {
    let refuse = |(position, problem): Fault| {
        Error::Mergekit(Box::new(ConfigError {
            file: file.to_owned(),
            position,
            problem,
        }))
    };
    let root = yaml::parse(text).map_err(refuse)?.ok_or_else(|| {
        refuse(invalid(
            Position { line: 1, column: 1 },
            "there is nothing in the file",
        ))
    })?;
    let config = Config::read(&root).map_err(refuse)?;
    let method = Method::find(&config.method, config.method_at).map_err(refuse)?;
    check(&config, method).map_err(refuse)?;
    let donor = donor(&config);
    if let Some(TokenizerSource::Model(model)) = &config.tokenizer
        && !model.is(donor)
    {
        return Err(refuse(unsupported(
            model.at,
            "a tokenizer that is not the output's own",
            "the result takes config and tokenizer of one model",
            Some("make that model the `base_model`, or list it first where there is none"),
        )));
    }
    let checkpoint = Checkpoint::open(&donor.reference, library)?;
    let mut names = Names::default();
    // The base first, for it keeps the name it has.
    names.of(donor);
    let mut writer = Writer {
        config: &config,
        method,
        donor,
        tensors: checkpoint.tensors().keys().cloned().collect(),
        names,
        unmatched: RefCell::default(),
    };
    let written = writer.expression().map_err(refuse)?;
    let notes = writer
        .unmatched
        .into_inner()
        .into_iter()
        .map(|filter| format!("the filter `{filter}` in `{file}` matches no tensor"))
        .collect();
    Ok(Merge {
        expression: written.parse()?,
        bindings: writer.names.bindings,
        dtype: config.dtype,
        notes,
    })
}

/// Checks what does not depend on tensors.
fn check(config: &Config, method: &Method) -> Result<(), Fault> {
    method.check_settings(&config.settings)?;
    for slice in &config.slices {
        method.check_settings(&slice.settings)?;
        let base = slice.base.as_ref().or(config.base.as_ref());
        for (index, source) in slice.sources.iter().enumerate() {
            method.check_settings(&source.settings)?;
            if slice.sources[..index]
                .iter()
                .any(|earlier| earlier.model.is(&source.model))
            {
                let reason = format!("the model `{}` is given twice", source.model);
                return Err(invalid(source.model.at, reason));
            }
            if source.layers != slice.sources[0].layers {
                return Err(unsupported(
                    source.model.at,
                    "a slice of different layers of its models",
                    "a layer takes the place that it has",
                    None,
                ));
            }
        }
        match (base, method.base) {
            (None, Base::Required) => {
                let name = method.name;
                return Err(invalid(slice.at, format!("`{name}` needs a `base_model`")));
            }
            (Some(base), Base::Required | Base::Optional)
                if slice.sources[0].layers.is_some() && source_of(slice, base).is_none() =>
            {
                let reason = format!("the base model `{base}` is no source of this slice");
                return Err(invalid(slice.at, reason));
            }
            _ => {}
        }
    }
    Ok(())
}

fn source_of<'a>(slice: &'a Slice, model: &Model) -> Option<&'a Source> {
    slice.sources.iter().find(|source| source.model.is(model))
}

/// The model whose config and tokenizer the result takes.
fn donor(config: &Config) -> &Model {
    config
        .base
        .as_ref()
        .unwrap_or(&config.slices[0].sources[0].model)
}

struct Writer<'a> {
    config: &'a Config,
    method: &'static Method,
    donor: &'a Model,
    /// Names of the donor's tensors.
    tensors: Vec<String>,
    names: Names,
    /// Filters that match none of them.
    unmatched: RefCell<BTreeSet<String>>,
}

impl Writer<'_> {
    fn expression(&mut self) -> Result<String, Fault> {
        let ranges = self.ranges()?;
        let config = self.config;
        let mut parts: Vec<(String, String)> = Vec::new();
        for (index, slice) in config.slices.iter().enumerate() {
            let expression = self.slice(
                slice,
                ranges
                    .get(index)
                    .map(|range| (range.0.as_str(), range.1, range.2)),
            )?;
            let selection = match ranges.get(index) {
                None => String::new(),
                Some(range) => self.selection(index, config.slices.len(), range),
            };
            parts.push((expression, selection));
        }
        let donor = self.names.of(self.donor);
        Ok(match parts.as_slice() {
            [(expression, _)] if first_name(expression) == donor => expression.clone(),
            [(expression, _)] => format!("{donor} + (({expression}) - {donor})"),
            _ => {
                let mut sum = donor.clone();
                for (expression, selection) in &parts {
                    if *expression != donor {
                        sum.push_str(&format!(
                            " + only(({expression}) - {donor}, \"{selection}\")"
                        ));
                    }
                }
                sum
            }
        })
    }

    /// The range of each slice, where there are several: the list's name in tensor names, first layer, and the one after
    /// the last.
    fn ranges(&self) -> Result<Vec<(String, u32, u32)>, Fault> {
        let slices = &self.config.slices;
        let Some(_) = slices[0].sources[0].layers else {
            return Ok(Vec::new());
        };
        let mut lists = BTreeSet::new();
        let mut count = 0;
        for name in &self.tensors {
            let Some(layer) = Group::of(name).layer else {
                continue;
            };
            count = count.max(layer.saturating_add(1));
            let number = layer.to_string();
            let parts: Vec<&str> = name.split('.').collect();
            let list = parts.windows(2).find(|pair| pair[1] == number);
            lists.extend(list.map(|pair| pair[0].to_owned()));
        }
        let Some(list) = lists.first().filter(|_| lists.len() == 1) else {
            return Err(unsupported(
                slices[0].at,
                "`slices` of a model without one list of layers",
                "its tensors do not say which layer is which",
                None,
            ));
        };
        let mut ranges = Vec::new();
        let mut next = 0;
        for slice in slices {
            let Some((first, end)) = slice.sources[0].layers else {
                continue;
            };
            if first != next {
                return Err(unsupported(
                    slice.at,
                    format!("a slice that begins with layer {first} where layer {next} follows"),
                    "layers are not repeated, left out or put into another order",
                    None,
                ));
            }
            next = end;
            ranges.push((list.clone(), first, end));
        }
        if next != count {
            let last = &slices[slices.len() - 1];
            return Err(unsupported(
                last.at,
                format!("a merge of {next} of {count} layers"),
                "layers are not repeated, left out or put into another order",
                None,
            ));
        }
        if ranges.len() == 1 {
            ranges.clear();
        }
        Ok(ranges)
    }

    /// The pattern of a slice's tensors: its layers; with the first slice the embeddings, with the last what follows the
    /// layers.
    fn selection(
        &self,
        index: usize,
        count: usize,
        (list, begin, end): &(String, u32, u32),
    ) -> String {
        let mut parts = vec![format!("{list}.{begin}-{}", end - 1)];
        for name in &self.tensors {
            let group = Group::of(name);
            let before = group.module == Module::Embedding;
            let belongs = if before {
                index == 0
            } else {
                index + 1 == count
            };
            if group.layer.is_none() && belongs {
                parts.push(quotable(name));
            }
        }
        parts.join(", ")
    }

    fn slice(&mut self, slice: &Slice, range: Option<(&str, u32, u32)>) -> Result<String, Fault> {
        let shared: [&Settings; 2] = [&slice.settings, &self.config.settings];
        let base = slice.base.as_ref().or(self.config.base.as_ref());
        let is_base = |model: &Model| base.is_some_and(|base| base.is(model));
        let mut models: Vec<Input<'_>> = Vec::new();
        for source in &slice.sources {
            if self.method.base != Base::Input && is_base(&source.model) {
                continue;
            }
            let input = Input {
                name: self.names.of(&source.model),
                levels: levels(Some(source), &shared),
            };
            // The result takes its config from the leftmost model.
            if is_base(&source.model) {
                models.insert(0, input);
            } else {
                models.push(input);
            }
        }
        let mut name = None;
        if let Some(base) = base {
            let base_name = self.names.of(base);
            // mergekit adds the base to `models`, and not to the sources of a slice.
            let joins = slice.sources[0].layers.is_none() && source_of(slice, base).is_none();
            if self.method.base != Base::Input {
                name = Some(base_name);
            } else if joins {
                models.insert(
                    0,
                    Input {
                        name: base_name,
                        levels: levels(None, &shared),
                    },
                );
            }
        }
        let inputs = Inputs {
            base: name,
            models,
            at: slice.at,
        };
        let scope = Scope {
            tensors: &self.tensors,
            range,
            unmatched: &self.unmatched,
        };
        self.method.expression(&inputs, &shared, &scope)
    }
}

/// Text as it stands between double quotes.
fn quotable(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The name that comes first in an expression that begins with a model or with one call of models: the model from which
/// the result takes its config.
fn first_name(expression: &str) -> &str {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = |text: &str| text.find(|c| !is_name(c)).unwrap_or(text.len());
    let mut rest = expression;
    loop {
        let length = end(rest);
        // A name before a parenthesis is a function's.
        match rest[length..].strip_prefix('(') {
            Some(inside) => rest = inside,
            None => return &rest[..length],
        }
    }
}

/// Names of models in an expression, after the last part of their paths.
#[derive(Default)]
struct Names {
    bindings: Bindings,
}

impl Names {
    /// What stands for a model in an expression: its name, or its sum with an adapter.
    fn of(&mut self, model: &Model) -> String {
        let name = self.named(&model.reference);
        match &model.adapter {
            Some(adapter) => format!("({name} + {})", self.named(adapter)),
            None => name,
        }
    }

    fn named(&mut self, reference: &Reference) -> String {
        let known = self
            .bindings
            .names
            .iter()
            .find(|(_, known)| *known == reference);
        if let Some((name, _)) = known {
            return name.clone();
        }
        let last = match reference {
            Reference::Path(path) => {
                let last = path.file_name().unwrap_or_default().to_string_lossy();
                last.strip_suffix(".safetensors")
                    .unwrap_or(&last)
                    .to_owned()
            }
            Reference::Hub { repository, .. } => {
                repository.rsplit('/').next().unwrap_or_default().to_owned()
            }
            Reference::Embedded { name, .. } => name.clone(),
        };
        let mut plain: String = last
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        if !plain.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            plain.insert_str(0, "model_");
        }
        let mut name = plain.clone();
        let mut count = 1;
        while self.bindings.names.contains_key(&name) {
            count += 1;
            name = format!("{plain}_{count}");
        }
        self.bindings.names.insert(name.clone(), reference.clone());
        name
    }
}
