//! The optimiser: which point is measured next.
//!
//! Coordinate pattern search, the exploratory moves of Hooke and Jeeves 1961, "“Direct search” solution of numerical and
//! statistical problems" (J. ACM 8(2), 212–229), surveyed as compass search by Kolda, Lewis and Torczon 2003,
//! "Optimization by direct search" (SIAM Review 45(3), 385–482): from the best point so far, each coordinate by itself is
//! moved a step up or down; what is better is kept; when no move of that length is better, the step is halved.
//!
//! Why this one: the number of right answers is a step function without a gradient, a point costs minutes, and there are a
//! dozen coordinates and a few dozen evaluations, too few to learn a model of the function from. Every move changes one
//! coefficient, so that the path reads as a list of small experiments; nothing is drawn at random, so that it is the same
//! every time. All points answer the same questions (common random numbers), which takes the difficulty of the questions
//! out of every comparison.
//!
//! The order of the path:
//!
//! 1. every coefficient at the start, then every coefficient at 0, the model without the vector;
//! 2. from the start, each group alone at 0: what leaving it out changes is the group's importance;
//! 3. one coefficient for all groups, by the same search in one dimension: what coefficients by group have to beat;
//! 4. from the best so far, rounds over the groups, those first whose leaving out changed most, and in the direction that
//!    leaving out spoke for.
//!
//! Better is more right answers, and of equals what is nearer the start: more cannot be seen in so few questions. A point
//! that was measured costs nothing when the path comes by again.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use taskvec_core::Coefficient;

/// A coefficient for each group.
pub type Place = Vec<Coefficient>;

/// Where to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// How many groups there are.
    pub groups: usize,
    /// The coefficient of every group at the start.
    pub start: Coefficient,
    /// The first step.
    pub step: Coefficient,
    /// How often it is halved.
    pub halvings: u32,
    /// How many points may be measured.
    pub budget: usize,
}

/// Why a point is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Every coefficient at the start.
    Start,
    /// Every coefficient at 0.
    Without,
    /// The group of that index at 0, the others at the start.
    LeaveOut(usize),
    /// Another coefficient for all groups.
    Uniform,
    /// The group of that index is moved.
    Move(usize),
}

/// A point that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Where it is.
    pub place: Place,
    /// Why it was measured.
    pub stage: Stage,
    /// Its right answers.
    pub right: u64,
}

/// A path and what it came to; indices are into `trials`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// The points, in the order in which they were measured.
    pub trials: Vec<Trial>,
    /// Every coefficient at 0, if the budget reached it.
    pub without: Option<usize>,
    /// For each group the point without it, as far as the budget reached.
    pub left_out: Vec<Option<usize>>,
    /// The best of the points that have one coefficient for all groups.
    pub uniform: usize,
    /// The best of all.
    pub found: usize,
    /// Whether the path ended because no smallest step was better, and not because the budget was spent.
    pub is_settled: bool,
}

/// The budget is spent, or measuring failed.
enum Stop<E> {
    Budget,
    Failed(E),
}

impl<E> From<E> for Stop<E> {
    fn from(error: E) -> Self {
        Self::Failed(error)
    }
}

/// Walks the path. `measure` says how many questions a point has right; the same point must always have the same number.
///
/// # Errors
///
/// Those of `measure`.
pub fn walk<E>(
    space: &Space,
    measure: &mut dyn FnMut(&Place, Stage) -> Result<u64, E>,
) -> Result<Walk, E> {
    let mut walker = Walker {
        space,
        measure,
        trials: Vec::new(),
        known: BTreeMap::new(),
    };
    let is_settled = match walker.path() {
        Ok(()) => true,
        Err(Stop::Budget) => false,
        Err(Stop::Failed(error)) => return Err(error),
    };
    let at = |place: &Place| walker.known.get(place).copied();
    let best = |is_wanted: &dyn Fn(&Trial) -> bool| {
        let wanted = (0..walker.trials.len()).filter(|&index| is_wanted(&walker.trials[index]));
        // Of equals the first.
        wanted
            .rev()
            .max_by(|&one, &other| walker.compare(one, other))
            .unwrap_or(0)
    };
    Ok(Walk {
        without: at(&space.uniform(&Coefficient::zero())),
        left_out: (0..space.groups)
            .map(|group| at(&space.without(group)))
            .collect(),
        uniform: best(&|trial| trial.place.windows(2).all(|pair| pair[0] == pair[1])),
        found: best(&|_| true),
        trials: walker.trials,
        is_settled,
    })
}

