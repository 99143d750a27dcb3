//! Where a server is, and the key to it.

use super::ServerError;
use std::fmt;

/// The address that paths such as `/chat/completions` are appended to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseUrl {
    text: String,
    /// Length of `http://host:port` in it.
    origin: usize,
}

impl BaseUrl {
    /// Reads `http://host:port/v1`; without a path, `/v1` is what is meant.
    pub(super) fn parse(text: &str) -> Result<Self, ServerError> {
        let refuse = |problem| {
            Err(ServerError::Address {
                url: without_password(text),
                problem,
            })
        };
        let Some(after) = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
        else {
            return refuse("it begins with neither http:// nor https://");
        };
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return refuse("it holds a user name or password, which would end in records");
        }
        if text.contains(['?', '#']) {
            return refuse("it has a query or a fragment");
        }
        if text
            .chars()
            .any(|character| character.is_whitespace() || character.is_control())
        {
            return refuse("it has a space");
        }
        let host = match authority.strip_prefix('[') {
            Some(six) => six.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        if host.is_empty() {
            return refuse("it names no host");
        }
        let origin = text.len() - after.len() + authority.len();
        let path = text[origin..].trim_end_matches('/');
        let path = if path.is_empty() { "/v1" } else { path };
        Ok(Self {
            text: format!("{}{path}", &text[..origin]),
            origin,
        })
    }

    /// The address of a path of the protocol, such as `/models`.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// The address of a path beside the protocol, such as `/health`.
    pub(super) fn root(&self, path: &str) -> String {
        format!("{}{path}", &self.text[..self.origin])
    }

    /// Whether the server is on this machine, where no proxy may come between.
    pub(super) fn is_local(&self) -> bool {
        let host = &self.text[self.text.find("://").map_or(0, |at| at + 3)..self.origin];
        host.starts_with("[::1]")
            || matches!(host.split(':').next(), Some(name) if name == "localhost" || name.starts_with("127."))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The address as it may be shown: without what stands between `://` and `@`.
fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}{}", &text[..scheme + 3], &text[at + 1..])
        }
        _ => text.to_owned(),
    }
}

/// What opens a server. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// The key, without space around it; `None` where nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// `text` without the key, which some servers repeat in their complaints.
    pub(super) fn removed_from(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let url = BaseUrl::parse("http://localhost:8000").unwrap();
        assert_eq!(url.path("/models"), "http://localhost:8000/v1/models");
        assert_eq!(url.root("/health"), "http://localhost:8000/health");
        assert!(url.is_local());
        let url = BaseUrl::parse("https://api.example.org/openai/v1/").unwrap();
        assert_eq!(
            url.path("/completions"),
            "https://api.example.org/openai/v1/completions"
        );
        assert_eq!(url.root("/health"), "https://api.example.org/health");
        assert!(!url.is_local());
        assert!(BaseUrl::parse("http://[::1]:8000/").unwrap().is_local());
        for wrong in [
            "",
            "localhost:8000",
            "ftp://a",
            "http://",
            "http:///v1",
            "http://:80",
            "http://a/v1?key=1",
            "http://a b/",
            "http://a/\u{7}",
        ] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = BaseUrl::parse("http://me:secret@host/v1").unwrap_err();
        assert!(
            !error.to_string().contains("secret") && error.to_string().contains("host"),
            "{error}"
        );
        let key = ApiKey::new(" sk-secret\n").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
        assert_eq!(key.removed_from("wrong key sk-secret!"), "wrong key [key]!");
        assert_eq!(ApiKey::new(" "), None);
    }
}
