//! A server that is started for one run and ends with it, however the run ends.
//!
//! The server runs in a process group of its own. A shell waits beside it for our end of a pipe to close, which the
//! system does whether we are done, interrupted or killed, and then ends the whole group, the workers of a
//! tensor-parallel server among it, and removes the directory that was written for it. Nothing depends on our living
//! to do it.

use super::ServerError;
use super::client::Client;
use super::endpoint::{ApiKey, BaseUrl};
use std::collections::VecDeque;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LAST_LINES: usize = 20;
const LONGEST_LINE_BYTES: usize = 400;
const POLL: Duration = Duration::from_millis(200);
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a server could not be started, or did not stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A command that cannot be told what to serve or where.
    #[error("the command `{command}` has no `{missing}`")]
    Command {
        /// The command.
        command: String,
        /// The placeholder that it lacks.
        missing: &'static str,
    },
    /// No shell, no pipe or no port.
    #[error("cannot {action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("the server ended with {status}{}", quoted(last_lines))]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The end of what it printed.
        last_lines: Vec<String>,
    },
    /// The server lives and does not answer.
    #[error("the server did not answer within {} s{}", limit.as_secs(), quoted(last_lines))]
    Silent {
        /// How long was waited.
        limit: Duration,
        /// The end of what it printed.
        last_lines: Vec<String>,
        /// How it failed to answer.
        #[source]
        source: Box<ServerError>,
    },
}

fn quoted(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  | {line}")).collect()
}

impl ServeError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Command { .. } => {
                Some("write it as 'vllm serve {model} --port {port}'".to_owned())
            }
            Self::System { .. } | Self::Ended { .. } => None,
            Self::Silent { .. } => {
                Some("a large model takes long to load; raise `--serve-timeout`".to_owned())
            }
        }
    }
}

/// What to start.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// A line for the shell in which `{model}` and `{port}` stand for the directory and the port.
    pub command: String,
    /// The model's directory.
    pub model: PathBuf,
    /// A directory to remove when the server has ended.
    pub remove: Option<PathBuf>,
    /// How long to wait until it answers.
    pub patience: Duration,
    /// What opens it, where the command locks it.
    pub key: Option<ApiKey>,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Served {
    pub(super) child: Child,
    /// Closing its standard input is what ends the server.
    watcher: Child,
    pipe: Option<ChildStdin>,
    lines: Arc<Mutex<VecDeque<String>>>,
    base_url: String,
}

/// Ends the group `$1` when standard input closes, gently at first, and removes the directory `$2`.
const WATCH: &str = r#"
trap '' HUP INT TERM
read -r _
kill -s TERM -- "-$1"
tries=0
while [ $tries -lt 100 ] && kill -s 0 -- "-$1"; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL -- "-$1"
if [ -n "$2" ]; then rm -rf -- "$2"; fi
"#;

