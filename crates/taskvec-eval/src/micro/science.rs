//! `micro-sciq`: reading facts, multiple choice. After SciQ (Welbl, Liu and Gardner 2017), in the form of
//! the evaluation harness: support, question, choices scored by log-likelihood, the right one last.
//!
//! Which animal lives where is drawn anew for every item, so there is nothing to know and all to read.

use super::vocabulary::{COLORS, FOODS, PLACES, WILD_ANIMALS};
use crate::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Lives,
    Eats,
    Looks,
}

impl Relation {
    const ALL: [Self; 3] = [Self::Lives, Self::Eats, Self::Looks];

    fn values(self) -> &'static [&'static str; 6] {
        match self {
            Self::Lives => &PLACES,
            Self::Eats => &FOODS,
            Self::Looks => &COLORS,
        }
    }

    fn fact(self, animal: &str, value: &str) -> String {
        match self {
            Self::Lives => format!("The {animal} lives in the {value}."),
            Self::Eats => format!("The {animal} eats {value}."),
            Self::Looks => format!("The {animal} is {value}."),
        }
    }

    fn question(self, animal: &str) -> String {
        match self {
            Self::Lives => format!("Where does the {animal} live?"),
            Self::Eats => format!("What does the {animal} eat?"),
            Self::Looks => format!("What color is the {animal}?"),
        }
    }
}

/// Facts, and a question on one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Science {
    relation: Relation,
    pub(super) facts: Vec<String>,
    animal: &'static str,
    pub(super) choices: Vec<String>,
}

impl Science {
    /// A support of `count` facts (3 or 4): two of the relation asked for, about different animals.
    pub(super) fn generate(count: u32, random: &mut Random) -> Self {
        let relation = Relation::ALL[random.below(3)];
        let animals = random.distinct(count as usize, WILD_ANIMALS.len());
        // Four values: the first is right, the second stands in the support too, two are made up.
        let values = random.distinct(4, 6);
        let mut facts = vec![
            relation.fact(WILD_ANIMALS[animals[0]], relation.values()[values[0]]),
            relation.fact(WILD_ANIMALS[animals[1]], relation.values()[values[1]]),
        ];
        for &animal in &animals[2..] {
            let others: Vec<Relation> = Relation::ALL
                .into_iter()
                .filter(|&other| other != relation)
                .collect();
            let other = others[random.below(others.len())];
            facts.push(other.fact(WILD_ANIMALS[animal], other.values()[random.below(6)]));
        }
        random.shuffle(&mut facts);
        let mut wrong = [values[1], values[2], values[3]];
        random.shuffle(&mut wrong);
        let choices = wrong
            .into_iter()
            .chain([values[0]])
            .map(|value| relation.values()[value].to_owned())
            .collect();
        Self {
            relation,
            facts,
            animal: WILD_ANIMALS[animals[0]],
            choices,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.relation {
            Relation::Lives => "place",
            Relation::Eats => "food",
            Relation::Looks => "color",
        }
    }

    /// The set of facts and what is asked: neither their order nor the wrong choices make a new problem.
    pub(super) fn canonical(&self) -> String {
        let mut facts = self.facts.clone();
        facts.sort_unstable();
        format!("science {} {}", facts.join(" "), self.question())
    }

    pub(super) fn question(&self) -> String {
        self.relation.question(self.animal)
    }
}
