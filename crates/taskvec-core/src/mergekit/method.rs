//! The merge methods of mergekit: their parameters, and which of their inputs is the base.

use super::config::Source;
use super::error::{ConfigProblem, Position};
use super::setting::{Scope, Settings};
use super::translation::Translation;
use super::yaml::Fault;
use crate::spelling::near_names;

/// Whether a method has a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// It must have one, which is no input like the others.
    Required,
    /// With one it works on differences from it.
    Optional,
    /// It is an input like the others.
    Input,
}

/// A merge method.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) base: Base,
    /// What may stand in `parameters`.
    parameters: &'static [&'static str],
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Linear,
    TaskArithmetic(Sparse, Combined),
    Slerp,
    NuSlerp,
    MultiSlerp,
    Karcher,
    ModelStock,
    Sce,
    NearSwap,
    Ram,
    RamPlus,
    Passthrough,
    ArceeFusion,
}

/// What is kept of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sparse {
    All,
    Largest,
    Random,
    ByMagnitude,
    WithoutOutliers,
}

/// How vectors are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combined {
    Summed,
    /// By elected sign; whether `normalize` is the default.
    Elected {
        normalize: bool,
    },
}

const ARITHMETIC: &[&str] = &[
    "int8_mask",
    "normalize",
    "rescale",
    "lambda",
    "weight",
    "density",
];
const BREADCRUMBS: &[&str] = &[
    "int8_mask",
    "normalize",
    "rescale",
    "lambda",
    "weight",
    "density",
    "gamma",
];
const DELLA: &[&str] = &[
    "int8_mask",
    "normalize",
    "rescale",
    "lambda",
    "weight",
    "density",
    "epsilon",
];

const fn method(
    name: &'static str,
    base: Base,
    parameters: &'static [&'static str],
    kind: Kind,
) -> Method {
    Method {
        name,
        base,
        parameters,
        kind,
    }
}

static METHODS: [Method; 20] = [
    method(
        "linear",
        Base::Input,
        &["weight", "normalize"],
        Kind::Linear,
    ),
    method(
        "task_arithmetic",
        Base::Required,
        ARITHMETIC,
        Kind::TaskArithmetic(Sparse::All, Combined::Summed),
    ),
    method(
        "ties",
        Base::Required,
        ARITHMETIC,
        Kind::TaskArithmetic(Sparse::Largest, Combined::Elected { normalize: true }),
    ),
    method(
        "dare_ties",
        Base::Required,
        ARITHMETIC,
        Kind::TaskArithmetic(Sparse::Random, Combined::Elected { normalize: false }),
    ),
    method(
        "dare_linear",
        Base::Required,
        ARITHMETIC,
        Kind::TaskArithmetic(Sparse::Random, Combined::Summed),
    ),
    method(
        "breadcrumbs",
        Base::Required,
        BREADCRUMBS,
        Kind::TaskArithmetic(Sparse::WithoutOutliers, Combined::Summed),
    ),
    method(
        "breadcrumbs_ties",
        Base::Required,
        BREADCRUMBS,
        Kind::TaskArithmetic(
            Sparse::WithoutOutliers,
            Combined::Elected { normalize: false },
        ),
    ),
    method("slerp", Base::Required, &["t"], Kind::Slerp),
    method(
        "nuslerp",
        Base::Optional,
        &["weight", "nuslerp_row_wise", "nuslerp_flatten"],
        Kind::NuSlerp,
    ),
    method(
        "multislerp",
        Base::Optional,
        &["weight", "normalize_weights", "eps"],
        Kind::MultiSlerp,
    ),
    method("karcher", Base::Input, &["max_iter", "tol"], Kind::Karcher),
    method(
        "model_stock",
        Base::Required,
        &["filter_wise"],
        Kind::ModelStock,
    ),
    method(
        "sce",
        Base::Required,
        &["int8_mask", "select_topk"],
        Kind::Sce,
    ),
    method("nearswap", Base::Required, &["t"], Kind::NearSwap),
    method("ram", Base::Required, &["epsilon"], Kind::Ram),
    method(
        "ramplus_tl",
        Base::Required,
        &["r", "alpha", "epsilon"],
        Kind::RamPlus,
    ),
    method("passthrough", Base::Input, &["scale"], Kind::Passthrough),
    method(
        "della",
        Base::Required,
        DELLA,
        Kind::TaskArithmetic(Sparse::ByMagnitude, Combined::Elected { normalize: true }),
    ),
    method(
        "della_linear",
        Base::Required,
        DELLA,
        Kind::TaskArithmetic(Sparse::ByMagnitude, Combined::Summed),
    ),
    method("arcee_fusion", Base::Required, &[], Kind::ArceeFusion),
];

/// The inputs of a slice, each with its name in expressions.
pub(super) struct Inputs<'a> {
    pub(super) base: Option<String>,
    /// The inputs in order; without the base, unless the base is an input like the others.
    pub(super) models: Vec<Input<'a>>,
    pub(super) at: Position,
}

/// An input and what is set for it, nearest level first.
pub(super) struct Input<'a> {
    pub(super) name: String,
    pub(super) levels: Vec<&'a Settings>,
    /// The first of its layers that takes part, which stands in the slice's first place.
    pub(super) first: u32,
}

impl Method {
    /// The method of that name.
    pub(super) fn find(name: &str, at: Position) -> Result<&'static Self, Fault> {
        let Some(method) = METHODS.iter().find(|method| method.name == name) else {
            let near = near_names(name, METHODS.iter().map(|method| method.name));
            let known = if near.is_empty() {
                METHODS
                    .iter()
                    .map(|method| method.name.to_owned())
                    .collect()
            } else {
                near
            };
            let name = name.to_owned();
            return Err((at, ConfigProblem::UnknownMethod { name, known }));
        };
        Ok(method)
    }

    /// Refuses parameters that the method does not have, which mergekit passes over.
    pub(super) fn check_settings(&self, settings: &Settings) -> Result<(), Fault> {
        match settings
            .0
            .iter()
            .find(|(key, _)| !self.parameters.contains(&key.text.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => {
                let problem = ConfigProblem::UnknownKey {
                    place: format!("the merge method `{}`", self.name),
                    key: key.text.clone(),
                    known: near_names(&key.text, self.parameters.iter().copied()),
                };
                Err((key.at, problem))
            }
        }
    }

    /// The expression of a slice: a model.
    pub(super) fn expression(
        &self,
        inputs: &Inputs<'_>,
        shared: &[&Settings],
        scope: &Scope<'_>,
    ) -> Result<String, Fault> {
        Translation {
            method: self,
            inputs,
            shared,
            scope,
        }
        .expression()
    }
}

/// What is set for a source, nearest level first.
pub(super) fn levels<'a>(source: Option<&'a Source>, shared: &[&'a Settings]) -> Vec<&'a Settings> {
    source
        .map(|source| &source.settings)
        .into_iter()
        .chain(shared.iter().copied())
        .collect()
}
