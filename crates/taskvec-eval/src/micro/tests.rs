//! Properties of the generators, over thousands of items.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const REASONING: [MicroTask; 3] = [MicroTask::Gsm, MicroTask::Bbh, MicroTask::Code];

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
}

/// Solves the clean text from nothing but the text.
fn solve(item: &Item) -> String {
    let text = &item.question;
    let sentences: Vec<&str> = text.split_inclusive(['.', '?']).map(str::trim).collect();
    let number = |sentence: &str| -> i64 {
        words_with_digits(sentence)
            .next()
            .expect("a number in the sentence")
            .parse()
            .expect("a number")
    };
    match item.kind {
        "word_problem" => {
            let mut value = 0;
            for sentence in sentences.iter().filter(|sentence| sentence.ends_with('.')) {
                value = match *sentence {
                    s if s.ends_with("more.") => value + number(s),
                    s if s.contains("times as many") => value * number(s),
                    s if ["gives away", "loses", "sells"]
                        .iter()
                        .any(|verb| s.contains(verb)) =>
                    {
                        value - number(s)
                    }
                    s => number(s),
                };
            }
            value.to_string()
        }
        "multistep_arithmetic" => {
            let mut value = 0;
            for sentence in sentences.iter().filter(|sentence| sentence.ends_with('.')) {
                value = match words_of(sentence).last().expect("words") {
                    "plus" => value + number(sentence),
                    "minus" => value - number(sentence),
                    "times" => value * number(sentence),
                    "with" => number(sentence),
                    _ => panic!("unread sentence `{sentence}`"),
                };
            }
            value.to_string()
        }
        "linear_function" => {
            let (mut factor, mut term) = (1, 0);
            for sentence in sentences.iter().filter(|sentence| sentence.ends_with('.')) {
                match words_of(sentence).last().expect("words") {
                    "plus" if sentence.starts_with("Start with x") => term = number(sentence),
                    "plus" => term += number(sentence),
                    "minus" => term -= number(sentence),
                    "times" => {
                        (factor, term) = (factor * number(sentence), term * number(sentence))
                    }
                    _ => panic!("unread sentence `{sentence}`"),
                }
            }
            let factor = if factor == 1 {
                String::new()
            } else {
                format!("{factor}*")
            };
            format!("def f(x): return {factor}x+{term}")
        }
        "date_understanding" => {
            let mut day = 0;
            for sentence in sentences.iter().filter(|sentence| sentence.ends_with('.')) {
                day = match words_of(sentence).last().expect("words") {
                    "on" => day + number(sentence),
                    "back" => day - number(sentence),
                    name => (vocabulary::DAYS.iter().position(|day| *day == name)).expect("a day")
                        as i64,
                };
            }
            vocabulary::DAYS[day.rem_euclid(7) as usize].to_owned()
        }
        "tracking_shuffled_objects" => {
            let mut cups = BTreeMap::from(vocabulary::CUPS.map(|cup| (cup, false)));
            for sentence in &sentences {
                let words: Vec<&str> = words_of(sentence).collect();
                match words[..] {
                    ["The", "ball", "is", "under", "the", cup, "cup"] => {
                        cups.insert(cup, true);
                    }
                    [_ordinal, left, "and", right, "swap"] => {
                        let (a, b) = (cups[left], cups[right]);
                        cups.insert(left, b);
                        cups.insert(right, a);
                    }
                    ["Where", "is", "the", "ball", "now"] => {}
                    _ => panic!("unread sentence `{sentence}`"),
                }
            }
            let (cup, _) = cups.iter().find(|(_, ball)| **ball).expect("a ball");
            (*cup).to_owned()
        }
        other => panic!("no solver for `{other}`"),
    }
}

fn words_with_digits(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_digit())
        .filter(|word| !word.is_empty())
}

