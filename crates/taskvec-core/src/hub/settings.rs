//! Where the Hub is, and what of it is on this machine: the variables that `huggingface_hub` reads.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the Hub is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// Where it answers, without a slash at the end: `https://huggingface.co`, or a mirror.
    pub endpoint: String,
    /// The cache that all tools of Hugging Face share.
    pub cache: PathBuf,
    /// Sent to the endpoint, and to no other host.
    pub token: Option<String>,
    /// Use what is in the cache and open no connection.
    pub offline: bool,
    /// Certificates (PEM) to trust instead of Mozilla's, for networks that inspect what passes.
    pub certificates: Option<PathBuf>,
    /// The wait before the second attempt; each further one is twice as long.
    pub retry_wait: Duration,
}

impl HubSettings {
    /// Reads the environment.
    ///
    /// | variable | means | default |
    /// |---|---|---|
    /// | `HF_ENDPOINT` | where the Hub answers | `https://huggingface.co` |
    /// | `HF_HOME` | directory of cache and token | `$XDG_CACHE_HOME/huggingface`, `~/.cache/huggingface` |
    /// | `HF_HUB_CACHE` | the cache | `$HF_HOME/hub` |
    /// | `HF_TOKEN` | the token | the file `HF_TOKEN_PATH`, `$HF_HOME/token` |
    /// | `HF_HUB_OFFLINE` | `1`, `true`, `yes` or `on`: open no connection | no |
    /// | `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE` | certificates to trust | Mozilla's |
    pub fn from_environment() -> Self {
        Self::from_variables(&|name| std::env::var_os(name))
    }

    /// As [`HubSettings::from_environment`], for variables that come from elsewhere. An empty one counts as absent.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let user = variable("HOME")
            .map(PathBuf::from)
            .or_else(std::env::home_dir)
            .unwrap_or_default();
        let path = |name: &str| Some(expanded(PathBuf::from(variable(name)?), &user));
        let text = |name: &str| Some(variable(name)?.to_str()?.trim().to_owned());
        let is_set = |name: &str| {
            let value = text(name).unwrap_or_default().to_ascii_lowercase();
            matches!(value.as_str(), "1" | "true" | "yes" | "on")
        };
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME")
                .unwrap_or_else(|| user.join(".cache"))
                .join("huggingface")
        });
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = text("HF_TOKEN")
            .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
            .or_else(|| {
                let content = std::fs::read_to_string(token_file).ok()?;
                Some(content.trim().to_owned())
            })
            // What cannot stand in a header is no token.
            .filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
        Self {
            endpoint: text("HF_ENDPOINT")
                .unwrap_or_else(|| "https://huggingface.co".to_owned())
                .trim_end_matches('/')
                .to_owned(),
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            token: token.filter(|_| !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")),
            offline: is_set("HF_HUB_OFFLINE"),
            certificates: path("SSL_CERT_FILE").or_else(|| path("REQUESTS_CA_BUNDLE")),
            retry_wait: Duration::from_millis(500),
        }
    }
}

/// `~` as shells expand it, which nobody did where a variable was set in a file.
fn expanded(path: PathBuf, user: &Path) -> PathBuf {
    match path.strip_prefix("~") {
        Ok(rest) => user.join(rest),
        Err(_) => path,
    }
}

/// Everything but the token.
impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        HubSettings::from_variables(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn defaults_and_what_overrides_them() {
        let plain = settings(&[("HOME", "/h")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, Path::new("/h/.cache/huggingface/hub"));
        assert!(!plain.offline && plain.token.is_none() && plain.certificates.is_none());
        let cache = |variables: &[(&str, &str)]| {
            let home = [("HOME", "/h")];
            settings(&[&home, variables].concat()).cache
        };
        assert_eq!(
            cache(&[("XDG_CACHE_HOME", "/x")]),
            Path::new("/x/huggingface/hub")
        );
        assert_eq!(cache(&[("HF_HOME", "~/hf")]), Path::new("/h/hf/hub"));
        assert_eq!(
            cache(&[("HF_HOME", "/a"), ("HF_HUB_CACHE", "/b")]),
            Path::new("/b")
        );
        assert_eq!(
            settings(&[("HF_ENDPOINT", "http://mirror:80/")]).endpoint,
            "http://mirror:80"
        );
        for (value, offline) in [("1", true), ("ON", true), ("0", false), ("", false)] {
            assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, offline);
        }
    }

    #[test]
    fn the_token_comes_from_the_environment_or_a_file_and_is_never_shown() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("token"), "hf_file\n").unwrap();
        let home = scratch.path().to_str().unwrap();
        let token = |more: &[(&str, &str)]| settings(&[&[("HF_HOME", home)], more].concat()).token;
        assert_eq!(token(&[]).as_deref(), Some("hf_file"));
        assert_eq!(
            token(&[("HF_TOKEN", " hf_env\n")]).as_deref(),
            Some("hf_env")
        );
        assert_eq!(token(&[("HF_TOKEN", "a\nb")]), None);
        assert_eq!(token(&[("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let shown = format!("{:?}", settings(&[("HF_TOKEN", "hf_env")]));
        assert!(!shown.contains("hf_env"), "{shown}");
    }
}
