//! `object_counting`: how many things of one category? After the subtask of the same name of BIG-Bench
//! Hard (Suzgun et al. 2022).

use super::scene::{Puzzle, Scene};
use super::vocabulary::{CATEGORIES, thing};
use crate::random::Random;

/// A list of things of which only one category counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectCounting {
    category: usize,
    /// Thing and count.
    mentions: Vec<(usize, u32)>,
}

impl ObjectCounting {
    /// A list of `mentions` entries (3 to 5), at least two of the category asked for and one of another.
    pub(super) fn generate(mentions: u32, random: &mut Random) -> Self {
        let category = random.below(CATEGORIES.len());
        let counted = random.between(2, (mentions - 1).min(4)) as usize;
        let mut things: Vec<usize> = random
            .distinct(counted, 4)
            .into_iter()
            .map(|member| category * 4 + member)
            .collect();
        let others = random.distinct(mentions as usize - counted, (CATEGORIES.len() - 1) * 4);
        // Indices at or past the category asked for are shifted over it.
        things.extend(others.into_iter().map(|other| {
            if other >= category * 4 {
                other + 4
            } else {
                other
            }
        }));
        random.shuffle(&mut things);
        let mentions = things
            .into_iter()
            .map(|thing| (thing, random.between(2, 9)))
            .collect();
        Self { category, mentions }
    }
}

impl Puzzle for ObjectCounting {
    fn kind(&self) -> &'static str {
        "object_counting"
    }

    fn difficulty(&self) -> u32 {
        self.mentions.len() as u32
    }

    /// The sorted list: the same list in another order is the same problem, and stays in its split.
    fn canonical(&self) -> String {
        let mut mentions = self.mentions.clone();
        mentions.sort_unstable();
        let list: String = mentions
            .iter()
            .map(|&(index, count)| format!(" {count} {}", thing(index)))
            .collect();
        format!("counting{list} {}?", CATEGORIES[self.category].0)
    }

    fn scene(&self) -> Scene {
        let mut total = 0;
        let mut steps = Vec::new();
        let counted = |&&(index, _): &&(usize, u32)| index / 4 == self.category;
        for &(index, count) in self.mentions.iter().filter(counted) {
            let sum = match total {
                0 => String::new(),
                _ => format!(": {total}+{count}={}", total + count),
            };
            steps.push(format!("{count} {}{sum}.", thing(index)));
            total += count;
        }
        Scene {
            sentences: self
                .mentions
                .iter()
                .map(|&(index, count)| format!("I have {count} {}.", thing(index)))
                .collect(),
            question: format!("How many {} do I have?", CATEGORIES[self.category].0),
            answer: total.to_string(),
            steps,
            question_first: false,
        }
    }

    /// The list itself in another order; the steps follow the new order.
    fn reordered(&self, random: &mut Random) -> Scene {
        let mut other = self.clone();
        random.shuffle(&mut other.mentions);
        if other.mentions == self.mentions {
            other.mentions.rotate_left(1);
        }
        other.scene()
    }

    fn people(&self) -> Vec<usize> {
        Vec::new()
    }

    fn things(&self) -> Vec<usize> {
        self.mentions.iter().map(|&(index, _)| index).collect()
    }
}
