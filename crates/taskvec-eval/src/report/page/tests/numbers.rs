//! Every number comes from the answers that the page carries.

use super::*;

#[test]
fn every_number_is_recomputed_from_the_samples_in_the_page() {
    for page in [study(), swept(), searched()] {
        let data: PageData = serde_json::from_value(embedded(&page.to_html(), "data")).unwrap();
        let recomputed = recompute(&data);
        assert_eq!(recomputed.len(), data.report.rows.len());
        for (row, expected) in data.report.rows.iter().zip(&recomputed) {
            let found = serde_json::to_value(row).unwrap();
            for (field, expected) in expected {
                let found = found.pointer(field).and_then(serde_json::Value::as_f64);
                let found = found.unwrap_or_else(|| panic!("{field} of {}", row.model));
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{field} of {}: {found}, {expected}",
                    row.model
                );
            }
        }
        for row in &data.robustness {
            let counts = pairs(
                &data,
                (&row.model, &row.task, row.condition),
                (&row.model, &row.task, Condition::Clean),
            );
            let interval = newcombe_paired(counts, Z_95);
            assert_eq!(
                (row.change, row.ci_low, row.ci_high),
                (counts.difference(), interval.low, interval.high)
            );
            assert_eq!(row.n, counts.n());
        }
    }
}

type Place<'a> = (&'a str, &'a str, Condition);

/// A model's answers to a task under a condition, by question.
fn answers<'a>(
    data: &'a PageData,
    (model, task, condition): Place<'_>,
) -> BTreeMap<&'a str, &'a Answer> {
    let index = data
        .models
        .iter()
        .position(|known| known.label == model)
        .unwrap();
    let cell = data
        .cells
        .iter()
        .find(|cell| cell.task == task && cell.condition == condition);
    let questions = cell.unwrap().questions.iter();
    questions
        .filter_map(|question| Some((question.id.as_str(), question.answers[index].as_ref()?)))
        .collect()
}

fn pairs(data: &PageData, one: Place<'_>, other: Place<'_>) -> PairedCounts {
    let (one, other) = (answers(data, one), answers(data, other));
    PairedCounts::count(
        one.iter()
            .map(|(id, answer)| (answer.correct, other[id].correct)),
    )
}

/// The numbers of each row, by their place in it.
fn recompute(data: &PageData) -> Vec<BTreeMap<&'static str, f64>> {
    let mut rows = Vec::new();
    for row in &data.report.rows {
        let place = (row.model.as_str(), row.task.as_str(), row.condition);
        let answers = answers(data, place);
        let count = |counted: &dyn Fn(&Answer) -> bool| {
            answers.values().filter(|answer| counted(answer)).count() as f64
        };
        let n = answers.len() as f64;
        let correct = count(&|answer| answer.correct);
        let interval = wilson(correct as u64, n as u64, Z_95);
        let tokens: usize = answers.values().map(|answer| answer.tokens).sum();
        let mut numbers = BTreeMap::from([
            ("/n", n),
            ("/correct", correct),
            ("/accuracy", correct / n),
            ("/ci_low", interval.low),
            ("/ci_high", interval.high),
            (
                "/flexible_accuracy",
                count(&|answer| answer.flexible_correct) / n,
            ),
            ("/mean_tokens", tokens as f64 / n),
            (
                "/truncated",
                count(&|answer| answer.finish == Some(Finish::Length)),
            ),
        ]);
        if let Some(baseline) = data
            .report
            .baseline
            .as_deref()
            .filter(|label| *label != row.model)
        {
            let counts = pairs(data, place, (baseline, place.1, place.2));
            let interval = newcombe_paired(counts, Z_95);
            numbers.extend([
                ("/difference/value", counts.difference()),
                ("/difference/ci_low", interval.low),
                ("/difference/ci_high", interval.high),
                ("/difference/gained", counts.only_first as f64),
                ("/difference/lost", counts.only_second as f64),
                ("/difference/p_value", mcnemar_exact(counts)),
            ]);
        }
        rows.push(numbers);
    }
    let p_values: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.get("/difference/p_value").copied())
        .collect();
    let mut adjusted = holm(&p_values).into_iter();
    for row in &mut rows {
        if row.contains_key("/difference/p_value") {
            row.insert("/difference/p_value_adjusted", adjusted.next().unwrap());
        }
    }
    rows
}

#[test]
fn every_number_shown_is_the_datas() {
    for page in [study(), swept()] {
        let html = page.to_html();
        let data = embedded(&html, "data");
        let count = numbers(&html);
        assert!(count > 80, "{count} numbers");
        // Digits outside are those of names, of the method and of counts of things that the page lists.
        let mut words: Vec<String> = Vec::new();
        for word in prose(&html).split_whitespace() {
            let word = word.trim_matches(['.', ',', ';', ':', '`']);
            if word.bytes().any(|byte| byte.is_ascii_digit()) && !words.contains(&word.to_owned()) {
                words.push(word.to_owned());
            }
        }
        let is_explained = |word: &str| {
            let data: PageData = serde_json::from_value(data.clone()).unwrap();
            let answers: u64 = data.report.rows.iter().map(|row| row.n).sum();
            let mut known = vec![
                data.models.len().to_string(),
                data.report.cells().len().to_string(),
                answers.to_string(),
            ];
            known.extend(data.cells.iter().flat_map(|cell| {
                [
                    cell.questions.len().to_string(),
                    cell.seed.to_string(),
                    cell.task_version.clone(),
                ]
            }));
            known.extend(data.sources.iter().map(|source| source.records.to_string()));
            known.extend(
                ["95", "0", "1", "0.05", "SHA-256", env!("CARGO_PKG_VERSION")].map(str::to_owned),
            );
            known.iter().any(|known| known == word)
        };
        let title = page.data().title.clone();
        words.retain(|word| !is_explained(word) && !title.contains(word.as_str()));
        assert_eq!(words, [""; 0], "numbers from nowhere");
    }
}
