//! A server on loopback whose every answer a test decides.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The last message of a chat, or the prompt.
    pub(super) fn text(&self) -> String {
        let message = self.body["messages"]
            .as_array()
            .and_then(|messages| messages.last());
        let text = message.map_or(&self.body["prompt"], |message| &message["content"]);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Whether it only asks whether answers say how likely their tokens were.
    fn is_probe(&self) -> bool {
        !self.body["logprobs"].is_null()
            && self.body["echo"].is_null()
            && self.body["max_tokens"] == 1
            && self.text() == "One two three"
    }
}

/// What is done to a request.
pub(super) enum Reply {
    Json(u16, Vec<(&'static str, String)>, Value),
    /// These bytes, with a length, and then the end.
    Body(u16, String),
    /// A body that is shorter than its length says.
    Cut(String),
    /// Nothing for so long, then the end.
    Nothing(Duration),
    /// Bytes until nobody reads them.
    Endless,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Self {
        Self::Json(200, Vec::new(), body)
    }

    pub(super) fn error(status: u16, message: &str) -> Self {
        Self::Json(
            status,
            Vec::new(),
            serde_json::json!({"error": {"message": message}}),
        )
    }
}

type Script = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

/// Runs until the tests end.
pub(super) struct Scripted {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Scripted {
    /// Serves by `script`, which is told how many requests to the same path came before. `/v1/models` lists `m`, and nothing
    /// is said of how likely tokens were.
    pub(super) fn serve(script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve_all(move |asked, before| match asked.path.as_str() {
            "/v1/models" => Reply::ok(super::models("test")),
            _ if asked.is_probe() => Reply::error(400, "logprobs are not supported"),
            _ => script(asked, before),
        })
    }

    pub(super) fn serve_all(
        script: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || {
                    // A client that went away is what some tests want.
                    let _ = answer(stream, &*script, &seen);
                });
            }
        });
        Self { port, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// The requests so far, those left out that only find out what the server has.
    pub(super) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| asked.path != "/v1/models" && !asked.is_probe())
            .cloned()
            .collect()
    }

    /// How often it was asked whether it says how likely tokens were.
    pub(super) fn probes(&self) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.is_probe()).count()
    }
}

fn answer(stream: TcpStream, script: &Script, seen: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let mut asked = Asked {
        path,
        headers,
        body: Value::Null,
    };
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    asked.body = serde_json::from_slice(&body).unwrap_or_default();
    let before = {
        let mut seen = seen.lock().unwrap();
        let alike = |other: &&Asked| other.path == asked.path && !other.is_probe();
        let before = seen.iter().filter(alike).count();
        seen.push(asked.clone());
        before
    };
    write(stream, script(&asked, before))
}

fn write(mut stream: TcpStream, reply: Reply) -> std::io::Result<()> {
    let head = |status: u16, length: usize, more: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    };
    match reply {
        Reply::Json(status, headers, body) => {
            let body = body.to_string();
            let more: String = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}\r\n"))
                .collect();
            stream.write_all(format!("{}{body}", head(status, body.len(), &more)).as_bytes())
        }
        Reply::Body(status, body) => {
            stream.write_all(format!("{}{body}", head(status, body.len(), "")).as_bytes())
        }
        Reply::Cut(body) => {
            stream.write_all(format!("{}{body}", head(200, body.len() + 10, "")).as_bytes())
        }
        Reply::Nothing(wait) => {
            std::thread::sleep(wait);
            Ok(())
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n[")?;
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
    }
}