fn sorted_numbers(text: &str) -> Vec<&str> {
    let mut numbers: Vec<&str> = words_with_digits(text).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn splits_do_not_overlap() {
    for task in MicroTask::ALL {
        let problems = |split, count| -> BTreeSet<String> {
            (0..count)
                .map(|index| task.generate(split, 11, index).canonical())
                .collect()
        };
        let (train, test) = (problems(Split::Train, 12_000), problems(Split::Test, 4_000));
        assert!(train.is_disjoint(&test), "{task}");
        // The texts themselves are disjoint too, which needs no trust in `canonical`.
        let texts = |split, count| -> BTreeSet<String> {
            (0..count)
                .map(|index| task.generate(split, 12, index))
                .map(|item| format!("{} {}", item.support, item.question))
                .collect()
        };
        assert!(
            texts(Split::Train, 6_000).is_disjoint(&texts(Split::Test, 2_000)),
            "{task}"
        );
    }
}

#[test]
fn answers_follow_from_the_text_alone() {
    for task in REASONING {
        for index in 0..3_000 {
            let item = task.generate(Split::Test, 5, index);
            assert_eq!(solve(&item), item.answer, "{}", item.question);
        }
    }
}

#[test]
fn written_steps_are_true_and_end_in_the_answer() {
    for index in 0..2_000 {
        let item = MicroTask::Gsm.generate(Split::Train, 6, index);
        let steps = item.steps.as_deref().expect("steps");
        assert!(steps.ends_with(&item.direct));
        let equations: Vec<&str> = steps
            .split(". ")
            .filter(|step| step.contains('='))
            .collect();
        assert_eq!(equations.len(), item.difficulty as usize, "{steps}");
        let mut previous = None;
        for equation in equations {
            let (left, right) = equation.split_once('=').expect("an equation");
            let place = left.find(['+', '-', '*']).expect("an operation");
            let (a, b): (i64, i64) = (
                left[..place].parse().expect("number"),
                left[place + 1..].parse().expect("number"),
            );
            let result = match &left[place..=place] {
                "+" => a + b,
                "-" => a - b,
                _ => a * b,
            };
            assert_eq!(result.to_string(), right);
            assert!((1..=30).contains(&result));
            assert!(previous.is_none_or(|value| value == a));
            previous = Some(result);
        }
        assert_eq!(previous.map(|value| value.to_string()), Some(item.answer));
    }
}

#[test]
fn steps_of_a_function_end_in_it() {
    for index in 0..500 {
        let item = MicroTask::Code.generate(Split::Train, 6, index);
        let steps = item.steps.as_deref().expect("steps");
        let (steps, answer) = steps.split_once(" The answer is ").expect("an answer");
        assert_eq!(steps.matches('.').count(), item.difficulty as usize);
        let (_, last) = steps.rsplit_once('=').expect("an equation");
        let sum = format!("x+{}", last.trim_end_matches('.'));
        assert!(answer.starts_with("def f(x): return "), "{answer}");
        assert!(answer.ends_with(&format!("{sum}.")), "{answer}");
        let test = item.test.expect("a test");
        assert_eq!(test.matches("assert candidate").count(), 4, "{test}");
    }
}

#[test]
fn tracked_steps_name_the_holder() {
    let item = (0..300)
        .map(|index| MicroTask::Bbh.generate(Split::Test, 1, index))
        .find(|item| item.kind == "tracking_shuffled_objects")
        .expect("a third of them");
    let steps = item.steps.expect("steps");
    assert_eq!(steps.matches(" and ").count(), item.difficulty as usize);
    let last = steps.rsplit(": ").next().expect("a step");
    assert_eq!(
        last,
        format!("{}. The answer is {}.", item.answer, item.answer)
    );
}

#[test]
fn kinds_difficulties_and_answers_are_balanced() {
    let mut kinds: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for index in 0..3_600 {
        let item = MicroTask::Bbh.generate(Split::Test, 2, index);
        *kinds.entry((item.kind, item.difficulty)).or_default() += 1;
        if item.kind == "tracking_shuffled_objects" {
            *answers.entry(item.answer).or_default() += 1;
        }
    }
    assert_eq!(kinds.len(), 3 + 3 + 3);
    assert!(kinds.values().all(|&count| count == 400), "{kinds:?}");
    assert!(
        answers.values().all(|count| (350..=450).contains(count)),
        "{answers:?}"
    );
    let operations: BTreeSet<u32> = (0..4)
        .map(|index| MicroTask::Gsm.generate(Split::Train, 2, index).difficulty)
        .collect();
    assert_eq!(operations, BTreeSet::from([1, 2, 3, 4]));
    let operations: BTreeSet<u32> = (0..9)
        .map(|index| MicroTask::Gsm.generate(Split::Test, 2, index).difficulty)
        .collect();
    assert_eq!(operations, BTreeSet::from([2, 3, 4]));
}

#[test]
fn the_vocabulary_is_closed_and_small() {
    let listed: Vec<&str> = vocabulary::words().collect();
    let unique: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed.len(), unique.len(), "a word is listed twice");
    assert!(listed.len() <= 200, "{} words", listed.len());
    let mut used: BTreeSet<String> = ["system", "user", "assistant"].map(str::to_owned).into();
    for task in MicroTask::ALL {
        for index in 0..6_000 {
            let item = task.generate(Split::Train, 3, index);
            let condition = if task.conditions().len() > 1 {
                Condition::Distractor
            } else {
                Condition::Clean
            };
            let text = item
                .with_condition(condition, 3)
                .expect("supported")
                .question;
            for solution in [Solution::Direct, Solution::StepByStep] {
                let base = format!("{} {text}{}", item.base_text(), item.solution(solution));
                used.extend(words_of(&base).map(str::to_owned));
            }
        }
    }
    let strange: Vec<&String> = used
        .iter()
        .filter(|word| !vocabulary::is_word(word))
        .collect();
    assert!(strange.is_empty(), "not in the vocabulary: {strange:?}");
    let idle: Vec<&&str> = unique
        .iter()
        .filter(|word| !used.contains(**word))
        .collect();
    assert!(idle.is_empty(), "never used: {idle:?}");
}

