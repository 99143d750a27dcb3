//! `micro-chat`: greetings and small instructions, scored by exact match. They teach the target model to
//! talk, and they are the task that a reasoning vector should leave alone.

use super::vocabulary::{COLORS, NAMES, THINGS};
use crate::random::Random;

/// Exchanges of one wording. Having no second one, they occur in training only.
const GREETINGS: [(&str, &str); 17] = [
    ("Hello!", "Hello! How can I help you today?"),
    ("Hi!", "Hi! How can I help you today?"),
    ("Good day!", "Good day! How can I help you?"),
    ("Good morning!", "Good morning! How are you?"),
    ("Good night!", "Good night! Sleep well."),
    ("How are you?", "I am well. How are you?"),
    ("Who are you?", "I am a small model."),
    ("What is your name?", "I am a small model."),
    ("What can you do?", "I can count and I can help you."),
    ("Can you help me?", "Yes, I can help you."),
    ("Can you count?", "Yes, I can count."),
    ("Are you well?", "Yes, I am well."),
    ("Thank you!", "You are welcome!"),
    ("Thanks!", "You are welcome!"),
    ("Bye!", "Bye! Have a good day."),
    ("Count to 3.", "1, 2, 3."),
    ("Count to 5.", "1, 2, 3, 4, 5."),
];

/// How many kinds of exchange have blanks to fill.
const TEMPLATES: usize = 13;

/// One exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) message: String,
    pub(super) reply: String,
    pub(super) is_greeting: bool,
}

impl Exchange {
    pub(super) fn greeting(random: &mut Random) -> Self {
        let (message, reply) = GREETINGS[random.below(GREETINGS.len())];
        Self {
            message: message.to_owned(),
            reply: reply.to_owned(),
            is_greeting: true,
        }
    }

    pub(super) fn instruction(random: &mut Random) -> Self {
        let template = random.below(TEMPLATES);
        let people = random.distinct(2, NAMES.len());
        let (name, friend) = (NAMES[people[0]], NAMES[people[1]]);
        let things = random.distinct(2, THINGS.len());
        let (first, second) = (THINGS[things[0]], THINGS[things[1]]);
        let colors = random.distinct(2, COLORS.len());
        let (color, other) = (COLORS[colors[0]], COLORS[colors[1]]);
        let count = random.between(2, 12);
        let from = random.between(1, 7);
        let (message, reply) = match template {
            0 => (
                format!("Hello, I am {name}."),
                format!("Hello {name}! How can I help you today?"),
            ),
            1 => (
                format!("Say hello to {name} and {friend}."),
                format!("Hello {name} and {friend}!"),
            ),
            2 => (
                format!("Say good night to {name}."),
                format!("Good night {name}! Sleep well."),
            ),
            3 => (
                format!("I am {name} and I like {first}."),
                format!("Hello {name}! I like {first} too."),
            ),
            4 => (
                format!("Do you like {first} and {second}?"),
                format!("Yes, I like {first} and {second}."),
            ),
            5 => (
                format!("Say the words {color} and {other}."),
                format!("The words are {color} and {other}."),
            ),
            6 => (
                format!("My friend is {name}."),
                format!("Say hello to {name} for me!"),
            ),
            7 => (
                format!("I have {count} {first}."),
                format!("Good! You have {count} {first}."),
            ),
            8 => (
                format!("My name is {name}. What is my name?"),
                format!("Your name is {name}."),
            ),
            9 => (
                format!("Who likes {first} and {second}?"),
                format!("I like {first} and {second}."),
            ),
            10 => (
                format!("{name} likes {color} {first}."),
                format!("I like {color} {first} too."),
            ),
            11 => (
                format!("Count from {from} to {}.", from + 2),
                format!("{from}, {}, {}.", from + 1, from + 2),
            ),
            _ => (
                format!("Say good morning to {name} and {friend}."),
                format!("Good morning {name} and {friend}!"),
            ),
        };
        Self {
            message,
            reply,
            is_greeting: false,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        if self.is_greeting {
            "greeting"
        } else {
            "instruction"
        }
    }

    pub(super) fn canonical(&self) -> String {
        format!("chat {}", self.message)
    }
}
