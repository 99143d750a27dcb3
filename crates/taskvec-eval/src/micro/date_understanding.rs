//! `date_understanding`: which day of the week is it after some days on and back? After the subtask of the same name
//! of BIG-Bench Hard (Suzgun et al. 2022).

use super::scene::{ORDINALS, Puzzle, Scene};
use super::vocabulary::DAYS;
use crate::random::Random;

/// A day of the week and some ways from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DateUnderstanding {
    start: usize,
    /// How many days, and whether on or back.
    moves: Vec<(usize, bool)>,
}

impl DateUnderstanding {
    /// A problem of so many moves.
    pub(super) fn generate(moves: u32, random: &mut Random) -> Self {
        let start = random.below(DAYS.len());
        let moves = (0..moves)
            .map(|_| (random.between(2, 5) as usize, random.coin()))
            .collect();
        Self { start, moves }
    }
}

impl Puzzle for DateUnderstanding {
    fn kind(&self) -> &'static str {
        "date_understanding"
    }

    fn difficulty(&self) -> u32 {
        self.moves.len() as u32
    }

    fn canonical(&self) -> String {
        let moves: String = self
            .moves
            .iter()
            .map(|&(days, on)| format!("{}{days}", if on { '+' } else { '-' }))
            .collect();
        format!("date {}{moves}", DAYS[self.start])
    }

    fn scene(&self) -> Scene {
        let mut day = self.start;
        let mut sentences = vec![format!("The day is {}.", DAYS[day])];
        let mut steps = Vec::new();
        for (&(days, on), ordinal) in self.moves.iter().zip(ORDINALS) {
            let before = day;
            let forward = if on { days } else { DAYS.len() - days };
            day = (day + forward) % DAYS.len();
            let way = if on { "on" } else { "back" };
            sentences.push(format!("{ordinal} go {days} days {way}."));
            // The state is written out again beside the move, as in an equation: what follows is read off three words.
            steps.push(format!(
                "{ordinal} {} {days} {way}: {}.",
                DAYS[before], DAYS[day]
            ));
        }
        Scene {
            sentences,
            question: "What day is it now?".to_owned(),
            answer: DAYS[day].to_owned(),
            steps,
            question_first: false,
        }
    }
}
