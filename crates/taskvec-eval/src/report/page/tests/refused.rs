//! What pages must not do, and what they are not made from.

use super::*;

#[test]
fn hostile_text_stays_text() {
    let mut all = records("target", 0.4, 40);
    for (index, text) in HOSTILE.iter().enumerate() {
        all.extend(records(text, 0.1 * index as f64, 40));
    }
    for record in &mut all {
        record.expression = format!("{} {}", record.expression, HOSTILE[1]);
        record.kind = HOSTILE[2].to_owned();
    }
    let options = PageOptions {
        title: Some(HOSTILE[5].to_owned()),
        commands: vec![HOSTILE[0].to_owned()],
        ..PageOptions::default()
    };
    let page = Page::build(&[run(HOSTILE[2], all, None)], &options).unwrap();
    let html = page.to_html();
    // The template's own script elements and no other; no element or handler of a model's.
    assert_eq!(html.matches("<script").count(), 3);
    assert_eq!(html.matches("</script").count(), 3);
    assert_eq!(html.matches("</style").count(), 1);
    assert_eq!(html.matches("</title").count(), 1);
    assert!(!html.contains("<img"));
    assert!(!html.contains(['\u{0}', '\u{1b}', '\u{202e}', '\u{2066}']));
    assert!(!html.contains(" 49 "));
    // And yet nothing is lost.
    let data: PageData = serde_json::from_value(embedded(&html, "data")).unwrap();
    assert_eq!(&data, page.data());
    for figure in page.figures() {
        assert!(!figure.wide.contains("<script") && !figure.wide.contains("<img"));
        assert!(!figure.wide.contains(['\u{0}', '\u{1b}']));
    }
}

#[test]
fn nothing_is_fetched() {
    let html = study().to_html();
    let start = html.find("Content-Security-Policy").unwrap();
    let policy = &html[start..start + 400];
    assert!(
        policy.contains("default-src &#x27;none&#x27;") || policy.contains("default-src 'none'"),
        "{policy}"
    );
    for (index, _) in html.match_indices("http") {
        let place: String = html[index..].chars().take(30).collect();
        assert!(
            place.starts_with("http://www.w3.org/2000/svg") || place.starts_with("http-equiv"),
            "{place}"
        );
    }
    // The answers are data, in which anything may stand.
    let own = &html[..html.find("<script type=").unwrap()];
    assert!(!own.contains(" src=") && !own.contains("url("));
}

#[test]
fn what_is_missing_is_named() {
    let build = |options: &PageOptions| {
        Page::build(&[run("r", records("target", 0.5, 5), None)], options)
            .unwrap_err()
            .to_string()
    };
    let baseline = PageOptions {
        baseline: Some("base".to_owned()),
        ..PageOptions::default()
    };
    assert_eq!(
        build(&baseline),
        "no records of `base`: the models are `target`"
    );
    let model = PageOptions {
        model: Some("tuned".to_owned()),
        ..PageOptions::default()
    };
    assert_eq!(
        build(&model),
        "no records of `tuned`: the models are `target`"
    );
    let error = Page::build(&[run("r", Vec::new(), None)], &PageOptions::default()).unwrap_err();
    assert!(matches!(error, Error::NothingToReport));
}

#[test]
fn inspections_that_a_report_cannot_show_are_refused() {
    let parse = |text: &str| {
        Inspection::parse(std::path::Path::new("v.json"), text.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(parse("[]").contains("`v.json` is no inspection"));
    let by_tensor = r#"{"schema_version": 1, "by": "tensor"}"#;
    assert!(
        parse(by_tensor).ends_with("its rows are one for each tensor, expected one for each group")
    );
    let later = r#"{"schema_version": 9, "by": "group"}"#;
    assert!(parse(later).ends_with("its schema version is 9, expected 1"));
    assert!(
        parse(r#"{"schema_version": 1, "by": "group"}"#).contains("missing field `expression`")
    );
}
