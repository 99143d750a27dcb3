//! One request over HTTP: an answer in JSON, or why there is none and whether to try again.

use super::ServerError;
use super::endpoint::{ApiKey, BaseUrl};
use super::patience::{Limits, asked_wait};
use serde_json::Value;
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// What a complaint of a server may take.
const LONGEST_COMPLAINT_BYTES: u64 = 64 << 10;
const LONGEST_COMPLAINT_SHOWN: usize = 400;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// A body as it came, and what the headers say about the server's limits.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Value,
    pub(super) limits: Limits,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: ServerError,
    /// Whether the same request may succeed later.
    pub(super) passes: bool,
    /// How long the server asks us to wait.
    pub(super) wait: Option<Duration>,
}

impl Fault {
    pub(super) fn lasting(error: ServerError) -> Self {
        Self {
            error,
            passes: false,
            wait: None,
        }
    }

    fn passing(error: ServerError) -> Self {
        Self {
            error,
            passes: true,
            wait: None,
        }
    }
}

/// A server, as far as HTTP goes. Shared by threads.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) base: BaseUrl,
    key: Option<ApiKey>,
    agent: Agent,
    timeout: Duration,
    max_body_bytes: u64,
}

impl Client {
    pub(super) fn new(
        base: BaseUrl,
        key: Option<ApiKey>,
        connections: usize,
        timeout: Duration,
        max_body_bytes: u64,
    ) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .timeout_connect(Some(CONNECT_TIMEOUT.min(timeout)))
            .max_idle_connections_per_host(connections)
            .max_idle_connections(connections)
            .user_agent(concat!("taskvec/", env!("CARGO_PKG_VERSION")));
        if base.is_local() {
            config = config.proxy(None);
        }
        Self {
            base,
            key,
            agent: config.build().new_agent(),
            timeout,
            max_body_bytes,
        }
    }

    pub(super) fn get(&self, url: &str) -> Result<Answer, Fault> {
        let mut request = self.agent.get(url);
        if let Some(key) = &self.key {
            request = request.header("authorization", key.header());
        }
        self.read(url, request.call())
    }

    pub(super) fn post(&self, url: &str, body: &Value) -> Result<Answer, Fault> {
        let mut request = self.agent.post(url).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", key.header());
        }
        self.read(url, request.send(body.to_string()))
    }

    fn read(
        &self,
        url: &str,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer, Fault> {
        let mut response = response.map_err(|error| self.failed(url, error))?;
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            return Err(self.refused(url, status, &mut response));
        }
        let limits = Limits::read(response.headers());
        let bytes = response
            .body_mut()
            .with_config()
            .limit(self.max_body_bytes)
            .read_to_vec()
            .map_err(|error| self.failed(url, error))?;
        let body = serde_json::from_slice(&bytes).map_err(|source| {
            // A body without a length that ends early looks like this.
            let passes = source.is_eof();
            let start: String = String::from_utf8_lossy(&bytes).chars().take(60).collect();
            let error = ServerError::NotJson {
                url: url.to_owned(),
                start: self.shown(&start),
                source,
            };
            Fault {
                error,
                passes,
                wait: None,
            }
        })?;
        Ok(Answer { body, limits })
    }

    /// The network's failures pass, those of the request itself do not.
    fn failed(&self, url: &str, error: ureq::Error) -> Fault {
        let url = url.to_owned();
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                Fault::passing(ServerError::Unreachable {
                    url,
                    source: "the connection timed out".into(),
                })
            }
            ureq::Error::Timeout(_) => Fault::passing(ServerError::Slow {
                url,
                limit: self.timeout,
            }),
            ureq::Error::BodyExceedsLimit(limit) => {
                Fault::lasting(ServerError::TooLong { url, limit })
            }
            error @ (ureq::Error::Io(_)
            | ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::BodyStalled) => Fault::passing(ServerError::Unreachable {
                url,
                source: Box::new(error),
            }),
            error => Fault::lasting(ServerError::Unreachable {
                url,
                source: Box::new(error),
            }),
        }
    }

    fn refused(&self, url: &str, status: u16, response: &mut Response<Body>) -> Fault {
        let url = url.to_owned();
        let header = |headers: &HeaderMap, name: &str| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        if let (300..=399, Some(location)) = (status, header(response.headers(), "location")) {
            let location = self.shown(&location);
            return Fault::lasting(ServerError::Moved {
                url,
                status,
                location,
            });
        }
        let wait = asked_wait(response.headers());
        // Whatever else goes wrong, the status is what matters.
        let body = response
            .body_mut()
            .with_config()
            .limit(LONGEST_COMPLAINT_BYTES)
            .lossy_utf8(true)
            .read_to_string()
            .unwrap_or_default();
        let complaint = Complaint::read(&body);
        // A used-up budget is told by the same status as haste, and does not pass.
        let passes =
            matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 520..=529) && !complaint.is_quota;
        let said = self.shown(&complaint.text);
        Fault {
            error: ServerError::Status { url, status, said },
            passes,
            wait,
        }
    }

    /// Foreign text as it may be shown: short, on one line, and without our key.
    pub(super) fn shown(&self, text: &str) -> String {
        let line: String = text
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self
            .key
            .as_ref()
            .map_or_else(|| line.clone(), |key| key.removed_from(&line));
        match line.char_indices().nth(LONGEST_COMPLAINT_SHOWN) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }
}

/// What a server says of a failure, in one of the shapes that are in use.
struct Complaint {
    text: String,
    is_quota: bool,
}

impl Complaint {
    fn read(body: &str) -> Self {
        let Ok(json) = serde_json::from_str::<Value>(body) else {
            // A page of a proxy: its markup helps nobody.
            let text = if body.trim_start().starts_with('<') {
                "an HTML page"
            } else {
                body
            };
            return Self {
                text: text.to_owned(),
                is_quota: false,
            };
        };
        let error = json.get("error").unwrap_or(&json);
        let is_quota = ["code", "type"]
            .iter()
            .any(|field| error.get(field).and_then(Value::as_str) == Some("insufficient_quota"));
        let text = [
            error.get("message"),
            json.get("detail"),
            json.get("message"),
            Some(error),
        ]
        .into_iter()
        .flatten()
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .next()
        .unwrap_or_default();
        Self { text, is_quota }
    }
}
