//! Examples, their order, and the rectangles they are cut into.
//!
//! The examples of an optimiser step depend on seed and step alone, so a run resumes at any step without a
//! stored generator state, and neither the micro-batch size nor the number of slices changes what is learned.

use taskvec_eval::random::Random;

/// One token sequence to learn from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// The tokens, at least two.
    pub tokens: Vec<u32>,
    /// Whether predicting each token carries loss; as long as `tokens`. The first token is never predicted.
    pub loss: Vec<bool>,
}

impl Example {
    /// Loss on every token.
    #[must_use]
    pub fn all(tokens: Vec<u32>) -> Self {
        let loss = vec![true; tokens.len()];
        Self { tokens, loss }
    }

    /// Loss on `completion` only.
    #[must_use]
    pub fn completion(prompt: &[u32], completion: &[u32]) -> Self {
        let tokens = [prompt, completion].concat();
        let loss = (0..tokens.len())
            .map(|index| index >= prompt.len())
            .collect();
        Self { tokens, loss }
    }

    /// Cuts the example to its first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.loss.truncate(length);
    }

    /// How many predictions carry loss.
    #[must_use]
    pub fn loss_tokens(&self) -> usize {
        self.loss.iter().skip(1).filter(|&&carries| carries).count()
    }
}

/// Some examples as one rectangle, padded on the right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// B.
    pub rows: usize,
    /// T: one less than the longest example, for the last token is only a target.
    pub columns: usize,
    /// Inputs `[B, T]`, row after row.
    pub tokens: Vec<i32>,
    /// Index in B·T of each position whose prediction carries loss, ascending.
    pub positions: Vec<i32>,
    /// The token that belongs there; as long as `positions`.
    pub targets: Vec<i32>,
    /// The row each belongs to; as long as `positions`.
    pub owners: Vec<usize>,
    /// Tokens of the examples, padding not counted.
    pub token_count: usize,
}

/// What right padding is filled with: any token will do, nothing real attends to it.
const PADDING: i32 = 0;

impl Batch {
    /// One row for each example, in order.
    #[must_use]
    pub fn new<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Self {
        let examples: Vec<&Example> = examples.into_iter().collect();
        let longest = examples.iter().map(|example| example.tokens.len()).max();
        let columns = longest.unwrap_or(0).saturating_sub(1);
        let mut batch = Self {
            rows: examples.len(),
            columns,
            tokens: vec![PADDING; examples.len() * columns],
            ..Self::default()
        };
        for (row, example) in examples.iter().enumerate() {
            batch.token_count += example.tokens.len();
            let pairs = example
                .tokens
                .iter()
                .zip(example.tokens.iter().zip(&example.loss).skip(1));
            for (column, (&input, (&target, &carries))) in pairs.enumerate() {
                let position = row * columns + column;
                batch.tokens[position] = input as i32;
                if carries {
                    batch.positions.push(position as i32);
                    batch.targets.push(target as i32);
                    batch.owners.push(row);
                }
            }
        }
        batch
    }
}

/// Cuts one optimiser step's examples into `micro_batches` × `slices` groups of indices.
///
/// Micro-batches take neighbours in length, which limits padding; the slices of one micro-batch are dealt
/// like cards, which gives parallel workers equal work. Empty groups are left out.
#[must_use]
pub fn cut(lengths: &[usize], micro_batches: usize, slices: usize) -> Vec<Vec<Vec<usize>>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&index| lengths[index]);
    let count = order.len();
    let (micro_batches, slices) = (micro_batches.max(1), slices.max(1));
    (0..micro_batches)
        .map(|part| &order[count * part / micro_batches..count * (part + 1) / micro_batches])
        .map(|members| {
            (0..slices)
                .map(|slice| {
                    members
                        .iter()
                        .copied()
                        .skip(slice)
                        .step_by(slices)
                        .collect()
                })
                .filter(|slice: &Vec<usize>| !slice.is_empty())
                .collect()
        })
        .filter(|slices: &Vec<Vec<usize>>| !slices.is_empty())
        .collect()
}

/// Batches among which neighbours in length are sought, as `group_by_length` of transformers does.
const BATCHES_PER_POOL: usize = 50;

/// The order in which examples are learned from: every example once an epoch.
#[derive(Debug, Clone)]
pub struct Order {
    lengths: Vec<usize>,
    batch: usize,
    seed: u64,
    epoch: Option<(u64, Vec<Vec<usize>>)>,
}

impl Order {
    /// An order of examples of these lengths, `batch` of them a step.
    #[must_use]
    pub fn new(lengths: Vec<usize>, batch: usize, seed: u64) -> Self {
        Self {
            lengths,
            batch: batch.max(1),
            seed,
            epoch: None,
        }
    }

