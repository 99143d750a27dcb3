//! References: what a user writes to name a checkpoint.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Where a checkpoint is to be found.
///
/// | written | means |
/// |---|---|
/// | `hf:org/name`, `hf:org/name@revision` | a repository on the Hugging Face Hub |
/// | `micro:base`, any `scheme:name` | a checkpoint embedded in the program |
/// | anything else | a directory or a `.safetensors` file |
///
/// A scheme has two or more letters, digits, `-` or `_` and begins with a letter; a name has no path
/// separator. So `C:\models` is a path, and a file really called `ab:c` is written `./ab:c`.
/// Parsing and printing are inverse: parsing what a parsed reference prints gives that reference again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A directory or file.
    Path(PathBuf),
    /// A repository on the Hugging Face Hub.
    Hub {
        /// `organisation/name`.
        repository: String,
        /// Branch, tag or commit; the default branch if absent.
        revision: Option<String>,
    },
    /// A checkpoint held in the program, found through a [`Library`](crate::Library).
    Embedded {
        /// The collection, such as `micro`.
        scheme: String,
        /// The checkpoint's name in it, such as `base`.
        name: String,
    },
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason| {
            Err(Error::InvalidReference {
                reference: text.to_owned(),
                reason,
            })
        };
        if text.is_empty() {
            return invalid("it is empty");
        }
        if text.contains('\0') {
            return invalid("it holds a zero byte");
        }
        if let Some(rest) = text.strip_prefix("hf:") {
            let (repository, revision) = match rest.split_once('@') {
                Some((_, "")) => return invalid("the revision after `@` is empty"),
                Some((repository, revision)) => (repository, Some(revision.to_owned())),
                None => (rest, None),
            };
            if revision
                .as_deref()
                .is_some_and(|revision| !is_revision(revision))
            {
                return invalid("the revision after `@` can be no branch, tag or commit");
            }
            return match repository.split_once('/') {
                Some((organisation, name)) if is_hub_part(organisation) && is_hub_part(name) => {
                    Ok(Reference::Hub {
                        repository: repository.to_owned(),
                        revision,
                    })
                }
                _ => invalid(
                    "a Hub reference is `hf:organisation/name` or `hf:organisation/name@revision`",
                ),
            };
        }
        match split_scheme(text) {
            Some((_, "")) => invalid("nothing follows the colon"),
            Some((scheme, name)) => Ok(Reference::Embedded {
                scheme: scheme.to_owned(),
                name: name.to_owned(),
            }),
            None => Ok(Reference::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Path(path) => {
                let text = path.to_string_lossy();
                // A path built by a program may look like another kind of reference.
                if text.starts_with("hf:") || split_scheme(&text).is_some() {
                    f.write_str("./")?;
                }
                f.write_str(&text)
            }
            Reference::Hub {
                repository,
                revision: None,
            } => write!(f, "hf:{repository}"),
            Reference::Hub {
                repository,
                revision: Some(revision),
            } => write!(f, "hf:{repository}@{revision}"),
            Reference::Embedded { scheme, name } => write!(f, "{scheme}:{name}"),
        }
    }
}

/// Splits `scheme:name` where the text has that form.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, name) = text.split_once(':')?;
    let is_scheme = scheme.len() >= 2
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (is_scheme && !name.contains(['/', '\\'])).then_some((scheme, name))
}

/// Git's rules for names, as far as they keep one from being a path to elsewhere.
fn is_revision(revision: &str) -> bool {
    revision
        .split('/')
        .all(|part| !part.is_empty() && !part.starts_with('.'))
        && !revision.contains("..")
        && !revision.contains(|c: char| c.is_control() || " \\:?*[~^".contains(c))
}

fn is_hub_part(part: &str) -> bool {
    !part.is_empty()
        && !part.contains("..")
        && !part.starts_with(['.', '-'])
        && part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Reference {
        text.parse().unwrap()
    }

    #[test]
    fn the_three_kinds() {
        assert_eq!(parse("out/target"), Reference::Path("out/target".into()));
        assert_eq!(parse("C:\\models"), Reference::Path("C:\\models".into()));
        // Relative to the current directory of a drive; no scheme has one letter.
        assert_eq!(parse("C:models"), Reference::Path("C:models".into()));
        assert_eq!(parse("./ab:c"), Reference::Path("./ab:c".into()));
        assert_eq!(parse("ab:c/d"), Reference::Path("ab:c/d".into()));
        assert_eq!(
            parse("micro:base"),
            Reference::Embedded {
                scheme: "micro".into(),
                name: "base".into()
            }
        );
        assert_eq!(
            parse("hf:Qwen/Qwen2.5-1.5B@v1/x"),
            Reference::Hub {
                repository: "Qwen/Qwen2.5-1.5B".into(),
                revision: Some("v1/x".into())
            }
        );
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "a\0b",
            "hf:name",
            "hf:a/b/c",
            "hf:a/b@",
            "hf:/b",
            "hf:a b/c",
            "micro:",
            "hf:../..",
            "hf:a/..",
            "hf:.a/b",
            "hf:a/-b",
            "hf:a/b@../x",
            "hf:a/b@x/../../y",
            "hf:a/b@/x",
            "hf:a/b@.git",
            "hf:a/b@c:\\d",
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(
                matches!(error, Error::InvalidReference { .. }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_path_that_looks_like_a_scheme_prints_as_a_path() {
        let reference = Reference::Path("micro:base".into());
        assert_eq!(reference.to_string(), "./micro:base");
        assert!(matches!(parse("./micro:base"), Reference::Path(_)));
    }

    proptest! {
        #[test]
        fn parsing_and_printing_are_inverse(text in "(hf:|micro:|\\./)?[a-zA-Z0-9@:/. _\\\\-]{0,20}|\\PC{1,12}") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(parse(&reference.to_string()), reference);
            }
        }
    }
}
