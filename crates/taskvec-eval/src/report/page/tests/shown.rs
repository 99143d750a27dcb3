//! What pages show.

use super::*;

#[test]
fn a_study_is_shown_by_its_questions() {
    let page = study();
    let data = page.data();
    assert_eq!(data.title, "A study");
    assert_eq!(data.report.baseline.as_deref(), Some("target"));
    assert_eq!(data.models[data.headline_model].label, "target + 1.0 v");
    let titles: Vec<&str> = data.excerpts.iter().map(|it| it.title.as_str()).collect();
    assert_eq!(
        titles,
        ["Addition", "Subtraction", "Controls", "Attack", "Cost"]
    );
    let conclusion = data.report.conclusion.as_deref().unwrap();
    assert!(conclusion.contains("adding the vector"), "{conclusion}");
    for text in [page.to_html(), page.to_markdown()] {
        assert!(text.contains("What became of what should not change?"));
        let beginning = "On micro-gsm (n = 120), adding the vector (";
        assert!(
            conclusion.starts_with(beginning) && text.contains(beginning),
            "{conclusion}"
        );
    }
}

#[test]
fn figures_and_their_data_are_the_reports() {
    let page = study();
    let report: &Report = &page.data().report;
    for figure in page.figures() {
        assert!(
            figure.wide.starts_with("<svg ") && figure.narrow.starts_with("<svg "),
            "{}",
            figure.id
        );
        if !figure.id.starts_with("bars-") {
            continue;
        }
        for line in figure.csv.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let row = report
                .rows
                .iter()
                .find(|row| {
                    row.model == fields[0]
                        && row.task == fields[1]
                        && row.condition.name() == fields[2]
                })
                .unwrap();
            assert_eq!(fields[4].parse::<f64>().unwrap(), row.accuracy);
            let difference = row.difference.as_ref().map(|difference| difference.value);
            assert_eq!(fields[7].parse::<f64>().ok(), difference);
            for svg in [&figure.wide, &figure.narrow] {
                assert!(
                    svg.contains(&format!("\n{:.1}\n", 100.0 * row.accuracy)),
                    "{}",
                    figure.id
                );
            }
        }
    }
    let ids: std::collections::BTreeSet<String> =
        page.figures().into_iter().map(|figure| figure.id).collect();
    assert_eq!(ids.len(), page.figures().len());
    assert_eq!(ids.iter().filter(|id| id.starts_with("heat-")).count(), 3);
}

#[test]
fn a_sweep_becomes_curves_in_the_order_of_its_values() {
    let page = swept();
    assert_eq!(page.data().report.baseline.as_deref(), Some("a = 0, b = 0"));
    let data = page.data();
    assert_eq!(data.curves.len(), 3);
    for curve in &data.curves {
        let xs: Vec<f64> = curve.points.iter().map(|point| point.x).collect();
        assert_eq!(xs, [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5]);
        for point in &curve.points {
            let row = &data.report.rows[point.row];
            assert_eq!(row.model, label(point.x, 0.0));
            assert_eq!(
                (row.task.as_str(), row.condition),
                (curve.task.as_str(), curve.condition)
            );
        }
    }
    let figures = page.figures();
    let curves: Vec<&Figure> = figures
        .iter()
        .filter(|figure| figure.id.starts_with("curve-"))
        .collect();
    // Tasks share a sheet where the condition is one.
    let lines: Vec<usize> = curves
        .iter()
        .map(|figure| figure.csv.lines().count())
        .collect();
    assert_eq!(lines, [13, 7]);
}

#[test]
fn a_search_is_shown_by_group_and_measured_on_what_had_no_say() {
    let page = searched();
    let data = page.data();
    let found = &data.searches[0].outcome;
    // The headline is what was found, which other questions chose.
    let headline = &data.models[data.headline_model].label;
    assert_eq!(
        (headline, data.headline_is_best),
        (&found.found.model, false)
    );
    assert_eq!(data.report, found.report);
    let figures = page.figures();
    let figure = figures
        .iter()
        .find(|figure| figure.id == "importance-target-a-v")
        .unwrap();
    for (line, row) in figure.csv.lines().skip(1).zip(&found.importance) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[0], row.group.name);
        assert_eq!(fields[6].parse::<f64>().unwrap(), row.change.value);
        assert_eq!(fields[11], found.coefficient(&row.group).unwrap().text);
    }
    assert_eq!(figure.csv.lines().count(), 3);
    let html = page.to_html();
    for part in ["id=\"search\"", "layers.1.mlp", "one for all", &figure.id] {
        assert!(html.contains(part), "{part}");
    }
    // A group that the budget did not reach has a coefficient and no bar.
    let mut short = crate::search::tests::finished();
    short.0.outcome.importance.clear();
    let run = Run {
        search: Some(short.0),
        ..run("found/records.jsonl", short.1, None)
    };
    let page = Page::build(&[run], &PageOptions::default()).unwrap();
    assert!(
        page.figures()
            .iter()
            .all(|it| !it.id.starts_with("importance-"))
    );
    assert!(page.to_html().contains("layers.1.mlp"));
}

