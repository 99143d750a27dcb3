//! Products of two factors, a block at a time.
//!
//! Elements are computed in double precision, the components summed in their order, and rounded once to a single. So an
//! element is the same whatever block it is computed in.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::execute::FloatFormat;
use crate::safetensors::Location;

/// Numbers of a factor that are held together: 4 MiB of doubles.
const STRIP_NUMBERS: usize = 1 << 19;
/// Strips that are held: what threads work on at one time is nearly always one tensor or two.
const STRIPS_HELD: usize = 4;
/// Numbers of the other factor that are held at one time.
const LEFT_NUMBERS: usize = 1 << 15;
/// Columns that are summed together: the sums then stay in the first-level cache.
const BLOCK: usize = 512;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Fills a buffer with bytes of a tensor from an offset on.
pub(crate) type ReadAt<'a> = &'a dyn Fn(Location, u64, &mut [u8]) -> Result<()>;

/// One factor as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    pub(super) location: Location,
    pub(super) format: FloatFormat,
    /// Whether it is stored `[rank, length]`, not `[length, rank]`.
    pub(super) rank_first: bool,
}

/// `scale · left·right`, a matrix of `rows` by `columns`.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) rank: usize,
    pub(super) scale: f64,
    /// `rows` by `rank`, in the sense of the product.
    pub(super) left: Factor,
    /// `rank` by `columns`, in the sense of the product.
    pub(super) right: Factor,
}

/// `rank` rows of some columns of a right factor, as doubles, behind the product and the column that they begin at.
type Strip = (u64, usize, Arc<Vec<f64>>);

/// Strips of right factors that were used last.
#[derive(Debug, Default)]
pub(super) struct Strips(Mutex<VecDeque<Strip>>);

impl Product {
    /// Computes elements `first`, `first + 1`, … as little-endian singles.
    pub(super) fn fill(
        &self,
        first: u64,
        output: &mut [u8],
        strips: &Strips,
        read: ReadAt<'_>,
    ) -> Result<()> {
        let (output, _) = output.as_chunks_mut::<4>();
        let columns = self.columns as u64;
        if columns == 0 || output.is_empty() {
            return Ok(());
        }
        let end = first + output.len() as u64;
        let rows = (first / columns) as usize..end.div_ceil(columns) as usize;
        let width = (STRIP_NUMBERS / self.rank).clamp(1, self.columns);
        let group = (LEFT_NUMBERS / self.rank).max(1);
        let mut begin = 0;
        while begin < self.columns {
            let strip = begin..self.columns.min(begin + width);
            begin = strip.end;
            let mut right: Option<Arc<Vec<f64>>> = None;
            let mut row = rows.start;
            while row < rows.end {
                let some = row..rows.end.min(row + group);
                row = some.end;
                let mut left: Option<Vec<f64>> = None;
                for row in some.clone() {
                    let start = row as u64 * columns;
                    // Columns of this row that are wanted, and lie in the strip.
                    let from = first.saturating_sub(start).max(strip.start as u64) as usize;
                    let to = (end - start).min(strip.end as u64) as usize;
                    if from >= to {
                        continue;
                    }
                    let right = match &right {
                        Some(right) => right,
                        None => right.insert(self.strip(strip.clone(), strips, read)?),
                    };
                    let left = match &left {
                        Some(left) => left,
                        None => left.insert(self.left.lines(
                            some.clone(),
                            self.rows,
                            self.rank,
                            read,
                        )?),
                    };
                    let left = &left[(row - some.start) * self.rank..][..self.rank];
                    let place = (start + from as u64 - first) as usize;
                    multiply(
                        left,
                        right,
                        strip.len(),
                        from - strip.start..to - strip.start,
                        self.scale,
                        &mut output[place..][..to - from],
                    );
                }
            }
        }
        Ok(())
    }

