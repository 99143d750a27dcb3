//! Flags about weights that several commands share.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};
use taskvec_core::{Dtype, PlanOptions, Reference};

use super::number;

/// A name and what it stands for in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) name: String,
    pub(crate) reference: Reference,
}

impl FromStr for Binding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, reference) = text
            .split_once('=')
            .ok_or("expected NAME=REF, such as target=./my-model")?;
        if !is_name(name) {
            return Err(format!(
                "`{name}` cannot be a name: letters, digits and `_`, no digit first"
            ));
        }
        let reference = reference.parse().map_err(|error| format!("{error}"))?;
        Ok(Self {
            name: name.to_owned(),
            reference,
        })
    }
}

/// Whether the language takes it for a name.
pub(super) fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || character == '_')
}

/// Names for checkpoints.
#[derive(Debug, Args)]
pub(crate) struct BindingArgs {
    /// Let NAME stand for a checkpoint in the expression: a directory, a .safetensors file, `hf:ORG/NAME[@REVISION]` or
    /// `micro:NAME`
    #[arg(long = "let", value_name = "NAME=REF")]
    pub(crate) bindings: Vec<Binding>,
}

/// How many threads work.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ThreadArgs {
    /// Threads that work [default: all cores]; no result depends on it
    #[arg(long, value_name = "N", value_parser = number::threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

impl ThreadArgs {
    /// Lets rayon, which the language model's arithmetic runs on, have as many threads as were asked for.
    ///
    /// # Errors
    ///
    /// When the system grants no threads.
    pub(crate) fn limit_pool(self) -> anyhow::Result<()> {
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.get())
                .build_global()
                .with_context(|| format!("cannot start {threads} threads"))?;
        }
        Ok(())
    }
}

/// What may differ between checkpoints that are combined.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct FitArgs {
    /// Where embeddings differ in their number of rows, as padded ones do, combine those that all have; a model keeps its
    /// other rows as they are. Recorded in `taskvec.json` [default: refuse]
    #[arg(long, value_name = "WHICH")]
    rows: Option<Rows>,
    /// Let a tensor that a vector does not have count as zero in it; recorded in `taskvec.json`. Of adapters, and of vectors
    /// made of them, that is so anyway
    #[arg(long)]
    missing_as_zero: bool,
}

/// See [`FitArgs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rows {
    Common,
}

impl FitArgs {
    /// The options with these choices.
    pub(crate) fn apply(self, options: PlanOptions) -> PlanOptions {
        PlanOptions {
            common_rows: self.rows == Some(Rows::Common),
            missing_as_zero: self.missing_as_zero,
            ..options
        }
    }
}

/// Where weights go.
#[derive(Debug, Args)]
pub(crate) struct DestinationArgs {
    /// Directory to make, or a file whose name ends in .safetensors
    #[arg(short, long, value_name = "PATH")]
    pub(crate) output: PathBuf,
    /// Replace what an earlier run wrote there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Type to round computed tensors to, once, or `auto`: the smallest that holds every element of a vector exactly,
    /// and matrices without their zeros where that is smaller
    /// [default: that of the model; f32 for a vector]
    #[arg(long, value_name = "DTYPE", value_parser = output_dtype)]
    pub(crate) dtype: Option<OutputDtype>,
    /// Write even where models do not descend from one initialisation; recorded in `taskvec.json`
    #[arg(long)]
    pub(crate) allow_strangers: bool,
    #[command(flatten)]
    pub(crate) fit: FitArgs,
    /// Records of an `eval`, `sweep` or `study` (a .jsonl file, or the directory that holds one) whose results of these very
    /// weights stand in the model card, as metadata that the Hub shows; reads the inputs once more
    #[arg(long, value_name = "RUN")]
    pub(crate) results: Option<PathBuf>,
    /// Record the SHA-256 of every weight file read and written as well, which reads each once more. What is read and
    /// written is hashed in passing by XXH3 anyway, which notices accidents but not intent
    #[arg(long)]
    pub(crate) hash: bool,
}

/// What computed tensors are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutputDtype {
    /// The smallest type that holds every element exactly.
    Auto,
    Fixed(Dtype),
}

fn output_dtype(text: &str) -> Result<OutputDtype, String> {
    match text {
        "auto" => Ok(OutputDtype::Auto),
        _ => dtype(text)
            .map(OutputDtype::Fixed)
            .map_err(|known| format!("{known} or auto")),
    }
}

/// Reads a type that weights can be stored as.
pub(crate) fn dtype(text: &str) -> Result<Dtype, String> {
    const KNOWN: [Dtype; 4] = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64];
    let found = KNOWN
        .into_iter()
        .find(|dtype| dtype.name().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let names = KNOWN.map(|dtype| dtype.name().to_lowercase());
        format!("expected {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings() {
        let binding: Binding = "target=a/b=c".parse().unwrap();
        assert_eq!(binding.name, "target");
        assert_eq!(binding.reference, Reference::Path("a/b=c".into()));
        for wrong in ["target", "=x", "2b=x", "a-b=x", "a="] {
            assert!(wrong.parse::<Binding>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dtypes_in_either_case() {
        assert_eq!(dtype("bf16"), Ok(Dtype::Bf16));
        assert_eq!(dtype("F32"), Ok(Dtype::F32));
        assert_eq!(output_dtype("auto"), Ok(OutputDtype::Auto));
        assert_eq!(output_dtype("f16"), Ok(OutputDtype::Fixed(Dtype::F16)));
        assert_eq!(dtype("int4").unwrap_err(), "expected bf16, f16, f32, f64");
    }
}
