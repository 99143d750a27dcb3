//! The closed vocabulary of the micro world.
//!
//! Words are short and few because the micro tokenizer is: a word that is one token is a word that a
//! model of under a million parameters can learn. Tests hold every generated text to this list.

/// The grammatical gender that decides the pronoun, so that a pronoun never points at a bystander.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gender {
    Feminine,
    Masculine,
}

impl Gender {
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Feminine => "she",
            Self::Masculine => "he",
        }
    }

    pub(super) fn subject_capital(self) -> &'static str {
        match self {
            Self::Feminine => "She",
            Self::Masculine => "He",
        }
    }

    pub(super) fn object(self) -> &'static str {
        match self {
            Self::Feminine => "her",
            Self::Masculine => "him",
        }
    }
}

/// People; the first half is feminine, the second masculine.
pub const NAMES: [&str; 16] = [
    "Mia", "Ann", "Eva", "Zoe", "Ida", "Kim", "Amy", "Liz", "Ben", "Cal", "Tom", "Sam", "Leo",
    "Max", "Ray", "Dan",
];

pub(super) fn gender(name: usize) -> Gender {
    if name < NAMES.len() / 2 {
        Gender::Feminine
    } else {
        Gender::Masculine
    }
}

/// Things that can be had and counted.
pub const THINGS: [&str; 12] = [
    "apples", "pears", "plums", "figs", "cats", "dogs", "hens", "cows", "balls", "kites", "dolls",
    "drums",
];

/// Days of the week, in order.
pub const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The cups that a ball is hidden under.
pub const CUPS: [&str; 3] = ["left", "middle", "right"];

/// Colours of wild animals.
pub const COLORS: [&str; 6] = ["red", "blue", "green", "white", "black", "pink"];

/// Wild animals of the science facts.
pub const WILD_ANIMALS: [&str; 8] = ["otter", "crow", "fox", "owl", "bear", "frog", "goat", "bee"];

/// Where they live.
pub const PLACES: [&str; 6] = ["river", "forest", "desert", "cave", "lake", "barn"];

/// What they eat.
pub const FOODS: [&str; 6] = ["corn", "fish", "grass", "seeds", "nuts", "leaves"];

/// Every other word that any template uses, as it is written, capital and small forms apart.
pub const OTHER_WORDS: [&str; 117] = [
    "A",
    "Answer",
    "Are",
    "Bye",
    "Can",
    "Count",
    "Do",
    "Fifth",
    "First",
    "Fourth",
    "Good",
    "Have",
    "He",
    "Hello",
    "Hi",
    "How",
    "I",
    "My",
    "Now",
    "Q",
    "Question",
    "Say",
    "Second",
    "She",
    "Sleep",
    "Start",
    "Thank",
    "Thanks",
    "The",
    "Then",
    "Third",
    "What",
    "Where",
    "Who",
    "Yes",
    "You",
    "Your",
    "a",
    "am",
    "and",
    "answer",
    "are",
    "as",
    "away",
    "back",
    "ball",
    "buys",
    "can",
    "code",
    "color",
    "count",
    "cup",
    "day",
    "days",
    "def",
    "do",
    "does",
    "eat",
    "eats",
    "f",
    "finds",
    "for",
    "friend",
    "from",
    "gets",
    "gives",
    "go",
    "good",
    "has",
    "have",
    "he",
    "hello",
    "help",
    "her",
    "him",
    "in",
    "is",
    "it",
    "like",
    "likes",
    "live",
    "lives",
    "loses",
    "many",
    "me",
    "minus",
    "model",
    "more",
    "morning",
    "my",
    "name",
    "night",
    "now",
    "on",
    "plus",
    "result",
    "return",
    "sells",
    "she",
    "small",
    "swap",
    "the",
    "times",
    "to",
    "today",
    "too",
    "under",
    "welcome",
    "well",
    "with",
    "words",
    "x",
    "you",
    "your",
    "assistant",
    "user",
    "system",
];

/// Whether `word` is written so somewhere in the micro world.
#[must_use]
pub fn is_word(word: &str) -> bool {
    NAMES.contains(&word)
        || THINGS.contains(&word)
        || DAYS.contains(&word)
        || CUPS.contains(&word)
        || COLORS.contains(&word)
        || WILD_ANIMALS.contains(&word)
        || PLACES.contains(&word)
        || FOODS.contains(&word)
        || OTHER_WORDS.contains(&word)
}

/// Whether `word` is a person of the micro world.
#[must_use]
pub fn is_name(word: &str) -> bool {
    NAMES.contains(&word)
}

/// Every word once, in a fixed order.
pub fn words() -> impl Iterator<Item = &'static str> {
    NAMES
        .into_iter()
        .chain(THINGS)
        .chain(DAYS)
        .chain(CUPS)
        .chain(COLORS)
        .chain(WILD_ANIMALS)
        .chain(PLACES)
        .chain(FOODS)
        .chain(OTHER_WORDS)
}
