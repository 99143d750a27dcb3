//! The checkpoints that an expression names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::checkpoint::{Checkpoint, Library};
use crate::error::Result;
use crate::expression::{Atom, Expression, Problem, Span};
use crate::reference::Reference;
use crate::spelling::near_names;

/// What the names in an expression stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bindings {
    /// Reference by name.
    pub names: BTreeMap<String, Reference>,
}

impl Bindings {
    /// Adds a binding.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, reference: Reference) -> Self {
        self.names.insert(name.into(), reference);
        self
    }
}

/// A checkpoint of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The atom that named it first, printed.
    pub(crate) name: String,
    pub(crate) checkpoint: Checkpoint,
}

/// Checkpoints that were opened already, by the reference that tells them apart.
pub(super) type Opened = BTreeMap<Reference, Checkpoint>;

/// One reference for every spelling of a path: that is one checkpoint, whose coefficients can cancel.
pub(super) fn identity(reference: &Reference) -> Reference {
    match reference {
        Reference::Path(path) => {
            fs::canonicalize(path).map_or_else(|_| reference.clone(), Reference::Path)
        }
        _ => reference.clone(),
    }
}

/// Opens each checkpoint once, however often and under whatever names it occurs.
pub(super) struct Inputs<'a> {
    bindings: &'a Bindings,
    library: &'a Library,
    /// By expressions of the same family too.
    known: &'a mut Opened,
    references: Vec<Reference>,
    opened: Vec<Input>,
}

impl<'a> Inputs<'a> {
    pub(super) fn new(bindings: &'a Bindings, library: &'a Library, known: &'a mut Opened) -> Self {
        Self {
            bindings,
            library,
            known,
            references: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// The index of the atom's checkpoint, opened now if it was not before.
    pub(super) fn open(
        &mut self,
        expression: &Expression,
        atom: &Atom,
        span: Span,
    ) -> Result<usize> {
        let reference = match atom {
            Atom::Name(name) => self.bindings.names.get(name).cloned().ok_or_else(|| {
                let problem = Problem::UnknownName {
                    name: name.clone(),
                    near: near_names(name, self.bindings.names.keys().map(String::as_str)),
                    is_path: Path::new(name).exists(),
                };
                expression.error(span, problem)
            })?,
            Atom::Quoted(text) => text.parse()?,
            Atom::Embedded { scheme, name } => Reference::Embedded {
                scheme: scheme.clone(),
                name: name.clone(),
            },
        };
        let identity = identity(&reference);
        if let Some(index) = self.references.iter().position(|known| *known == identity) {
            return Ok(index);
        }
        let checkpoint = match self.known.get(&identity) {
            Some(checkpoint) => checkpoint.clone(),
            None => {
                let checkpoint = Checkpoint::open(&reference, self.library)?;
                self.known.insert(identity.clone(), checkpoint.clone());
                checkpoint
            }
        };
        // So are two revisions at one commit.
        let identity = match (identity, checkpoint.commit()) {
            (Reference::Hub { repository, .. }, Some(commit)) => Reference::Hub {
                repository,
                revision: Some(commit.to_owned()),
            },
            (identity, _) => identity,
        };
        if let Some(index) = self.references.iter().position(|known| *known == identity) {
            return Ok(index);
        }
        self.references.push(identity);
        self.opened.push(Input {
            name: atom.to_string(),
            checkpoint,
        });
        Ok(self.opened.len() - 1)
    }

    pub(super) fn checkpoint(&self, index: usize) -> &Checkpoint {
        &self.opened[index].checkpoint
    }

    pub(super) fn into_opened(self) -> Vec<Input> {
        self.opened
    }
}
