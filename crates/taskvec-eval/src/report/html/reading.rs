//! How tests read a page.

/// What a hostile model answers, and is asked.
pub(in crate::report) const HOSTILE: [&str; 6] = [
    "<script>window.hostile = 1</script>",
    "</script><script>window.hostile = 2</script>",
    "<img src=x onerror=\"window.hostile = 3\">",
    "\u{0}\u{1b}[31m \u{202e}desrever\u{2066}",
    "{{ 7 * 7 }} {% raw %} ${window.hostile = 4} <!-- ]]>",
    "</title></style><svg onload='window.hostile = 5'>",
];

/// The JSON in the script element of that id.
pub(in crate::report) fn embedded(html: &str, id: &str) -> serde_json::Value {
    let opening = format!("<script type=\"application/json\" id=\"{id}\">");
    let start = html.find(&opening).unwrap() + opening.len();
    let end = start + html[start..].find("</script>").unwrap();
    serde_json::from_str(&html[start..end]).unwrap()
}

/// Everything between script, style and SVG elements, tags taken out, spans of numbers replaced by a mark.
pub(in crate::report) fn prose(html: &str) -> String {
    let mut text = html.to_owned();
    for (opening, closing) in [
        ("<script", "</script>"),
        ("<style", "</style>"),
        ("<svg", "</svg>"),
        ("<span class=\"n\"", "</span>"),
        ("<code", "</code>"),
        ("<pre", "</pre>"),
        ("<bdi", "</bdi>"),
    ] {
        while let Some(start) = text.find(opening) {
            let end = start + text[start..].find(closing).unwrap() + closing.len();
            text.replace_range(start..end, " ");
        }
    }
    let mut plain = String::new();
    let mut is_tag = false;
    for character in text.chars() {
        match character {
            '<' => {
                is_tag = true;
                plain.push(' ');
            }
            '>' => is_tag = false,
            _ if !is_tag => plain.push(character),
            _ => {}
        }
    }
    plain.replace("&#x27;", "’")
}

/// How many numbers a page shows, each of which is the one that its data has there.
pub(in crate::report) fn numbers(html: &str) -> usize {
    let data = embedded(html, "data");
    let mut count = 0;
    for span in html.split("<span class=\"n\" ").skip(1) {
        let attribute = |name: &str| {
            let start = span.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
            &span[start..start + span[start..].find('"').unwrap()]
        };
        let text = &span[span.find('>').unwrap() + 1..span.find("</span>").unwrap()];
        let value = data.pointer(attribute("data-from")).unwrap();
        let expected = value.as_f64().map_or("–".to_owned(), |value| {
            super::shown(value, attribute("data-as")).unwrap()
        });
        assert_eq!(
            text.replace("&lt;", "<"),
            expected,
            "{}",
            attribute("data-from")
        );
        count += 1;
    }
    count
}
