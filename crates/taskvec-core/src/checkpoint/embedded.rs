use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::reference::Reference;

/// A Hugging Face directory held in memory: file names and their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddedDirectory {
    /// The files by name.
    pub files: BTreeMap<String, Cow<'static, [u8]>>,
}

type Resolve = Arc<dyn Fn(&str) -> Option<EmbeddedDirectory> + Send + Sync>;

/// Where a program finds checkpoints that are no paths: those embedded in it, by scheme, and the Hub.
///
/// This crate holds none itself; the program registers what it was built with:
///
/// ```
/// use taskvec_core::{EmbeddedDirectory, Library};
///
/// let library = Library::new().with("micro", |name| {
///     (name == "base").then(EmbeddedDirectory::default)
/// }, &["base"]);
/// ```
#[derive(Clone, Default)]
pub struct Library {
    collections: BTreeMap<String, Collection>,
    hub: Option<Arc<Hub>>,
    /// Commits at which references to the Hub are opened, whatever they name today.
    commits: BTreeMap<Reference, String>,
}

#[derive(Clone)]
struct Collection {
    resolve: Resolve,
    names: Vec<String>,
}

impl Library {
    /// A library without any embedded checkpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the collection `scheme`: `resolve` gives the directory of a name, `names` lists those there are.
    #[must_use]
    pub fn with(
        mut self,
        scheme: &str,
        resolve: impl Fn(&str) -> Option<EmbeddedDirectory> + Send + Sync + 'static,
        names: &[&str],
    ) -> Self {
        let collection = Collection {
            resolve: Arc::new(resolve),
            names: names.iter().map(|&name| name.to_owned()).collect(),
        };
        self.collections.insert(scheme.to_owned(), collection);
        self
    }

    /// Lets `hf:` references be fetched.
    #[must_use]
    pub fn with_hub(mut self, hub: Arc<Hub>) -> Self {
        self.hub = Some(hub);
        self
    }

    /// Opens references to the Hub at these commits.
    #[must_use]
    pub(crate) fn at_commits(mut self, commits: BTreeMap<Reference, String>) -> Self {
        self.commits = commits;
        self
    }

    pub(super) fn hub(&self) -> Option<&Hub> {
        self.hub.as_deref()
    }

    pub(super) fn commit(&self, reference: &Reference) -> Option<&str> {
        self.commits.get(reference).map(String::as_str)
    }

    /// The schemes and the names of their checkpoints.
    pub fn collections(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.collections
            .iter()
            .map(|(scheme, collection)| (scheme.as_str(), collection.names.as_slice()))
    }

    /// The directory of `scheme:name`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownScheme`] or [`Error::UnknownEmbedded`], both listing what there is.
    pub fn resolve(&self, scheme: &str, name: &str) -> Result<EmbeddedDirectory> {
        let Some(collection) = self.collections.get(scheme) else {
            return Err(Error::UnknownScheme {
                scheme: scheme.to_owned(),
                name: name.to_owned(),
                known: self.collections.keys().cloned().collect(),
            });
        };
        (collection.resolve)(name).ok_or_else(|| Error::UnknownEmbedded {
            scheme: scheme.to_owned(),
            name: name.to_owned(),
            known: collection.names.clone(),
        })
    }
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.collections()).finish()
    }
}