#[test]
fn sentences_are_short() {
    // Words, digits, marks, and the space before a number, which Qwen2's splitting makes a token of its own.
    let tokens = |sentence: &str| {
        let words = words_of(sentence).count();
        let marks = sentence
            .chars()
            .filter(|c| c.is_ascii_digit() || c.is_ascii_punctuation())
            .count();
        words + marks + words_with_digits(sentence).count()
    };
    for task in MicroTask::ALL {
        for index in 0..1_000 {
            let item = task.generate(Split::Train, 4, index);
            for sentence in item.question.split_inclusive(['.', '?', '!']) {
                assert!(tokens(sentence) <= 9, "{sentence}");
            }
        }
    }
}

#[test]
fn science_can_be_read_off_and_guessed_by_no_rule() {
    let mut in_support = 0;
    for index in 0..1_000 {
        let item = MicroTask::Sciq.generate(Split::Test, 8, index);
        assert_eq!(item.choices.len(), 4);
        assert_eq!(item.choices.last(), Some(&item.answer));
        let distinct: BTreeSet<&String> = item.choices.iter().collect();
        assert_eq!(distinct.len(), 4);
        let mentioned = |choice: &String| words_of(&item.support).any(|word| word == choice);
        assert!(mentioned(&item.answer));
        in_support += item.choices[..3]
            .iter()
            .filter(|choice| mentioned(choice))
            .count();
        assert_eq!(item.direct, format!(" {}", item.answer));
    }
    assert_eq!(
        in_support, 1_000,
        "one wrong choice of every item stands in the support"
    );
}

#[test]
fn items_are_reproducible_and_distinct() {
    for task in MicroTask::ALL {
        let item = task.generate(Split::Train, 9, 77);
        assert_eq!(item, task.generate(Split::Train, 9, 77));
        assert_eq!(item.id, format!("{task}/train/9/77"));
    }
    let texts: BTreeSet<String> = (0..300)
        .map(|index| MicroTask::Gsm.generate(Split::Test, 0, index).question)
        .collect();
    assert!(texts.len() > 295);
}

#[test]
fn only_reasoning_tasks_have_conditions() {
    for task in [MicroTask::Sciq, MicroTask::Chat] {
        let item = task.generate(Split::Test, 0, 0);
        assert_eq!(item.with_condition(Condition::Clean, 0), Some(item.clone()));
        assert_eq!(item.with_condition(Condition::Noise, 0), None);
    }
}

#[test]
fn the_corpus_holds_every_word_after_a_space() {
    let corpus = vocabulary_corpus(0).join("\n");
    for word in vocabulary::words() {
        assert!(corpus.contains(&format!(" {word}")), "{word}");
    }
}

proptest! {
    #[test]
    fn conditions_keep_numbers_names_and_the_answer(
        task in 0usize..3, index in 0u64..100_000, seed in any::<u64>(), which in 0usize..5,
    ) {
        let task = REASONING[task];
        let condition = Condition::ALL[which];
        let clean = task.generate(Split::Test, 1, index);
        let changed = clean.with_condition(condition, seed).expect("reasoning tasks have all conditions");
        prop_assert_eq!(&changed.answer, &clean.answer);
        prop_assert_eq!(&changed.direct, &clean.direct);
        prop_assert_eq!(&changed.id, &clean.id);
        prop_assert_eq!(changed.condition, condition);
        prop_assert_eq!(changed.with_condition(Condition::Clean, 0), Some(clean.clone()));
        prop_assert_eq!(clean.with_condition(condition, seed), Some(changed.clone()));

        let mut before: Vec<&str> = words_of(&clean.question).filter(|word| vocabulary::is_name(word)).collect();
        let mut after: Vec<&str> = words_of(&changed.question).filter(|word| vocabulary::is_name(word)).collect();
        before.sort_unstable();
        after.sort_unstable();
        if condition.distracts() {
            let stranger: Vec<&&str> = after.iter().filter(|name| !before.contains(name)).collect();
            prop_assert_eq!(stranger.len(), 1, "{}", changed.question);
            prop_assert_eq!(after.len(), before.len() + 1);
            prop_assert_eq!(sorted_numbers(&changed.question).len(), sorted_numbers(&clean.question).len() + 1);
        } else {
            prop_assert_eq!(after, before);
            prop_assert_eq!(sorted_numbers(&changed.question), sorted_numbers(&clean.question));
        }
        if condition == Condition::Clean {
            prop_assert_eq!(&changed.question, &clean.question);
        } else {
            prop_assert_ne!(&changed.question, &clean.question);
        }
        if condition.reorders() {
            let first = changed.question.find('?').expect("a question");
            prop_assert!(first < changed.question.find('.').expect("a story"));
        } else {
            prop_assert!(changed.question.ends_with('?'));
        }
        // The distractor never stands right before the question that ends the text.
        if condition == Condition::Distractor {
            let ending = |text: &str| text.rsplit(". ").take(2).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(ending(&changed.question), ending(&clean.question));
        }
    }
}
