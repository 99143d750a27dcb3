//! English numbers in words, as the harness finds them and the package word2number reads them.

use regex::Regex;
use std::sync::LazyLock;

/// The harness' own pattern with its branch resets (`(?|…)`, which bind no group here) written plainly. That a
/// lone `six`, `seven` or `nine` is not found is the original's.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    let units = "zero|one|two|three|four|five|(?:twen|thir|for|fif|six|seven|nine)";
    let rest = "|ten|eleven|twelve|fourteen|hundred|thousand|(?:m|b|tr)illion";
    // Python's white space has the information separators too.
    let space = r"[[\s\x1c-\x1f]--[\r\n]]";
    let first = format!("{units}(?:teen|ty)|eight(?:|een|y){rest}");
    let middle = format!("{units}(?:|teen|ty)|eight(?:een|y){rest}");
    let last = format!("{units}(?:teen|ty)|eight(?:een|y){rest}");
    let pattern = format!("(?:(?:{first})(?:{middle}|{space}|,|and|&)+)?(?:{last})");
    Regex::new(&pattern).expect("the pattern is fixed and tested")
});

/// Every number in words, leftmost first; `text` is in small letters.
pub(super) fn find_all(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    NUMBER
        .find_iter(text)
        .map(|found| found.as_str())
        .collect::<Vec<_>>()
        .into_iter()
}

fn value(word: &str) -> Option<u64> {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    if let Some(small) = SMALL.iter().position(|&known| known == word) {
        return Some(small as u64);
    }
    if let Some(tens) = TENS.iter().position(|&known| known == word) {
        return Some(20 + 10 * tens as u64);
    }
    match word {
        "hundred" => Some(100),
        "thousand" => Some(1_000),
        "million" => Some(1_000_000),
        "billion" => Some(1_000_000_000),
        _ => None,
    }
}

/// word2number's rule for up to four words below a thousand, odd where there are more; `None` for no word.
fn formation(words: &[u64]) -> Option<u64> {
    Some(match *words {
        [a, b, c, d] => a * b + c + d,
        [a, b, c] => a * b + c,
        [a, b] if a == 100 || b == 100 => a * b,
        [a, b] => a + b,
        [first, ..] => first,
        [] => return None,
    })
}

/// The number that the words stand for, by word2number 1.1; `None` where it raises an error.
pub(super) fn parse(text: &str) -> Option<u64> {
    let words: Vec<u64> = text
        .split(super::python::is_space)
        .filter_map(value)
        .collect();
    let place = |scale: u64| words.iter().position(|&word| word == scale);
    let count = |scale: u64| words.iter().filter(|&&word| word == scale).count();
    let scales = [1_000_000_000, 1_000_000, 1_000];
    if words.is_empty() || scales.iter().any(|&scale| count(scale) > 1) {
        return None;
    }
    if let [word] = words[..] {
        return Some(word);
    }
    let places: Vec<usize> = scales.iter().filter_map(|&scale| place(scale)).collect();
    if !places.is_sorted() {
        return None;
    }
    let mut sum = 0;
    let mut start = 0;
    for scale in scales {
        if let Some(end) = place(scale) {
            sum += formation(&words[start..end])? * scale;
            start = end + 1;
        }
    }
    if start < words.len() {
        sum += formation(&words[start..])?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_and_read_as_the_original_does() {
        let first = |text: &str| find_all(text).next().and_then(parse);
        assert_eq!(first("there are twelve apples"), Some(12));
        assert_eq!(first("two hundred and five"), Some(205));
        assert_eq!(
            first("one thousand two hundred and thirty four"),
            Some(1234)
        );
        assert_eq!(first("i see seven of them"), None);
        assert_eq!(
            find_all("nine, ten and eleven.").collect::<Vec<_>>(),
            ["ten and eleven"]
        );
        assert_eq!(parse("ten and eleven"), Some(21));
        // What makes word2number raise: no word that it knows, a scale twice, one out of order, one first.
        for text in [
            "trillion",
            "twentyfive",
            "thousand one thousand",
            "thousand million",
            "million two",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("one two three four five"), Some(1));
    }
}