impl Space {
    fn uniform(&self, value: &Coefficient) -> Place {
        vec![value.clone(); self.groups]
    }

    fn without(&self, group: usize) -> Place {
        let mut place = self.uniform(&self.start);
        place[group] = Coefficient::zero();
        place
    }

    /// Square of the Euclidean distance to the start.
    fn distance(&self, place: &Place) -> Coefficient {
        place.iter().fold(Coefficient::zero(), |sum, value| {
            let difference = value - &self.start;
            &sum + &(&difference * &difference)
        })
    }
}

struct Walker<'a, E> {
    space: &'a Space,
    measure: &'a mut dyn FnMut(&Place, Stage) -> Result<u64, E>,
    trials: Vec<Trial>,
    known: BTreeMap<Place, usize>,
}

impl<E> Walker<'_, E> {
    fn path(&mut self) -> Result<(), Stop<E>> {
        let space = self.space;
        let start = self.visit(space.uniform(&space.start), Stage::Start)?;
        let without = self.visit(space.uniform(&Coefficient::zero()), Stage::Without)?;
        let mut changes: Vec<i128> = Vec::new();
        for group in 0..space.groups {
            let left_out = self.visit(space.without(group), Stage::LeaveOut(group))?;
            let right = |index: usize| i128::from(self.trials[index].right);
            changes.push(right(left_out) - right(start));
        }
        let better = if self.compare(without, start) == Ordering::Greater {
            without
        } else {
            start
        };
        let every: Vec<usize> = (0..space.groups).collect();
        let together = [(every, Stage::Uniform, true)];
        self.descend(better, &together)?;

        let mut order: Vec<usize> = (0..space.groups).collect();
        order.sort_by_key(|&group| (-changes[group].abs(), group));
        let alone: Vec<(Vec<usize>, Stage, bool)> = order
            .into_iter()
            .map(|group| (vec![group], Stage::Move(group), changes[group] <= 0))
            .collect();
        let best = (0..self.trials.len())
            .rev()
            .max_by(|&one, &other| self.compare(one, other))
            .unwrap_or(start);
        self.descend(best, &alone)
    }

    /// Moves of ever smaller steps. Each move is of some groups together, and says whether it is tried upwards first.
    fn descend(&mut self, from: usize, moves: &[(Vec<usize>, Stage, bool)]) -> Result<(), Stop<E>> {
        let mut best = from;
        let mut step = self.space.step.clone();
        let half = Coefficient::ratio(1, 2).unwrap_or_else(Coefficient::one);
        for _ in 0..=self.space.halvings {
            loop {
                let before = best;
                for (groups, stage, is_upwards) in moves {
                    let signed = if *is_upwards {
                        step.clone()
                    } else {
                        -step.clone()
                    };
                    for signed in [signed.clone(), -signed] {
                        let mut place = self.trials[best].place.clone();
                        for &group in groups {
                            place[group] = &place[group] + &signed;
                        }
                        let tried = self.visit(place, *stage)?;
                        if self.compare(tried, best) == Ordering::Greater {
                            best = tried;
                            break;
                        }
                    }
                }
                if best == before {
                    break;
                }
            }
            step = &step * &half;
        }
        Ok(())
    }

    fn visit(&mut self, place: Place, stage: Stage) -> Result<usize, Stop<E>> {
        if let Some(&index) = self.known.get(&place) {
            return Ok(index);
        }
        if self.trials.len() >= self.space.budget {
            return Err(Stop::Budget);
        }
        let right = (self.measure)(&place, stage)?;
        let index = self.trials.len();
        self.known.insert(place.clone(), index);
        self.trials.push(Trial {
            place,
            stage,
            right,
        });
        Ok(index)
    }

    /// Greater is better.
    fn compare(&self, one: usize, other: usize) -> Ordering {
        let [one, other] = [one, other].map(|index| &self.trials[index]);
        one.right.cmp(&other.right).then_with(|| {
            let [one, other] = [one, other].map(|trial| self.space.distance(&trial.place));
            other.cmp(&one)
        })
    }
}
