//! Waiting for the verdict, and not longer than allowed.

use super::cell::Cells;
use super::{Refusal, Step};
use crate::sandbox::limits::PATIENCE;
use crate::sandbox::protocol::{Request, Response};
use crate::sandbox::{Limits, Verdict};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// What the judge says, a line each.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// Both interpreters are up: the program's time begins.
    Started,
    Passed,
    Failed(String),
    /// The program said that its memory is exhausted.
    Memory,
    /// The program's interpreter closed its end of the channel.
    Ended,
    /// The test itself is broken.
    Defect(String),
}

/// How long an interpreter that closed its channel is given to end by itself.
const LAST_BREATH: Duration = Duration::from_millis(200);

/// The system's view of its processes, kept from before the sandbox was closed.
pub(super) struct Scheduler(Option<OwnedFd>);

impl Scheduler {
    pub(super) fn open() -> Self {
        Self(
            open(
                "/proc",
                OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )
            .ok(),
        )
    }

    /// How long the process was ready to run and did not, because others did. Zero where the kernel does not count it.
    fn waited(&self, process: Pid) -> Duration {
        let Some(folder) = &self.0 else {
            return Duration::ZERO;
        };
        let path = format!("{process}/schedstat");
        let mut text = String::new();
        let read = openat(
            folder,
            path.as_str(),
            OFlag::O_RDONLY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .ok()
        .and_then(|file| File::from(file).read_to_string(&mut text).ok());
        // Nanoseconds on a processor, nanoseconds waiting for one, number of turns.
        let nanoseconds = read.and_then(|_| text.split(' ').nth(1)?.parse().ok());
        nanoseconds.map_or(Duration::ZERO, Duration::from_nanos)
    }
}

pub(super) fn until_verdict(
    cells: Cells,
    request: &Request,
    scheduler: &Scheduler,
) -> Result<Response, Refusal> {
    let Cells {
        judge,
        program,
        mut job,
        mut verdict,
    } = cells;
    let text = serde_json::to_vec(&request.job).step("writing the job")?;
    // A judge that dies early closes the pipe: its silence is reported below.
    let _ = job.write_all(&text);
    drop(job);
    let waited = || scheduler.waited(judge) + scheduler.waited(program);
    let word = listen(&mut verdict, &request.limits, waited)?;
    let response = match word {
        Heard::TimeOut { started: true } => Ok(Response::Verdict(Verdict::TimedOut)),
        Heard::TimeOut { started: false } => Err(Refusal {
            step: "starting the interpreters".to_owned(),
            reason: format!("not up after {:?}", request.limits.start_time),
        }),
        Heard::Silence { started } => match ending(judge) {
            // It can be driven into the ground by answers. But whoever kills it from outside gives no verdict.
            how if started && !how.contains("SIGKILL") => Ok(Response::Verdict(Verdict::Failed {
                message: format!("the answers ended the judge: {how}"),
            })),
            how => Err(Refusal {
                step: "judging".to_owned(),
                reason: format!("the judge ended without a verdict: {how}"),
            }),
        },
        Heard::Word(Word::Passed) => Ok(Response::Verdict(Verdict::Passed)),
        Heard::Word(Word::Failed(message)) => Ok(Response::Verdict(Verdict::Failed { message })),
        Heard::Word(Word::Memory) => Ok(Response::Verdict(Verdict::OutOfMemory)),
        Heard::Word(Word::Ended | Word::Started) => Ok(Response::Verdict(Verdict::Ended {
            how: ending(program),
        })),
        Heard::Word(Word::Defect(reason)) => Ok(Response::Defect(reason)),
    };
    for process in [judge, program] {
        // In a namespace of its own the process is the first, and what it started ends with it.
        let _ = kill(process, Signal::SIGKILL);
        let _ = waitpid(process, None);
    }
    response
}

enum Heard {
    Word(Word),
    TimeOut { started: bool },
    Silence { started: bool },
}

/// Waits for a word of the judge. The program's time is wall time less what its interpreter and the judge's, of which
/// one works while the other waits, spent waiting for a processor: the verdict must not depend on what else the machine
/// does.
fn listen(
    verdict: &mut File,
    limits: &Limits,
    waited: impl Fn() -> Duration,
) -> Result<Heard, Refusal> {
    const LONGEST: usize = 64 << 10;
    let mut begin = Instant::now();
    let mut deadline = begin + limits.start_time;
    let mut waited_before = Duration::ZERO;
    let mut started = false;
    let mut heard = Vec::new();
    loop {
        while let Some(end) = heard.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = heard.drain(..=end).collect();
            match serde_json::from_slice(&line).step("reading the verdict")? {
                Word::Started if !started => {
                    started = true;
                    begin = Instant::now();
                    deadline = begin + limits.wall_time;
                    waited_before = waited();
                }
                word => return Ok(Heard::Word(word)),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a time-out of zero would not wait for the last fraction.
        let milliseconds = u16::try_from(left.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        if left.is_zero() {
            let lost = waited().saturating_sub(waited_before);
            let last = limits.wall_time * if started { PATIENCE } else { 0 };
            let extended = begin + (limits.wall_time + lost).min(last);
            if extended <= deadline {
                return Ok(Heard::TimeOut { started });
            }
            deadline = extended;
            continue;
        }
        let mut ready = [PollFd::new(verdict.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::from(milliseconds)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error).step("waiting for the verdict"),
        }
        let mut part = [0; 4096];
        let count = verdict.read(&mut part).step("reading the verdict")?;
        heard.extend_from_slice(&part[..count]);
        if count == 0 || heard.len() > LONGEST {
            return Ok(Heard::Silence { started });
        }
    }
}

/// How a process ended, which closed its channel a moment ago.
fn ending(process: Pid) -> String {
    let deadline = Instant::now() + LAST_BREATH;
    loop {
        match waitpid(process, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => return format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => return signal.to_string(),
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Ok(_) => return "it closed its channel and went on".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}
