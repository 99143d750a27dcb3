//! Data parallelism over threads.
//!
//! At the micro size tensor operations gain nothing from a second core, whole slices of a batch do. Each
//! worker runs inside a rayon pool of its own with one thread, so that operations do not try to share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::decoder::DecoderConfig;
use crate::{Error, Result};

/// Hidden sizes from here on keep all cores busy within one tensor operation.
const WIDE: usize = 512;

/// Threads that each work on one item at a time.
#[derive(Debug)]
pub struct Workers {
    /// Empty: the caller's own thread and pool.
    pools: Vec<rayon::ThreadPool>,
}

impl Workers {
    /// `count` workers of one thread each.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`] where the system grants no more threads.
    pub fn new(count: usize) -> Result<Self> {
        let pools = (0..count.max(1))
            .map(|_| rayon::ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<Result<_, _>>()
            .map_err(|source| Error::Threads { count, source })?;
        Ok(Self { pools })
    }

    /// One worker that leaves parallelism to the tensor operations.
    #[must_use]
    pub fn single() -> Self {
        Self { pools: Vec::new() }
    }

    /// What suits a decoder: a worker for each core if it is narrow, one that uses all cores if it is wide.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`] where the system grants no more threads.
    pub fn fitting(config: &DecoderConfig) -> Result<Self> {
        if config.hidden_size >= WIDE {
            return Ok(Self::single());
        }
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// How many items are worked on at once.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pools.len().max(1)
    }

    /// Calls `work` on every item and folds the results in the order of the items, whatever the order they
    /// finish in. At most a few results wait at any time.
    ///
    /// # Errors
    ///
    /// The error of the first item, in order, among those that were tried and failed.
    pub fn fold<T: Sync, R: Send, A: Send>(
        &self,
        items: &[T],
        initial: A,
        work: impl Fn(&T) -> Result<R> + Sync,
        fold: impl Fn(&mut A, R) + Sync,
    ) -> Result<A> {
        let next = AtomicUsize::new(0);
        let folded = Mutex::new(Folded {
            done: 0,
            waiting: BTreeMap::new(),
            value: initial,
            failure: None,
        });
        let lock = || folded.lock().unwrap_or_else(PoisonError::into_inner);
        let run = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { break };
                if lock().failure.is_some() {
                    break;
                }
                match work(item) {
                    Ok(result) => lock().take(index, result, &fold),
                    Err(error) => lock().fail(index, error),
                }
            }
        };
        match self.pools.len().min(items.len()) {
            0 => run(),
            1 => self.pools[0].install(run),
            count => std::thread::scope(|scope| {
                for pool in &self.pools[..count] {
                    scope.spawn(|| pool.install(run));
                }
            }),
        }
        let folded = folded.into_inner().unwrap_or_else(PoisonError::into_inner);
        folded
            .failure
            .map_or(Ok(folded.value), |(_, error)| Err(error))
    }
}

struct Folded<R, A> {
    done: usize,
    waiting: BTreeMap<usize, R>,
    value: A,
    failure: Option<(usize, Error)>,
}

impl<R, A> Folded<R, A> {
    fn take(&mut self, index: usize, result: R, fold: impl Fn(&mut A, R)) {
        self.waiting.insert(index, result);
        while let Some(result) = self.waiting.remove(&self.done) {
            fold(&mut self.value, result);
            self.done += 1;
        }
    }

    fn fail(&mut self, index: usize, error: Error) {
        if self
            .failure
            .as_ref()
            .is_none_or(|(first, _)| index < *first)
        {
            self.failure = Some((index, error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_folded_in_order() {
        let items: Vec<u64> = (0..40).collect();
        for workers in [
            Workers::single(),
            Workers::new(1).unwrap(),
            Workers::new(3).unwrap(),
        ] {
            let order = workers
                .fold(
                    &items,
                    Vec::new(),
                    |&item| {
                        std::thread::sleep(std::time::Duration::from_micros((item * 7) % 5 * 100));
                        Ok(item)
                    },
                    Vec::push,
                )
                .unwrap();
            assert_eq!(order, items);
        }
    }

    #[test]
    fn a_failure_is_reported() {
        let workers = Workers::new(2).unwrap();
        let failed = workers.fold(
            &[1, 2, 3],
            (),
            |&item| match item {
                2 => Err(Error::NoGradient {
                    tensor: "two".into(),
                }),
                _ => Ok(()),
            },
            |(), ()| (),
        );
        assert!(matches!(failed, Err(Error::NoGradient { .. })));
    }
}
