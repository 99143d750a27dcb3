//! Requests to the Hub and what its answers mean.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{HeaderMap, LOCATION};
use ureq::http::{Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::cache::is_commit;
use super::repository::Repository;
use super::{HubError, HubSettings};

/// The longest list of files that is read.
const MAX_LISTING_BYTES: u64 = 64 << 20;
/// The most of an error page that is shown.
const MAX_MESSAGE_BYTES: u64 = 400;
const MAX_REDIRECTS: usize = 10;
/// How often something is tried that may succeed the next time, without any progress.
pub(super) const ATTEMPTS: u32 = 4;
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

pub(super) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    retry_wait: Duration,
}

/// A repository at a commit.
pub(super) struct Listing {
    pub(super) commit: String,
    /// Every file, by its path in the repository.
    pub(super) files: Vec<String>,
}

/// What is known of a file before it is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// Of a large file its SHA-256, of a small one the hash that Git has of it.
    pub(super) etag: String,
    pub(super) bytes: u64,
}

impl Client {
    pub(super) fn new(settings: &HubSettings) -> Result<Self, HubError> {
        let roots = match &settings.certificates {
            None => RootCerts::WebPki,
            Some(path) => {
                let unreadable = || HubError::Certificates { path: path.clone() };
                let pem = std::fs::read(path).map_err(|_| unreadable())?;
                let certificates: Vec<_> = parse_pem(&pem)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                if certificates.is_empty() {
                    return Err(unreadable());
                }
                RootCerts::from(certificates)
            }
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // The first answer says what the last one must contain, so each is looked at.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .user_agent(concat!("taskvec/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        Ok(Self {
            agent,
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            retry_wait: settings.retry_wait,
        })
    }

    /// The files of a repository at a revision.
    pub(super) fn listing(
        &self,
        repository: &Repository,
        revision: &str,
    ) -> Result<Listing, HubError> {
        #[derive(Deserialize)]
        struct Answer {
            sha: String,
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let url = format!(
            "{}/api/{}/revision/{}",
            self.endpoint,
            repository.api(),
            percent_encoded(revision)
        );
        self.persist(|| {
            let answer = self.get(&url, repository, revision, None)?;
            let mut body = Vec::new();
            answer
                .response
                .into_body()
                .into_with_config()
                .limit(MAX_LISTING_BYTES)
                .reader()
                .read_to_end(&mut body)
                .map_err(|error| HubError::network(&url, error))?;
            let refuse = |reason: String| HubError::Answer {
                url: url.clone(),
                reason,
            };
            let Answer { sha, siblings } = serde_json::from_slice(&body)
                .map_err(|error| refuse(format!("it is no list of files ({error})")))?;
            if !is_commit(&sha) {
                return Err(refuse(format!("`{}` is no commit", clipped(&sha))));
            }
            Ok(Listing {
                commit: sha,
                files: siblings.into_iter().map(|file| file.rfilename).collect(),
            })
        })
    }

    /// What the Hub says of a file.
    pub(super) fn announcement(
        &self,
        repository: &Repository,
        commit: &str,
        file: &str,
    ) -> Result<Announcement, HubError> {
        let url = self.file_url(repository, commit, file);
        self.persist(|| {
            // The storage behind the Hub knows neither of its hashes: only what stays at the Hub is followed.
            let answer = self.request(Method::Head, &url, repository, commit, None)?;
            let header = |name: &str| answer.headers.get(name)?.to_str().ok();
            let refuse = |reason: &str| HubError::Answer {
                url: url.clone(),
                reason: reason.to_owned(),
            };
            let etag = header("x-linked-etag")
                .or_else(|| header("etag"))
                .and_then(plain_etag)
                .ok_or_else(|| refuse("it gives no ETag that is a hash"))?;
            let bytes = header("x-linked-size")
                .or_else(|| header("content-length"))
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| refuse("it does not say how long the file is"))?;
            Ok(Announcement { etag, bytes })
        })
    }

    /// Begins to fetch a file at a byte. The answer may begin at the first byte all the same: see its status.
    pub(super) fn content(
        &self,
        repository: &Repository,
        commit: &str,
        file: &str,
        from: u64,
        announced: &Announcement,
    ) -> Result<Response<Body>, HubError> {
        let url = self.file_url(repository, commit, file);
        let answer = self.get(&url, repository, commit, Some(from))?;
        let found = answer
            .headers
            .get("x-linked-etag")
            .or_else(|| answer.headers.get("etag"))
            .and_then(|etag| plain_etag(etag.to_str().ok()?));
        match found {
            Some(found) if found != announced.etag => Err(HubError::Etag {
                file: file.to_owned(),
                expected: announced.etag.clone(),
                found,
            }),
            _ => Ok(answer.response),
        }
    }

    /// Tries again what may succeed the next time.
    fn persist<T>(&self, work: impl Fn() -> Result<T, HubError>) -> Result<T, HubError> {
        let mut failures = 0;
        loop {
            match work() {
                Err(error) if error.is_transient() && failures + 1 < ATTEMPTS => {
                    failures += 1;
                    self.wait(failures);
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits before attempt number `failures` + 1.
    pub(super) fn wait(&self, failures: u32) {
        let wait = self.retry_wait * 2u32.saturating_pow(failures.saturating_sub(1));
        std::thread::sleep(wait.min(LONGEST_WAIT));
    }

    pub(super) fn file_url(&self, repository: &Repository, commit: &str, file: &str) -> String {
        let endpoint = &self.endpoint;
        let page = repository.page();
        // Each part by itself: a file may lie in a directory.
        let parts: Vec<String> = file.split('/').map(percent_encoded).collect();
        let file = parts.join("/");
        format!("{endpoint}/{page}/resolve/{commit}/{file}")
    }

    fn get(
        &self,
        url: &str,
        repository: &Repository,
        revision: &str,
        from: Option<u64>,
    ) -> Result<Answer, HubError> {
        self.request(Method::Get, url, repository, revision, from)
    }

    fn request(
        &self,
        method: Method,
        url: &str,
        repository: &Repository,
        revision: &str,
        from: Option<u64>,
    ) -> Result<Answer, HubError> {
        let mut place = url.to_owned();
        let mut first: Option<HeaderMap> = None;
        for _ in 0..MAX_REDIRECTS {
            let mut request = match method {
                Method::Get => self.agent.get(&place),
                Method::Head => self.agent.head(&place),
            };
            if let Some(from) = from.filter(|from| *from > 0) {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let at_hub = origin(&place) == origin(&self.endpoint);
            if let Some(token) = self.token.as_ref().filter(|_| at_hub) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            let response = request
                .call()
                .map_err(|error| HubError::network(&place, error))?;
            let status = response.status();
            if status.is_redirection() {
                let next = target(&place, response.headers());
                let next = next.ok_or_else(|| HubError::Answer {
                    url: place.clone(),
                    reason: "it redirects to nowhere".to_owned(),
                })?;
                let leaves = origin(&next) != origin(&self.endpoint);
                // What the Hub says when it sends elsewhere is what must be found there; a repository that
                // was renamed it only points to.
                if leaves && at_hub {
                    first = Some(response.headers().clone());
                    if method == Method::Head {
                        let headers = response.headers().clone();
                        return Ok(Answer { headers, response });
                    }
                }
                place = next;
                continue;
            }
            if !status.is_success() {
                return Err(self.refusal(&place, repository, revision, response));
            }
            let headers = first.unwrap_or_else(|| response.headers().clone());
            return Ok(Answer { headers, response });
        }
        Err(HubError::Answer {
            url: url.to_owned(),
            reason: format!("it redirects more than {MAX_REDIRECTS} times"),
        })
    }

    /// What an answer means that is none.
    fn refusal(
        &self,
        url: &str,
        repository: &Repository,
        revision: &str,
        response: Response<Body>,
    ) -> HubError {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let token = self.token.is_some();
        match (status, header("x-error-code")) {
            (_, Some("GatedRepo")) => HubError::Gated {
                page: format!("{}/{}", self.endpoint, repository.page()),
                token,
            },
            (_, Some("RepoNotFound")) => HubError::NoRepository {
                repository: repository.name.clone(),
                token,
            },
            (_, Some("RevisionNotFound")) => HubError::NoRevision {
                revision: revision.to_owned(),
            },
            // Without a token the Hub says so of what does not exist, too.
            (401, _) if !token => HubError::NoRepository {
                repository: repository.name.clone(),
                token,
            },
            (401 | 403, _) => HubError::Token { status },
            _ => {
                let message = header("x-error-message").map(clipped).or_else(|| {
                    let mut text = String::new();
                    let body = response.into_body().into_reader();
                    body.take(MAX_MESSAGE_BYTES)
                        .read_to_string(&mut text)
                        .ok()?;
                    Some(clipped(text.trim()))
                });
                HubError::Status {
                    url: url.to_owned(),
                    status,
                    message: message.filter(|text| !text.is_empty() && !text.starts_with('<')),
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Get,
    Head,
}

/// The last response, and the headers of the last one that the Hub itself gave.
struct Answer {
    headers: HeaderMap,
    response: Response<Body>,
}

/// Scheme, host and port: to whom a token may be told.
fn origin(url: &str) -> Option<(String, String)> {
    let uri: Uri = url.parse().ok()?;
    Some((
        uri.scheme_str()?.to_ascii_lowercase(),
        uri.authority()?.as_str().to_ascii_lowercase(),
    ))
}

/// Where a redirect leads.
fn target(from: &str, headers: &HeaderMap) -> Option<String> {
    let location = headers.get(LOCATION)?.to_str().ok()?;
    if location.starts_with('/') && !location.starts_with("//") {
        let (scheme, authority) = origin(from)?;
        return Some(format!("{scheme}://{authority}{location}"));
    }
    let (scheme, _) = origin(location)?;
    matches!(scheme.as_str(), "http" | "https").then(|| location.to_owned())
}

/// An ETag without quotes, if it can be the name of a file.
fn plain_etag(etag: &str) -> Option<String> {
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let plain = (8..=128).contains(&etag.len())
        && etag
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| etag.to_owned())
}

/// Text of a stranger, as far as it fits a message.
fn clipped(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(MAX_MESSAGE_BYTES as usize).collect()
}

/// A path segment of a URL; slashes are encoded too.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_redirects_lead() {
        let to = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            target("https://hub/a/b", &headers)
        };
        assert_eq!(to("/c").as_deref(), Some("https://hub/c"));
        assert_eq!(
            to("https://cdn/x?y=1").as_deref(),
            Some("https://cdn/x?y=1")
        );
        for nowhere in ["//evil/x", "file:///etc/passwd", "x", ""] {
            assert_eq!(to(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_token_is_for_one_origin() {
        assert_eq!(origin("https://HUB/x"), origin("https://hub/y"));
        for other in [
            "http://hub",
            "https://hub:8443",
            "https://cdn-hub",
            "https://user@hub",
        ] {
            assert_ne!(origin(other), origin("https://hub"), "{other}");
        }
    }

    #[test]
    fn etags_are_names_of_files_or_nothing() {
        assert_eq!(
            plain_etag("W/\"0123456789\"").as_deref(),
            Some("0123456789")
        );
        for hostile in ["\"../../x/y/z\"", "..", "", "a/b/c/d/e/f", "short"] {
            assert_eq!(plain_etag(hostile), None, "{hostile}");
        }
        assert_eq!(percent_encoded("refs/pr/1 é"), "refs%2Fpr%2F1%20%C3%A9");
    }
}
