//! Spreading sequences over batches and batches over threads.

use std::sync::mpsc;

use crate::Result;
use crate::train::parallel::Workers;

/// Cuts items into batches of neighbours in length: little padding, and none that changes a result.
///
/// `lengths` are in positions, prompt and answer; `room` is how many positions of keys and values a
/// batch may hold. Long ones first, so that the last batches to finish are short.
pub(super) fn batches(lengths: &[usize], batch_size: usize, room: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|index| (std::cmp::Reverse(lengths[*index]), *index));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut longest = 0;
    for index in order {
        match batches.last_mut() {
            Some(batch)
                if batch.len() < batch_size.max(1) && longest * (batch.len() + 1) <= room =>
            {
                batch.push(index);
            }
            _ => {
                longest = lengths[index];
                batches.push(vec![index]);
            }
        }
    }
    batches
}

/// Runs `work` on every batch, on as many threads as there are workers, and hands what they send to
/// `receive` on the caller's thread as it comes.
pub(super) fn run<B: Sync, R: Send>(
    workers: &Workers,
    batches: &[B],
    work: impl Fn(&B, &mut dyn FnMut(R)) -> Result<()> + Sync,
    mut receive: impl FnMut(R),
) -> Result<()> {
    let work = &work;
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        let job = scope.spawn(move || {
            let send = |batch: &B| {
                // A receiver that is gone has panicked, and the scope will say so.
                work(batch, &mut |result| drop(sender.send(result)))
            };
            workers.fold(batches, (), send, |(), ()| ())
        });
        receiver.into_iter().for_each(&mut receive);
        job.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_length_share_a_batch() {
        let lengths = [5, 9, 1, 9, 7];
        assert_eq!(
            batches(&lengths, 2, 1000),
            [vec![1, 3], vec![4, 0], vec![2]]
        );
        assert_eq!(batches(&lengths, 64, 18), [vec![1, 3], vec![4, 0], vec![2]]);
        assert_eq!(batches(&lengths, 64, 0).len(), 5);
        assert!(batches(&[], 4, 10).is_empty());
    }

    #[test]
    fn every_result_arrives_and_the_first_failure_is_told() {
        for workers in [Workers::single(), Workers::new(3).unwrap()] {
            let mut seen = Vec::new();
            let work = |batch: &usize, send: &mut dyn FnMut(usize)| {
                send(*batch);
                send(*batch + 100);
                Ok(())
            };
            run(&workers, &[1, 2, 3, 4], work, |result| seen.push(result)).unwrap();
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3, 4, 101, 102, 103, 104]);
            let failing = |batch: &usize, _: &mut dyn FnMut(usize)| match batch {
                3 => Err(crate::Error::EmptyPrompt { index: 3 }),
                _ => Ok(()),
            };
            assert!(run(&workers, &[1, 2, 3, 4], failing, |_| ()).is_err());
        }
    }
}