    /// Columns of the right factor, one row for each component.
    fn strip(
        &self,
        columns: Range<usize>,
        strips: &Strips,
        read: ReadAt<'_>,
    ) -> Result<Arc<Vec<f64>>> {
        let key = (self.right.location.begin, columns.start);
        let held = || strips.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, known)) = held()
            .iter()
            .find(|(begin, start, _)| (*begin, *start) == key)
        {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(
            self.right
                .components(columns, self.columns, self.rank, read)?,
        );
        let mut held = held();
        held.push_back((key.0, key.1, Arc::clone(&made)));
        if held.len() > STRIPS_HELD {
            held.pop_front();
        }
        Ok(made)
    }
}

impl Factor {
    /// Lines of the factor, `rank` numbers for each.
    fn lines(
        &self,
        lines: Range<usize>,
        length: usize,
        rank: usize,
        read: ReadAt<'_>,
    ) -> Result<Vec<f64>> {
        if self.rank_first {
            let components = self.components(lines.clone(), length, rank, read)?;
            Ok(transposed(&components, lines.len(), rank))
        } else {
            let mut numbers = vec![0.0; lines.len() * rank];
            self.numbers(lines.start * rank, &mut numbers, read)?;
            Ok(numbers)
        }
    }

    /// The same numbers, those of one component after those of another.
    fn components(
        &self,
        lines: Range<usize>,
        length: usize,
        rank: usize,
        read: ReadAt<'_>,
    ) -> Result<Vec<f64>> {
        if self.rank_first {
            let mut numbers = vec![0.0; lines.len() * rank];
            for (component, numbers) in numbers.chunks_exact_mut(lines.len()).enumerate() {
                self.numbers(component * length + lines.start, numbers, read)?;
            }
            Ok(numbers)
        } else {
            let stored = self.lines(lines.clone(), length, rank, read)?;
            Ok(transposed(&stored, rank, lines.len()))
        }
    }

    /// Stored numbers from the one at `first` on, widened.
    fn numbers(&self, first: usize, output: &mut [f64], read: ReadAt<'_>) -> Result<()> {
        let size = self.format.size_bytes();
        let mut bytes = vec![0; READ_BYTES.min(output.len() * size)];
        let mut offset = first as u64 * size as u64;
        for numbers in output.chunks_mut(READ_BYTES / size) {
            let bytes = &mut bytes[..numbers.len() * size];
            read(self.location, offset, bytes)?;
            for (index, number) in numbers.iter_mut().enumerate() {
                *number = self.format.to_f64(self.format.load(bytes, index));
            }
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

/// `columns` by `rows` from `rows` by `columns`, where `columns` is how many there will be in a row.
fn transposed(numbers: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut turned = vec![0.0; numbers.len()];
    for (index, number) in numbers.iter().enumerate() {
        let (column, row) = (index / rows, index % rows);
        turned[row * columns + column] = *number;
    }
    turned
}

/// One row's elements in `columns` of a strip that is `width` wide.
fn multiply(
    left: &[f64],
    right: &[f64],
    width: usize,
    columns: Range<usize>,
    scale: f64,
    output: &mut [[u8; 4]],
) {
    let mut block = [0.0f64; BLOCK];
    for (index, stored) in output.chunks_mut(BLOCK).enumerate() {
        let begin = columns.start + index * BLOCK;
        let sums = &mut block[..stored.len()];
        sums.fill(0.0);
        let component = |number: usize| &right[number * width + begin..][..stored.len()];
        let (fours, rest) = left.as_chunks::<4>();
        for (four, [a, b, c, d]) in fours.iter().enumerate() {
            let [first, second, third, fourth] =
                [0, 1, 2, 3].map(|place| component(4 * four + place));
            // One after the other, as if there were one at a time: a sum depends on its order.
            for (place, sum) in sums.iter_mut().enumerate() {
                let mut total = *sum + a * first[place];
                total += b * second[place];
                total += c * third[place];
                *sum = total + d * fourth[place];
            }
        }
        for (place, factor) in rest.iter().enumerate() {
            let component = component(4 * fours.len() + place);
            for (sum, number) in sums.iter_mut().zip(component) {
                *sum += factor * number;
            }
        }
        for (sum, stored) in sums.iter().zip(stored) {
            *stored = ((sum * scale) as f32).to_le_bytes();
        }
    }
}
