//! `tracking_shuffled_objects`: under which cup is the ball after the swaps? After the subtask of the same name of
//! BIG-Bench Hard (Suzgun et al. 2022), as fairs play it.

use super::scene::{ORDINALS, Puzzle, Scene};
use super::vocabulary::CUPS;
use crate::random::Random;

/// Three cups, a ball, some swaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShuffledObjects {
    start: usize,
    swaps: Vec<(usize, usize)>,
}

impl ShuffledObjects {
    /// A problem of so many swaps.
    pub(super) fn generate(swaps: u32, random: &mut Random) -> Self {
        let start = random.below(CUPS.len());
        let swaps = (0..swaps)
            .map(|_| {
                let pair = random.distinct(2, CUPS.len());
                (pair[0], pair[1])
            })
            .collect();
        Self { start, swaps }
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
        let swaps: String = self
            .swaps
            .iter()
            .map(|&(left, right)| format!(" {}/{}", CUPS[left], CUPS[right]))
            .collect();
        format!("shuffled {}{swaps}", CUPS[self.start])
    }

    fn scene(&self) -> Scene {
        let mut place = self.start;
        let mut sentences = vec![format!("The ball is under the {} cup.", CUPS[place])];
        let mut steps = Vec::new();
        for (&(left, right), ordinal) in self.swaps.iter().zip(ORDINALS) {
            let before = place;
            if place == left {
                place = right;
            } else if place == right {
                place = left;
            }
            let pair = format!("{} and {}", CUPS[left], CUPS[right]);
            sentences.push(format!("{ordinal} {pair} swap."));
            // The state is written out again beside the swap, as in an equation: what follows is read off four words.
            steps.push(format!(
                "{ordinal} {}, {pair}: {}.",
                CUPS[before], CUPS[place]
            ));
        }
        Scene {
            sentences,
            question: "Where is the ball now?".to_owned(),
            answer: CUPS[place].to_owned(),
            steps,
            question_first: false,
        }
    }
}
