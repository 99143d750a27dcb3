//! The metric `exact_match` and what it ignores.

/// What is deleted from prediction and reference before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ignore {
    /// Nothing, not even case.
    Nothing,
    /// Case, `,`, `\$`, `(?s).*#### ` and `\.$`, in this order.
    Gsm,
    /// Case, `\.$`, `,`, newline, backslash and `"`, in this order.
    Bbh,
}

impl Ignore {
    fn normalize(self, text: &str) -> String {
        // The harness keeps texts in NumPy arrays of fixed width, which lose NULs at the end after every
        // step, and what a letter gains by lower-casing.
        let trimmed = |text: &str| text.trim_end_matches('\0').to_owned();
        let without = |text: String, what: char| trimmed(&text.replace(what, ""));
        let text = match self {
            Self::Nothing => return trimmed(text),
            Self::Gsm => {
                let text = without(without(text.to_owned(), ','), '$');
                let text = text.rsplit("#### ").next().unwrap_or_default();
                trimmed(&without_final_stop(text))
            }
            Self::Bbh => {
                let text = trimmed(&without_final_stop(text));
                [',', '\n', '\\', '"'].into_iter().fold(text, without)
            }
        };
        let width = text.chars().count();
        trimmed(&text.to_lowercase().chars().take(width).collect::<String>())
    }
}

/// `re.sub(r"\.$", "", text)`: `$` is the end and, too, the place before a newline at the end.
fn without_final_stop(text: &str) -> String {
    if let Some(rest) = text.strip_suffix(".\n") {
        return format!("{rest}\n");
    }
    text.strip_suffix('.').unwrap_or(text).to_owned()
}

/// Whether prediction and reference are the same text but for what is ignored.
pub(super) fn exact_match(prediction: &str, reference: &str, ignore: Ignore) -> bool {
    ignore.normalize(prediction) == ignore.normalize(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_and_what_is_not() {
        let gsm = |prediction: &str| exact_match(prediction, "So 9+9=18.\n#### 1,018", Ignore::Gsm);
        assert!(gsm("1018") && gsm("1,018.") && gsm("$1018") && gsm("x #### 1018"));
        assert!(!gsm("1018.00") && !gsm("1018..") && !gsm(" 1018") && !gsm("[invalid]"));
        let bbh = |prediction: &str| exact_match(prediction, "(A)", Ignore::Bbh);
        assert!(bbh("(a).") && bbh("\"(A)\"\n") && bbh("(A).\n") && bbh("(\\A),"));
        assert!(bbh("(A)\0") && !bbh("(A).\0"));
        assert!(!bbh(" (A)") && !bbh("(A)..") && !bbh("(A). "));
        assert!(!exact_match("(a)", "(A)", Ignore::Nothing));
        assert!(exact_match("(A)\0\0", "(A)", Ignore::Nothing));
    }
}