impl Served {
    /// Whether a command says where model and port go, to be known before a model is written for it.
    ///
    /// # Errors
    ///
    /// [`ServeError::Command`].
    pub fn check(command: &str) -> Result<(), ServeError> {
        match ["{model}", "{port}"]
            .into_iter()
            .find(|&missing| !command.contains(missing))
        {
            Some(missing) => Err(ServeError::Command {
                command: command.to_owned(),
                missing,
            }),
            None => Ok(()),
        }
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    ///
    /// [`ServeError`]; whatever was started has ended then, and [`ServeOptions::remove`] is gone.
    pub fn start(options: &ServeOptions) -> Result<Self, ServeError> {
        Self::check(&options.command)?;
        let port = free_port().map_err(|source| ServeError::System {
            action: "find a free port",
            source,
        })?;
        let line = options
            .command
            .replace("{model}", &shell_word(&options.model))
            .replace("{port}", &port.to_string());
        let mut served = Self::spawn(&line, options.remove.as_deref(), port).map_err(|source| {
            ServeError::System {
                action: "start the server",
                source,
            }
        })?;
        served.wait(options)?;
        Ok(served)
    }

    fn spawn(line: &str, remove: Option<&Path>, port: u16) -> std::io::Result<Self> {
        let mut command = Command::new("sh");
        // One pipe for both, so that the last lines come in the order in which they were printed.
        command
            .args(["-c", &format!("exec 2>&1\n{line}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        in_own_group(&mut command);
        let mut child = command.spawn()?;

        let mut command = Command::new("sh");
        command
            .args(["-c", WATCH, "taskvec-watch", &child.id().to_string()])
            .arg(remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        in_own_group(&mut command);
        let mut watcher = command.spawn().inspect_err(|_| {
            // Without a watcher it must not live on; that it may be gone already is no failure.
            let _ = child.kill();
        })?;

        let lines = Arc::new(Mutex::new(VecDeque::new()));
        if let Some(output) = child.stdout.take() {
            keep_last_lines(output, &lines);
        }
        Ok(Self {
            child,
            pipe: watcher.stdin.take(),
            watcher,
            lines,
            // By name: servers differ in which loopback address they take.
            base_url: format!("http://localhost:{port}/v1"),
        })
    }

    fn wait(&mut self, options: &ServeOptions) -> Result<(), ServeError> {
        let limit = options.patience;
        let started = Instant::now();
        let silent = |lines: Vec<String>, error: ServerError| ServeError::Silent {
            limit,
            last_lines: lines,
            source: Box::new(error),
        };
        let base = BaseUrl::parse(&self.base_url).map_err(|error| silent(Vec::new(), error))?;
        let client = Client::new(base, options.key.clone(), 1, PROBE_TIMEOUT, 1 << 20);
        loop {
            if let Some(ended) = self.death() {
                return Err(ended);
            }
            match is_ready(&client) {
                Ok(()) => return Ok(()),
                Err(error) if started.elapsed() >= limit => {
                    return Err(silent(self.last_lines(), error));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    /// The address to ask.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How the server ended, if it has.
    pub fn death(&mut self) -> Option<ServeError> {
        let status = self.child.try_wait().ok().flatten()?;
        // What it said last may still be on its way through the pipe.
        std::thread::sleep(POLL);
        Some(ServeError::Ended {
            status,
            last_lines: self.last_lines(),
        })
    }

    fn last_lines(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The server first: as long as nobody has asked how it ended, its group seems to live.
        let _ = self.child.wait();
        let _ = self.watcher.wait();
    }
}

/// Ready is what calls itself healthy, or lists its models where it has no word for its health.
pub(super) fn is_ready(client: &Client) -> Result<(), ServerError> {
    match client
        .get(&client.base.root("/health"))
        .map_err(|fault| fault.error)
    {
        // vLLM's healthy answer is an empty one.
        Ok(_) | Err(ServerError::NotJson { .. }) => Ok(()),
        Err(ServerError::Status {
            status: 401 | 403 | 404 | 405,
            ..
        }) => {
            let listed = client.get(&client.base.path("/models"));
            listed.map(|_| ()).map_err(|fault| fault.error)
        }
        Err(error) => Err(error),
    }
}

/// A port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(unix)]
fn in_own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn in_own_group(_: &mut Command) {}

/// A path as one word for the shell; as it is where it can be, since a user may have put quotes around the placeholder.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "/._-+=:@%".contains(character);
    if text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Reads all that a server prints, so that it never waits for a reader, and keeps the end of it.
fn keep_last_lines(mut output: impl Read + Send + 'static, lines: &Arc<Mutex<VecDeque<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        let mut line = Vec::new();
        let keep = |line: &mut Vec<u8>| {
            let text = String::from_utf8_lossy(line).trim_end().to_owned();
            line.clear();
            if !text.is_empty() {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == LAST_LINES {
                    lines.pop_front();
                }
                lines.push_back(text);
            }
        };
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            for &byte in &buffer[..count] {
                match byte {
                    // A progress bar's every state is a line of its own.
                    b'\n' | b'\r' => keep(&mut line),
                    _ if line.len() < LONGEST_LINE_BYTES => line.push(byte),
                    _ => {}
                }
            }
        }
        keep(&mut line);
    });
}
