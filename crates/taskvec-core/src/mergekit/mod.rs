//! mergekit's YAML files as expressions.
//!
//! A file becomes an expression, bindings of its names and a dtype, and from there on is like any other: planned,
//! compared, refused or written. What it means is what mergekit 0.1.5 does with it, up to rounding; `docs/mergekit.md`
//! has every difference. What is not supported is refused by name, with the line.
//!
//! Headers of the model that gives the result its config are read on the way, and with slices those of all models: filters
//! and slices mean nothing without the names of tensors.
//!
//! Not covered: tokenizers other than that of one model, models of several modules.

mod config;
mod error;
mod fields;
mod method;
mod setting;
mod slices;
mod translation;
mod yaml;

use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

pub use error::{ConfigError, ConfigProblem, Position};

use crate::checkpoint::{Library, near_siblings};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::expression::Expression;
use crate::plan::Bindings;
use crate::reference::Reference;
use config::{Config, Model, Slice, Source, TokenizerSource};
use fields::{invalid, unsupported};
use method::{Base, Input, Inputs, Method, levels};
use setting::{Filters, Scope, Settings};
use slices::Models;
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

/// Whether an argument names a mergekit file rather than being an expression: it ends in `.yml` or `.yaml`, which no
/// expression does.
pub fn is_file(argument: &str) -> bool {
    Path::new(argument)
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// Reads a mergekit file. Paths in it are relative to the current directory, as in mergekit.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Io`]; [`Error::Mergekit`] with the line at fault; and whatever opening the model can say whose config the
/// result takes.
pub fn read(path: &Path, library: &Library) -> Result<Merge> {
    let text = fs::read_to_string(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => Error::NotFound {
            path: path.to_owned(),
            near: near_siblings(path),
        },
        _ => Error::io("read", path)(source),
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
    let models = Models::open(&config, donor, library)?;
    let mut names = Names::default();
    // The base first, for it keeps the name it has.
    names.of(donor);
    let mut writer = Writer {
        config: &config,
        method,
        donor,
        models,
        names,
        filters: RefCell::default(),
    };
    let written = writer.expression().map_err(refuse)?;
    let notes = writer
        .filters
        .into_inner()
        .unmatched()
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
    models: Models,
    names: Names,
    filters: RefCell<Filters>,
}

impl Writer<'_> {
    fn expression(&mut self) -> Result<String, Fault> {
        let config = self.config;
        self.models.check(&config.slices)?;
        let mut parts: Vec<String> = Vec::new();
        let mut begin = 0;
        for (index, slice) in config.slices.iter().enumerate() {
            parts.push(self.slice(index, slice, begin)?);
            let layers = slice.sources[0].layers;
            begin += layers.map_or(0, |(first, end)| end - first);
        }
        let expression = match parts.as_slice() {
            [expression] => expression.clone(),
            _ => format!("stack({})", parts.join(", ")),
        };
        if first_name(&expression) == self.names.named(&self.donor.reference) {
            return Ok(expression);
        }
        // The donor is leftmost, and nothing of it is left.
        let name = self.names.of(self.donor);
        let donor = self.models.donor_beside(config, self.donor, &name);
        Ok(format!("{donor} + (({expression}) - {donor})"))
    }

    /// The expression of slice number `index`, which stands behind `begin` layers.
    fn slice(&mut self, index: usize, slice: &Slice, begin: u32) -> Result<String, Fault> {
        let shared: [&Settings; 2] = [&slice.settings, &self.config.settings];
        let base = slice.base.as_ref().or(self.config.base.as_ref());
        let is_base = |model: &Model| base.is_some_and(|base| base.is(model));
        let mut models: Vec<Input<'_>> = Vec::new();
        for source in &slice.sources {
            if self.method.base != Base::Input && is_base(&source.model) {
                continue;
            }
            let input = Input {
                name: self.name_of(source),
                levels: levels(Some(source), &shared),
                first: source.layers.map_or(0, |(first, _)| first),
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
            let base_name = match source_of(slice, base) {
                Some(source) => self.name_of(source),
                None => self.names.of(base),
            };
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
                        first: 0,
                    },
                );
            }
        }
        let inputs = Inputs {
            base: name,
            models,
            at: slice.at,
        };
        let tensors = self.models.tensors_of(self.config, self.donor, index);
        let scope = Scope {
            tensors: &tensors,
            begin,
            filters: &self.filters,
        };
        self.method.expression(&inputs, &shared, &scope)
    }

    /// What stands for a source in an expression.
    fn name_of(&mut self, source: &Source) -> String {
        let name = self.names.of(&source.model);
        self.models.written(source, name)
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
