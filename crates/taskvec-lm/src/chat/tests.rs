use serde_json::json;

use super::*;
use crate::tokenizer::train_bpe;

fn template(source: &str) -> Result<ChatTemplate> {
    ChatTemplate::parse(
        "model/chat_template.jinja",
        source,
        &train_bpe(std::iter::empty(), 259).unwrap(),
    )
}

fn rendered(source: &str) -> String {
    template(source)
        .unwrap()
        .render(&json!([{ "role": "user", "content": "Hi" }]), None, true)
        .unwrap()
}

const CHATML: &str = "{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}";

#[test]
fn blocks_are_trimmed_as_transformers_trims_them() {
    assert_eq!(
        rendered("a\n  {% if true %}\nb\n  {% endif %}\nc\n"),
        "a\nb\nc"
    );
}

#[test]
fn pythons_helpers_are_there() {
    assert_eq!(
        rendered("{{ ' x '.strip() }}|{{ 'a,b'.split(',')[1] }}|{{ 'ab'.startswith('a') }}"),
        "x|b|True"
    );
    assert_eq!(
        rendered("{{ none }}{{ messages[0].get('x') }}{{ true }}{{ undefined_name }}"),
        "NoneNoneTrue"
    );
    assert_eq!(
        rendered("{{ messages[0] | tojson }}"),
        r#"{"role": "user", "content": "Hi"}"#
    );
    assert_eq!(
        rendered("{{ messages[0] | tojson(indent=1, sort_keys=true) }}"),
        "{\n \"content\": \"Hi\",\n \"role\": \"user\"\n}"
    );
    assert_eq!(rendered("{{ ['<', 'é'] | tojson }}"), r#"["<", "é"]"#);
    assert_eq!(
        rendered(
            "{{ eos_token }}{% for x in range(9) %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}"
        ),
        "<|endoftext|>01"
    );
    assert_eq!(rendered("{{ strftime_now('%Y') | length }}"), "4");
}

#[test]
fn a_turn_of_the_assistant_is_left_open() {
    let template = template(CHATML).unwrap();
    let mut messages = vec![Message::user("Hi")];
    assert_eq!(
        template.prompt(&messages).unwrap(),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    messages.push(Message::assistant("The answer is "));
    assert_eq!(
        template.prompt(&messages).unwrap(),
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nThe answer is "
    );
    messages[1].content.clear();
    assert!(
        template
            .prompt(&messages)
            .unwrap()
            .ends_with("<|im_start|>assistant\n")
    );
    let blind = self::template("nothing")
        .unwrap()
        .prompt(&messages)
        .unwrap_err();
    assert!(matches!(blind, Error::TurnNotOpen { .. }), "{blind}");
}

#[test]
fn a_template_that_refuses_is_heard() {
    let error = template("{{ raise_exception('roles must alternate') }}")
        .unwrap()
        .prompt(&[])
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        error.to_string().contains("model/chat_template.jinja"),
        "{error}"
    );
    assert!(cause.contains("roles must alternate"), "{cause}");
}

#[test]
fn a_hostile_template_is_an_error() {
    assert!(matches!(
        template("{% for x in %}"),
        Err(Error::ChatTemplate { .. })
    ));
    let loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}";
    assert!(matches!(
        template(loops).unwrap().prompt(&[]),
        Err(Error::ChatTemplate { .. })
    ));
    let wide = "{% for a in range(2000) %}{{ 'x' * 100000 }}{% endfor %}";
    assert!(matches!(
        template(wide).unwrap().prompt(&[]),
        Err(Error::ChatTooLong { .. })
    ));
    let deep = "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}";
    assert!(matches!(
        template(deep).unwrap().prompt(&[]),
        Err(Error::ChatTemplate { .. })
    ));
    let unknown = "{{ messages[0].nothing.more }}";
    assert!(matches!(
        template(unknown).unwrap().prompt(&[]),
        Err(Error::ChatTemplate { .. })
    ));
    let nested = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(matches!(
        template(&format!("{{{{ {nested} }}}}")),
        Err(Error::ChatTemplate { .. })
    ));
}