#[test]
fn a_grid_has_a_curve_for_each_value_of_the_other_variable() {
    let (sweep, records) = sweep(&[0.0, 1.0], &[0.0, 0.5]);
    let page = Page::build(&[run("s", records, Some(sweep))], &PageOptions::default()).unwrap();
    let held: Vec<&str> = page
        .data()
        .curves
        .iter()
        .map(|curve| curve.held.as_str())
        .collect();
    assert_eq!(
        held,
        ["b = 0", "b = 0.5", "b = 0", "b = 0.5", "b = 0", "b = 0.5"]
    );
}

#[test]
fn markdown_and_model_index() {
    let page = study();
    let markdown = page.to_markdown();
    assert!(markdown.starts_with("# A study\n\n| model "), "{markdown}");
    assert!(markdown.contains("## Under perturbation"));
    let index = page.to_model_index();
    let row = page
        .data()
        .report
        .row("target + 1.0 v", "micro-gsm", Condition::Clean)
        .unwrap();
    assert!(
        index.starts_with("model-index:\n- name: \"target + 1.0 v\"\n  results:\n  - task:\n"),
        "{index}"
    );
    assert!(index.contains(&format!("      value: {:?}\n", row.accuracy)));
    assert_eq!(index.matches("  - task:").count(), 3);
}

#[test]
fn a_search_in_markdown() {
    let page = searched();
    let markdown = page.to_markdown();
    let found = &page.data().searches[0].outcome;
    let (_, search) = markdown.split_once("## Search\n").unwrap();
    let (search, _) = search.split_once("## micro-gsm").unwrap_or((search, ""));
    let cells = |row: &str| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<Vec<String>> = search.lines().map(cells).collect();
    for row in &found.importance {
        let shown = rows.iter().find(|it| it[0] == row.group.name).unwrap();
        assert_eq!(shown[2], crate::report::render::points(row.change.value));
        assert_eq!(shown[5], found.coefficient(&row.group).unwrap().text);
    }
    let best = rows
        .iter()
        .find(|row| row.get(1).is_some_and(|it| it == "found"))
        .unwrap();
    assert_eq!(best[0], found.found.model);
    assert_eq!(best[3], format!("{:.1}", 100.0 * found.found.test));
    assert!(search.contains(&found.found.expression), "{search}");
    assert!(!study().to_markdown().contains("## Search"));
}

#[test]
fn what_is_missing_stands_before_any_number() {
    let (sweep, mut records) = sweep(&[-1.0, 0.0, 1.0], &[0.0]);
    // One point was not begun, another has some of its answers.
    records.retain(|record| record.model != label(1.0, 0.0));
    let mut kept = 0;
    records.retain(|record| {
        let is_cut = record.model == label(0.0, 0.0) && record.task == "micro-chat";
        kept += usize::from(is_cut);
        !is_cut || kept <= 7
    });
    let run = Run {
        torn: Some("the last line of `s` is not whole".to_owned()),
        ..run("s", records, Some(sweep))
    };
    let page = Page::build(&[run], &PageOptions::default()).unwrap();
    let [lacking] = page.data().unfinished.as_slice() else {
        panic!("{:?}", page.data().unfinished)
    };
    assert_eq!(
        (lacking.models, &lacking.unasked),
        (3, &vec![label(1.0, 0.0)])
    );
    let [gap] = lacking.gaps.as_slice() else {
        panic!("{:?}", lacking.gaps)
    };
    assert_eq!((gap.model.as_str(), gap.found), ("a = 0, b = 0", 7));
    let markdown = page.to_markdown();
    assert!(
        markdown.starts_with(
            "# target + a*v + b*w\n\n**Unfinished.** `s` is unfinished: 1 of 3 models have no answers (`a = 1, b = 0`); \
             `a = 0, b = 0` has 7 of "
        ),
        "{markdown}"
    );
    let html = page.to_html();
    assert!(numbers(&html) > 10);
    let place = |part: &str| html.find(part).unwrap_or_else(|| panic!("no {part}"));
    assert!(place("<strong>Unfinished.</strong>") < place("<section id=\"results\""));
    for text in [&html, &markdown] {
        assert!(text.contains("is not whole"));
    }
    // What is whole says nothing of the kind.
    assert!(!swept().to_html().contains("Unfinished."));
    assert!(!study().to_markdown().contains("Unfinished"));
    assert!(searched().data().unfinished.is_empty());
}

