//! `tracking_shuffled_objects`: who has the ball after the swaps? After the subtask of the same name of
//! BIG-Bench Hard (Suzgun et al. 2022).

use super::scene::{ORDINALS, Puzzle, Scene};
use super::vocabulary::{COLORS, NAMES};
use crate::random::Random;

/// Three people, three balls, some swaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShuffledObjects {
    people: [usize; 3],
    colors: [usize; 3],
    /// Positions in `people` that swap.
    swaps: Vec<(usize, usize)>,
    /// Position in `colors` of the ball that is asked for.
    queried: usize,
}

impl ShuffledObjects {
    /// A problem of `swaps` swaps.
    pub(super) fn generate(swaps: u32, random: &mut Random) -> Self {
        let people = random.distinct(3, NAMES.len());
        let colors = random.distinct(3, COLORS.len());
        let swaps = (0..swaps)
            .map(|_| {
                let pair = random.distinct(2, 3);
                (pair[0], pair[1])
            })
            .collect();
        Self {
            people: [people[0], people[1], people[2]],
            colors: [colors[0], colors[1], colors[2]],
            swaps,
            queried: random.below(3),
        }
    }

    fn name(&self, position: usize) -> &'static str {
        NAMES[self.people[position]]
    }
}

impl Puzzle for ShuffledObjects {
    fn kind(&self) -> &'static str {
        "tracking_shuffled_objects"
    }

    fn difficulty(&self) -> u32 {
        self.swaps.len() as u32
    }

    fn canonical(&self) -> String {
        let owners: String = (0..3)
            .map(|position| format!(" {}:{}", self.name(position), COLORS[self.colors[position]]))
            .collect();
        let swaps: String = self
            .swaps
            .iter()
            .map(|&(left, right)| format!(" {}/{}", self.name(left), self.name(right)))
            .collect();
        format!(
            "shuffled{owners}{swaps} {}?",
            COLORS[self.colors[self.queried]]
        )
    }

    fn scene(&self) -> Scene {
        let mut sentences: Vec<String> = (0..3)
            .map(|position| {
                format!(
                    "{} has the {} ball.",
                    self.name(position),
                    COLORS[self.colors[position]]
                )
            })
            .collect();
        let mut holder = self.queried;
        let queried = COLORS[self.colors[self.queried]];
        let mut steps = vec![format!("{queried}: {}.", self.name(holder))];
        for (&(left, right), ordinal) in self.swaps.iter().zip(ORDINALS) {
            if holder == left {
                holder = right;
            } else if holder == right {
                holder = left;
            }
            let pair = format!("{ordinal} {} and {}", self.name(left), self.name(right));
            sentences.push(format!("{pair} swap balls."));
            steps.push(format!("{pair}: {}.", self.name(holder)));
        }
        Scene {
            sentences,
            question: format!(
                "Who has the {} ball now?",
                COLORS[self.colors[self.queried]]
            ),
            answer: self.name(holder).to_owned(),
            steps,
            question_first: false,
        }
    }

    fn people(&self) -> Vec<usize> {
        self.people.to_vec()
    }

    fn things(&self) -> Vec<usize> {
        Vec::new()
    }
}
