//! `README.md` of an output: the model card that the Hub shows.

use crate::checkpoint::CheckpointKind;
use crate::provenance::{InputRecord, Provenance};
use crate::reference::Reference;

/// Name of the card in an output directory.
pub(super) const CARD: &str = "README.md";

/// What `record` says, for people. Front matter is the Hub's model card metadata; `results` are lines of it, which end with a
/// line break.
pub(super) fn model_card(record: &Provenance, results: &str) -> String {
    let (what, is_model) = match record.kind {
        CheckpointKind::Model => ("model", true),
        CheckpointKind::Vector => ("vector", false),
    };
    let mut text = "---\n".to_owned();
    let parents: Vec<String> = record.inputs.iter().filter_map(repository).collect();
    if !parents.is_empty() {
        text.push_str("base_model:\n");
        parents
            .iter()
            .for_each(|parent| text.push_str(&format!("- {parent}\n")));
    }
    if is_model {
        text.push_str("library_name: transformers\n");
    }
    text.push_str("tags:\n- taskvec\n- merge\n- task-arithmetic\n");
    text.push_str(results);
    text.push_str(&format!(
        "---\n\n# A {what} made by arithmetic on weights\n\n\
         Every tensor of this {what} is the value of an expression over checkpoints:\n\n    {}\n\n\
         | in the expression | checkpoint | revision | weights |\n|---|---|---|---|\n",
        line(&record.expression)
    ));
    for input in &record.inputs {
        let bytes: u64 = input.files.iter().map(|file| file.bytes).sum();
        let revision = input.revision.as_deref().unwrap_or("–");
        text.push_str(&format!(
            "| {} | {} | {} | {bytes} bytes in {} |\n",
            code(&input.name),
            code(&input.reference),
            code(revision),
            match input.files.len() {
                1 => "1 file".to_owned(),
                count => format!("{count} files"),
            }
        ));
    }
    for (alias, name) in &record.aliases {
        text.push_str(&format!(
            "\n{} is another name of {}.\n",
            code(alias),
            code(name)
        ));
    }
    if let Some(rounding) = &record.rounding {
        text.push_str(&format!(
            "\nOf the change that the expression makes, {:.1} % survived being stored in this type; {:.1} % of the changed \
             weights were stored as if nothing had been added.\n",
            100.0 * rounding.survived,
            100.0 * rounding.vanished
        ));
    }
    text.push_str(&format!(
        "\nMade by taskvec {}. `taskvec.json` records what made it, and `taskvec verify` holds it against its parents.\n",
        record.taskvec
    ));
    text
}

/// The repository of a checkpoint that came from the Hub.
fn repository(input: &InputRecord) -> Option<String> {
    match input.reference.parse() {
        Ok(Reference::Hub { repository, .. }) => Some(repository),
        _ => None,
    }
}

/// On one line, whatever a path has in it.
fn line(text: &str) -> String {
    let is_break =
        |character: char| character.is_control() || "\u{2028}\u{2029}".contains(character);
    text.replace(is_break, " ")
}

/// As code in a table's cell, where Markdown and HTML read nothing else into it.
fn code(text: &str) -> String {
    let mut escaped = String::new();
    for character in line(text).chars() {
        match character {
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '$' => {
                escaped.push_str(&format!("&#{};", u32::from(character)));
            }
            _ => escaped.push(character),
        }
    }
    format!("<code>{escaped}</code>")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ContentHash;
    use crate::provenance::{FileRecord, PROVENANCE_SCHEMA, RoundingRecord};

    fn record(reference: &str) -> Provenance {
        Provenance {
            schema: PROVENANCE_SCHEMA,
            taskvec: "0.1.0".to_owned(),
            kind: CheckpointKind::Model,
            expression: format!("target + 0.5*\"{reference}\""),
            dtype: None,
            inputs: vec![InputRecord {
                name: "target".to_owned(),
                reference: reference.to_owned(),
                revision: None,
                files: vec![FileRecord {
                    name: "model.safetensors".to_owned(),
                    bytes: 12,
                    header_sha256: ContentHash::of(b""),
                    sha256: None,
                    read: None,
                }],
            }],
            aliases: BTreeMap::new(),
            flags: BTreeMap::new(),
            rounding: Some(RoundingRecord {
                lost: 0.1,
                survived: 0.844,
                vanished: 0.3,
                sampled: 0.02,
            }),
            outputs: Vec::new(),
        }
    }

    #[test]
    fn a_card_says_what_made_it_and_what_it_is_worth() {
        let card = model_card(&record("hf:org/name@main"), "model-index:\n- name: \"m\"\n");
        assert!(
            card.starts_with(
                "---\nbase_model:\n- org/name\nlibrary_name: transformers\ntags:\n- taskvec\n- merge\n\
                 - task-arithmetic\nmodel-index:\n- name: \"m\"\n---\n\n# A model"
            ),
            "{card}"
        );
        for part in [
            "\n    target + 0.5*",
            "84.4 % survived",
            "12 bytes in 1 file",
            "taskvec verify",
        ] {
            assert!(card.contains(part), "{part}: {card}");
        }
    }

    #[test]
    fn a_path_cannot_write_the_card() {
        let card = model_card(&record("./a`|<script>\n---\n# b"), "");
        assert!(!card.contains("base_model"), "{card}");
        assert!(
            card.contains("<code>./a&#96;&#124;&#60;script&#62; --- # b</code>"),
            "{card}"
        );
        // Its line breaks are gone: the front matter is the only one, and every heading is ours.
        assert_eq!(card.lines().filter(|line| *line == "---").count(), 2);
        assert_eq!(
            card.lines().filter(|line| line.starts_with("# ")).count(),
            1
        );
    }
}
