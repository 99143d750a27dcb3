//! Names near a misspelt one, for hints.

/// The candidates a writer of `wanted` may have meant, nearest first, at most three.
///
/// Near means an edit distance (insert, delete, replace, swap neighbours) of at most a third of the longer
/// name, ignoring case, or one name beginning with the other.
pub(crate) fn near_names<'a>(
    wanted: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| {
            let lower = candidate.to_lowercase();
            // A name ten times longer is no misspelling; the bound also keeps hostile names cheap.
            if lower.len() > 256 || wanted.len() > 256 {
                return None;
            }
            let distance = edit_distance(&wanted, &lower);
            let longer = wanted.chars().count().max(lower.chars().count());
            let prefix = wanted.len() >= 3 && lower.starts_with(&wanted)
                || lower.len() >= 3 && wanted.starts_with(&lower);
            (distance <= longer / 3 || prefix).then_some((distance, candidate))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// Optimal string alignment distance: Levenshtein's with swaps of neighbours.
fn edit_distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// `names` as the end of a question: "`a`, `b` or `c`".
pub(crate) fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [head @ .., tail] => {
            let head: Vec<String> = head.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{tail}`", head.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("grpo", "gpro"), 1);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }

    #[test]
    fn nearest_first_and_strangers_left_out() {
        let names = ["target", "taregt-sft", "grpo", "TARGET2", "x"];
        assert_eq!(near_names("targte", names), ["target", "TARGET2"]);
        assert!(near_names("zebra", names).is_empty());
        assert_eq!(
            near_names("qwen", ["qwen2.5-instruct"]),
            ["qwen2.5-instruct"]
        );
        assert_eq!(
            alternatives(&["a".into(), "b".into(), "c".into()]),
            "`a`, `b` or `c`"
        );
    }
}
