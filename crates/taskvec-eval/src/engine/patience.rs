//! When to try again: exponential backoff with jitter, and what the server itself asks for.
//!
//! Waits grow as 0.5 s, 1 s, 2 s … to at most 30 s, each drawn evenly between half of that and all of it, so that
//! many clients that failed together do not come back together. `Retry-After` and exhausted `x-ratelimit-*`
//! budgets hold back every thread, not only the one that was told.

use crate::random::Random;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::HeaderMap;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How soon a waiting thread hears that the run has ended.
const ATTENTION: Duration = Duration::from_millis(50);

/// The wait after failure number `failures`, which counts from 1. `key` makes it differ between requests.
pub(super) fn backoff(failures: u32, key: u64) -> Duration {
    let whole = FIRST_WAIT
        .saturating_mul(1 << (failures - 1).min(16))
        .min(LONGEST_WAIT);
    let share =
        Random::derive(&[key, u64::from(failures)]).below(1 << 20) as f64 / f64::from(1 << 20);
    whole.mul_f64(0.5 + share / 2.0)
}

/// The moment before which nobody may ask.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Instant>);

impl Gate {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// Nobody asks for so long.
    pub(super) fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut opens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *opens = until.max(*opens);
    }

    /// Waits until asking is allowed and `earliest` has come; false where the run ended meanwhile.
    pub(super) fn pass(&self, earliest: Instant, ended: &AtomicBool) -> bool {
        loop {
            if ended.load(Ordering::SeqCst) {
                return false;
            }
            let opens = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match opens.max(earliest).checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) => return true,
                Some(left) => std::thread::sleep(left.min(ATTENTION)),
            }
        }
    }
}

/// What is left of the server's budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Limits {
    /// How long until a budget that is used up is filled again.
    pub(super) exhausted_for: Option<Duration>,
}

impl Limits {
    /// Reads `x-ratelimit-remaining-*` and `x-ratelimit-reset-*` for requests and tokens.
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let exhausted_for = ["requests", "tokens"]
            .iter()
            .filter_map(|what| {
                let remaining = text(headers, &format!("x-ratelimit-remaining-{what}"))?;
                let reset = text(headers, &format!("x-ratelimit-reset-{what}"))?;
                (remaining.trim().parse() == Ok(0u64))
                    .then(|| duration(reset))
                    .flatten()
            })
            .max();
        Self { exhausted_for }
    }
}

/// How long a refusal asks us to wait: `retry-after-ms`, `Retry-After` in seconds or as a date, or the time until an
/// exhausted budget is filled again.
pub(super) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(|value| seconds(value, 1000.0));
    let after = || {
        let value = text(headers, "retry-after")?;
        seconds(value, 1.0).or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        })
    };
    milliseconds
        .or_else(after)
        .or_else(|| Limits::read(headers).exhausted_for)
}

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::trim)
}

fn seconds(value: &str, units_per_second: f64) -> Option<Duration> {
    let value: f64 = value.parse().ok()?;
    Duration::try_from_secs_f64(value / units_per_second).ok()
}

/// Reads `6m0s`, `1.5s`, `20ms`, `1h`, or a bare number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Some(plain) = seconds(text, 1.0) {
        return Some(plain);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let after = &rest[number..];
        let unit = after
            .find(|character: char| character.is_ascii_digit())
            .unwrap_or(after.len());
        let per_second = match &after[..unit] {
            "ms" => 1000.0,
            "s" => 1.0,
            "m" => 1.0 / 60.0,
            "h" => 1.0 / 3600.0,
            "d" => 1.0 / 86_400.0,
            _ => return None,
        };
        total = total.checked_add(seconds(&rest[..number], per_second)?)?;
        rest = &after[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn waits_grow_and_differ() {
        for failures in 1..40 {
            let whole = 0.5 * 2f64.powi(failures as i32 - 1);
            let wait = backoff(failures, 7).as_secs_f64();
            let whole = whole.min(30.0);
            assert!(whole / 2.0 <= wait && wait <= whole, "{failures}: {wait}");
        }
        assert_ne!(backoff(3, 7), backoff(3, 8));
    }

    #[test]
    fn durations() {
        assert_eq!(duration("6m0s"), Some(Duration::from_secs(360)));
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("12"), Some(Duration::from_secs(12)));
        for wrong in ["", "s", "soon", "1x", "-1", "1s2", "NaN", "1e30d", "é"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_servers_ask_for() {
        let wait = |pairs: &[(&'static str, &str)]| asked_wait(&headers(pairs));
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(
            wait(&[("retry-after-ms", "70"), ("retry-after", "7")]),
            Some(Duration::from_millis(70))
        );
        let past = wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]);
        assert_eq!(past, Some(Duration::ZERO));
        let future = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60));
        let future = wait(&[("retry-after", &future)]).unwrap();
        assert!((58..=60).contains(&future.as_secs()), "{future:?}");
        assert_eq!(wait(&[("retry-after", "tomorrow")]), None);
        let budget = [
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m"),
        ];
        assert_eq!(wait(&budget), Some(Duration::from_secs(60)));
        let plenty = [
            ("x-ratelimit-remaining-tokens", "5"),
            ("x-ratelimit-reset-tokens", "1m"),
        ];
        assert_eq!(wait(&plenty), None);
    }
}