    /// Steps in one epoch; the last one of an epoch may be smaller.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.lengths.len().div_ceil(self.batch)
    }

    /// The indices of the examples of optimiser step `step`, counted from 0. Empty where there are none.
    pub fn step(&mut self, step: u64) -> &[usize] {
        let per_epoch = self.steps_per_epoch() as u64;
        if per_epoch == 0 {
            return &[];
        }
        let (epoch, within) = (step / per_epoch, (step % per_epoch) as usize);
        if self
            .epoch
            .as_ref()
            .is_none_or(|(cached, _)| *cached != epoch)
        {
            self.epoch = Some((epoch, self.shuffled(epoch)));
        }
        self.epoch
            .as_ref()
            .map_or(&[], |(_, batches)| &batches[within])
    }

    /// Shuffled, then sorted by length within pools, so that a batch holds neighbours; then the batches
    /// are shuffled again, the short last one excepted.
    fn shuffled(&self, epoch: u64) -> Vec<Vec<usize>> {
        let mut random = Random::derive(&[self.seed, epoch]);
        let mut indices: Vec<usize> = (0..self.lengths.len()).collect();
        random.shuffle(&mut indices);
        for pool in indices.chunks_mut(self.batch * BATCHES_PER_POOL) {
            pool.sort_by_key(|&index| self.lengths[index]);
        }
        let mut batches: Vec<Vec<usize>> =
            indices.chunks(self.batch).map(<[usize]>::to_vec).collect();
        let full = self.lengths.len() / self.batch;
        random.shuffle(&mut batches[..full]);
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_by_hand() {
        let examples = [Example::completion(&[5, 6], &[7]), Example::all(vec![8, 9])];
        let batch = Batch::new(&examples);
        assert_eq!((batch.rows, batch.columns), (2, 2));
        assert_eq!(batch.tokens, [5, 6, 8, 0]);
        assert_eq!(batch.positions, [1, 2]);
        assert_eq!(batch.targets, [7, 9]);
        assert_eq!(batch.owners, [0, 1]);
        assert_eq!(batch.token_count, 5);
        assert_eq!(examples[0].loss_tokens(), 1);
        assert_eq!(examples[1].loss_tokens(), 1);
        assert_eq!(Batch::new(&[]), Batch::default());
    }

    #[test]
    fn the_first_token_never_carries_loss() {
        let example = Example::completion(&[], &[3, 4]);
        assert_eq!(example.loss_tokens(), 1);
        assert_eq!(Batch::new([&example]).targets, [4]);
    }

    #[test]
    fn cutting_loses_nothing() {
        let lengths = [5, 1, 4, 2, 3, 9, 7];
        for (micro_batches, slices) in [(1, 1), (2, 2), (3, 4), (9, 9)] {
            let cuts = cut(&lengths, micro_batches, slices);
            let mut all: Vec<usize> = cuts.iter().flatten().flatten().copied().collect();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5, 6]);
        }
        assert_eq!(
            cut(&lengths, 2, 2),
            [vec![vec![1, 4], vec![3]], vec![vec![2, 6], vec![0, 5]]]
        );
        assert!(cut(&[], 2, 2).is_empty());
    }

    #[test]
    fn an_epoch_holds_every_example_once_and_depends_on_the_seed() {
        let lengths: Vec<usize> = (0..103).map(|index| 10 + (index * 37) % 50).collect();
        let epoch = |seed, epoch: u64| {
            let mut order = Order::new(lengths.clone(), 10, seed);
            assert_eq!(order.steps_per_epoch(), 11);
            (epoch * 11..(epoch + 1) * 11)
                .map(|step| order.step(step).to_vec())
                .collect::<Vec<_>>()
        };
        let first = epoch(1, 0);
        let mut all = first.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        assert_eq!(first, epoch(1, 0));
        assert_ne!(first, epoch(1, 1));
        assert_ne!(first, epoch(2, 0));
        // Any step alone is the same step.
        let mut order = Order::new(lengths.clone(), 10, 1);
        assert_eq!(order.step(15), epoch(1, 1)[4]);
        assert_eq!(order.step(3), first[3]);
        // Neighbours in length: padding is a small share where a plain shuffle would pad by a half.
        let padded: usize = first
            .iter()
            .map(|batch| batch.len() * batch.iter().map(|&index| lengths[index]).max().unwrap())
            .sum();
        let real: usize = lengths.iter().sum();
        assert!(padded * 10 < real * 13, "{padded} of {real}");
    }
}
