use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// The cause of a failed connection.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Every way in which a repository cannot be had from the Hub.
///
/// The reference is named by the [`Error`](crate::Error) that this is the source of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Nothing of that name, or nothing that may be seen. The Hub does not tell the two apart.
    #[error("there is no repository `{repository}`, or it is private")]
    NoRepository {
        /// `organisation/name`.
        repository: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// No such branch, tag or commit.
    #[error("the repository has no revision `{revision}`")]
    NoRevision {
        /// What was asked for.
        revision: String,
    },
    /// The repository's owner lets only some users have it.
    #[error("its owner must grant access to it")]
    Gated {
        /// The page where access is asked for.
        page: String,
        /// Whether a token was sent.
        token: bool,
    },
    /// The token is not valid, or not for this.
    #[error("the Hub refused the token (status {status})")]
    Token {
        /// 401 or 403.
        status: u16,
    },
    /// Any other answer that is not the file.
    #[error("`{url}` answered with status {status}{}", message.as_deref().map_or_else(String::new, |text| format!(": {text}")))]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What the server said of it.
        message: Option<String>,
    },
    /// No connection, or one that broke more often than is waited for.
    #[error("no connection to `{url}`")]
    Network {
        /// What was asked.
        url: String,
        /// What broke.
        #[source]
        source: Cause,
        /// A snapshot in the cache that offline mode would use.
        cached: bool,
    },
    /// Offline, and not in the cache.
    #[error("the cache `{}` does not hold it, and `HF_HUB_OFFLINE` is set", cache.display())]
    NotCached {
        /// The cache.
        cache: PathBuf,
    },
    /// An answer that the Hub would not give.
    #[error("`{url}` did not answer as the Hub does: {reason}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A file was announced under one content hash and delivered under another.
    #[error("`{file}` was announced with the ETag `{expected}` and delivered with `{found}`")]
    Etag {
        /// The file.
        file: String,
        /// What was announced.
        expected: String,
        /// What came with the content.
        found: String,
    },
    /// What came is not what the content hash says.
    #[error("the SHA-256 of `{file}` is {found}, where the Hub says {expected}")]
    Content {
        /// The file.
        file: String,
        /// What the Hub says.
        expected: String,
        /// Of what came.
        found: String,
    },
    /// Certificates that were to be trusted cannot be read.
    #[error("`{}` holds no certificates that can be read", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
    },
    /// The disk.
    #[error(transparent)]
    Disk(Box<Error>),
}

impl HubError {
    /// Whether to try again may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// The error of the crate.
    pub(super) fn of(self, reference: &str) -> Error {
        match self {
            Self::Disk(error) => *error,
            source => Error::Hub {
                reference: reference.to_owned(),
                source,
            },
        }
    }

    pub(super) fn network(url: &str, source: impl Into<Cause>) -> Self {
        Self::Network {
            url: url.to_owned(),
            source: source.into(),
            cached: false,
        }
    }

    pub(super) fn disk(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl FnOnce(io::Error) -> Self {
        let failed = Error::io(action, path);
        move |error| Self::Disk(Box::new(failed(error)))
    }

    pub(crate) fn hint(&self) -> Option<String> {
        const TOKEN: &str = "set `HF_TOKEN`, or run `hf auth login`";
        match self {
            Self::NoRepository { token, .. } => Some(if *token {
                "check the spelling; a private repository also needs a token of somebody who may read it".to_owned()
            } else {
                format!("check the spelling; for a private repository {TOKEN}")
            }),
            Self::NoRevision { .. } => Some(
                "a revision is a branch, a tag or a commit of 40 digits; without `@` it is the branch `main`"
                    .to_owned(),
            ),
            Self::Gated { page, token: false } => {
                Some(format!("ask for access at {page}, then {TOKEN}"))
            }
            Self::Gated { page, token: true } => Some(format!(
                "ask for access at {page} as the user whose token this is; a fine-grained token must allow gated repositories"
            )),
            Self::Token { .. } => Some(format!("{TOKEN}; tokens are made at https://huggingface.co/settings/tokens")),
            Self::Status { status: 429, .. } => {
                Some(format!("too many requests: wait some minutes, and {TOKEN}, which raises the limit"))
            }
            Self::Network { cached: true, .. } => Some(
                "an earlier snapshot is in the cache; `HF_HUB_OFFLINE=1` uses it".to_owned(),
            ),
            Self::Network { .. } => Some(
                "`HF_ENDPOINT` names a mirror, `HTTPS_PROXY` a proxy, `SSL_CERT_FILE` certificates to trust; what was received is kept and continued"
                    .to_owned(),
            ),
            Self::NotCached { .. } => Some(
                "unset `HF_HUB_OFFLINE`, or pass a directory that is on this machine".to_owned(),
            ),
            Self::Answer { .. } => Some(
                "a proxy may have answered in its place; `HF_ENDPOINT` says where the Hub is".to_owned(),
            ),
            Self::Etag { .. } | Self::Content { .. } => Some(
                "run again: what was received was thrown away; if it happens again, a proxy or mirror changes what passes"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
