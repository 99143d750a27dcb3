//! In which order points are measured: so that a sweep that is stopped early has seen all of its range.

/// The order that halves the largest gap first: the ends, the middle, the quarters, …
///
/// Every index below `n` occurs once.
#[must_use]
pub fn bisecting(n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    let levels = levels(n);
    order.sort_by_key(|&index| (levels[index], index));
    order
}

/// The points of a grid whose axes have these lengths, as one index for each axis: corners first, then whatever needs
/// one more halving of some axis.
#[must_use]
pub fn grid_order(lengths: &[usize]) -> Vec<Vec<usize>> {
    let axes: Vec<Vec<u32>> = lengths.iter().map(|&length| levels(length)).collect();
    let mut points: Vec<Vec<usize>> = vec![Vec::new()];
    for &length in lengths {
        points = points
            .iter()
            .flat_map(|point| {
                (0..length).map(|index| {
                    let mut point = point.clone();
                    point.push(index);
                    point
                })
            })
            .collect();
    }
    points.sort_by_key(|point| {
        let levels = point.iter().zip(&axes).map(|(&index, axis)| axis[index]);
        let deepest = levels.clone().max().unwrap_or(0);
        (deepest, levels.sum::<u32>(), point.clone())
    });
    points
}

/// How many halvings it takes until an index is reached.
fn levels(n: usize) -> Vec<u32> {
    let mut levels = vec![0; n];
    let mut gaps = vec![(0, n.saturating_sub(1))];
    let mut level = 0;
    while !gaps.is_empty() {
        level += 1;
        gaps = gaps
            .into_iter()
            .filter(|(low, high)| high - low > 1)
            .flat_map(|(low, high)| {
                let middle = usize::midpoint(low, high);
                levels[middle] = level;
                [(low, middle), (middle, high)]
            })
            .collect();
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_then_middles() {
        assert_eq!(bisecting(9), [0, 8, 4, 2, 6, 1, 3, 5, 7]);
        assert_eq!(bisecting(0), [0usize; 0]);
        assert_eq!(bisecting(1), [0]);
        assert_eq!(bisecting(2), [0, 1]);
        assert_eq!(bisecting(4), [0, 3, 1, 2]);
    }

    #[test]
    fn every_point_of_a_grid_once_and_corners_first() {
        let order = grid_order(&[3, 5]);
        assert_eq!(order[..4], [[0, 0], [0, 4], [2, 0], [2, 4]]);
        let distinct: std::collections::BTreeSet<_> = order.iter().collect();
        assert_eq!((order.len(), distinct.len()), (15, 15));
        assert_eq!(grid_order(&[3]), [[0], [2], [1]]);
    }

    #[test]
    fn the_largest_gap_halves() {
        // After the ends and 2^k − 1 more points of 2^m + 1, no gap is longer than 2^(m − k).
        let order = bisecting(65);
        for k in 0..=6u32 {
            let mut seen = order[..1 + 2usize.pow(k)].to_vec();
            seen.sort_unstable();
            let gap = seen.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert_eq!(gap, 64 >> k);
        }
    }
}