#[test]
fn commands_are_lines_to_paste() {
    let markdown = study().to_markdown();
    assert!(
        markdown.ends_with(
            "## To do it again\n\n```sh\ntaskvec eval 'target + 0.5*(grpo - sft)' --tasks micro-gsm\n```\n"
        ),
        "{markdown}"
    );
    let options = PageOptions {
        commands: vec!["echo '```'".to_owned()],
        ..PageOptions::default()
    };
    let page = Page::build(&[run("r", records("target", 0.5, 5), None)], &options).unwrap();
    assert!(page.to_markdown().contains("\n````sh\necho '```'\n````\n"));
}

#[test]
fn several_answers_have_pass_at_k() {
    let mut all = Vec::new();
    for (model, skill) in [("target", 0.4), ("tuned", 0.6)] {
        for sample in 0..3 {
            let mut own = records(model, skill - 0.1 * f64::from(sample), 40);
            own.retain(|record| record.task == "micro-gsm");
            own.iter_mut().for_each(|record| record.sample = sample);
            all.extend(own);
        }
    }
    let page = Page::build(&[run("r", all, None)], &PageOptions::default()).unwrap();
    let data = page.data();
    for row in &data.report.rows {
        assert_eq!((row.questions, row.n), (40, 120));
        // As the page's own answers have it: of three answers one is right where any is.
        let model = data
            .models
            .iter()
            .position(|it| it.label == row.model)
            .unwrap();
        let cell = data
            .cells
            .iter()
            .find(|it| it.condition == row.condition)
            .unwrap();
        let mut solved: BTreeMap<&str, bool> = BTreeMap::new();
        for question in &cell.questions {
            let answer = question.answers[model].as_ref().unwrap();
            *solved.entry(&question.id).or_default() |= answer.correct;
        }
        let share = solved.values().filter(|it| **it).count() as f64 / 40.0;
        let [one, three] = row.pass_at_k.as_slice() else {
            panic!("{:?}", row.pass_at_k)
        };
        assert_eq!((one.k, three.k), (1, 3));
        assert!((one.value - row.accuracy).abs() < 1e-12);
        assert!((three.value - share).abs() < 1e-12);
    }
    let html = page.to_html();
    assert!(numbers(&html) > 40 && html.contains("pass@3, %"));
    let markdown = page.to_markdown();
    assert!(markdown.contains(" pass@3 |") && markdown.contains("by bootstrap over questions"));
    assert!(page.to_model_index().contains("    - type: pass@3\n"));
    // Asked once, there is nothing to choose from.
    assert!(!study().to_markdown().contains("pass@"));
    assert!(!study().to_html().contains("pass@"));
}

#[test]
fn a_record_in_two_files_counts_once() {
    let all = records("target", 0.5, 20);
    let twice = [run("one", all.clone(), None), run("two", all.clone(), None)];
    let page = Page::build(&twice, &PageOptions::default()).unwrap();
    assert_eq!(page.data().report.rows[0].n, 20);
}

#[test]
fn models_asked_different_questions_are_shown_without_differences() {
    let mut all = records("target", 0.5, 40);
    all.extend(records("tuned", 0.6, 30));
    let page = Page::build(&[run("r", all, None)], &PageOptions::default()).unwrap();
    assert_eq!(page.data().report.baseline, None);
    assert!(
        page.data().notes[0].starts_with("no differences are shown: "),
        "{:?}",
        page.data().notes
    );
    assert!(page.to_html().contains("no differences are shown"));
}
