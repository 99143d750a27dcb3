use proptest::prelude::*;

use super::syntax::Syntax;
use super::*;

fn parse(source: &str) -> Expression {
    source
        .parse()
        .unwrap_or_else(|error| panic!("{source}: {error}"))
}

fn refused(source: &str) -> ExpressionError {
    match source.parse::<Expression>() {
        Ok(expression) => panic!("`{source}` parsed as `{expression}`"),
        Err(error) => error,
    }
}

#[test]
fn prints_canonically() {
    for (source, expected) in [
        ("target+0.50*( grpo-sft )", "target + 0.5*(grpo - sft)"),
        ("θ_target − α·v", "θ_target - α*v"),
        ("(a)", "a"),
        ("a-(b-c)", "a - (b - c)"),
        ("(a-b)-c", "a - b - c"),
        ("-a*b", "-a*b"),
        ("-(a*b)", "-(a*b)"),
        ("--a", "--a"),
        ("a - -b", "a - -b"),
        ("(a-b)/3", "(a - b)/3"),
        ("a*(b*c)", "a*(b*c)"),
        ("1e-3*v", "0.001*v"),
        ("mean( a,b , weight=-.5, )", "mean(a, b, weight=-0.5)"),
        (
            "only(v,\"layers.8-20.mlp\")",
            "only(v, \"layers.8-20.mlp\")",
        ),
        (
            "micro:target + \"a \\\"b\\\" \\\\ c\"",
            "micro:target + \"a \\\"b\\\" \\\\ c\"",
        ),
        ("f()", "f()"),
        ("[ 0,.50 , -1, ]*v", "[0, 0.5, -1]*v"),
        ("v/[1, 2]", "v/[1, 2]"),
        (
            "{ \"mlp\":.5,\"self_attn, norm\" : [0,1/2] , else:1, }*v",
            "{\"mlp\": 0.5, \"self_attn, norm\": [0, 1/2], else: 1}*v",
        ),
        (
            "ties(v, w, weights=(.3,[0, 1],))",
            "ties(v, w, weights=(0.3, [0, 1]))",
        ),
        ("ties(v, weights=(.3))", "ties(v, weights=0.3)"),
    ] {
        let expression = parse(source);
        assert_eq!(expression.to_string(), expected);
        assert_eq!(parse(expected), expression);
    }
}

#[test]
fn errors_point_at_the_column() {
    for (source, column, message) in [
        ("", 1, "the expression is empty"),
        (
            "a + ",
            5,
            "expected a model, a vector or a number, found the end",
        ),
        ("a b", 3, "expected an operator or the end, found `b`"),
        ("(a + b", 7, "expected an operator or `)`, found the end"),
        ("a ? b", 3, "unexpected `?`"),
        ("a + \"b", 5, "the quoted reference is never closed"),
        ("2grpo", 1, "the number runs into `grpo`"),
        (
            "1.2.3*v",
            4,
            "expected an operator or the end, found the number `0.3`",
        ),
        ("1e999*v", 1, "the number has more than"),
        (
            "α + hf:org/name",
            5,
            "a reference to the Hub needs double quotes",
        ),
        ("f(k=1, a)", 8, "a positional argument follows a named one"),
        (
            "micro:1",
            7,
            "expected a name after `:`, found the number `1`",
        ),
        ("a = b", 3, "expected an operator or the end, found `=`"),
        ("mean(a b)", 8, "expected `,` or `)`, found `b`"),
        ("[0, 1*v", 8, "expected `,` or `]`, found the end"),
        ("[]*v", 2, "expected a number, found `]`"),
        ("[0 1]*v", 4, "expected `,` or `]`, found the number `1`"),
        (
            "{}*v",
            2,
            "expected a pattern in double quotes or `else`, found `}`",
        ),
        ("{mlp: 1}*v", 2, "the pattern `mlp` needs double quotes"),
        ("{\"mlp\" 1}*v", 8, "expected `:`, found the number `1`"),
        ("{\"mlp\": 1", 10, "expected `,` or `}`, found the end"),
        ("{else: 1, \"mlp\": 2}*v", 11, "a rule follows `else`"),
        ("f(w=(1,))", 8, "expected another weight, found `)`"),
    ] {
        let error = refused(source);
        assert_eq!(error.column(), column, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn the_caret_stands_below_the_fault() {
    let error = refused("θ + hf:org/name");
    assert_eq!(
        error.to_string(),
        "a reference to the Hub needs double quotes, at column 5\n  θ + hf:org/name\n      ^^^^^^"
    );
    assert_eq!(error.hint().unwrap(), "write `\"hf:organisation/name\"`");
    let error = refused("a +\n  b ? c");
    assert_eq!(
        error.to_string(),
        "unexpected `?`, at column 5\n    b ? c\n      ^"
    );
}

#[test]
fn hostile_depth_is_refused_and_not_followed() {
    for (open, close) in [
        ("(", ")"),
        ("-", ""),
        ("f(", ")"),
        ("a*(", ")"),
        ("[", "]"),
        ("(1, ", ")"),
        ("{else: ", "}"),
    ] {
        let source = format!("{}a{}", open.repeat(1_000_000), close.repeat(1_000_000));
        let error = refused(&source);
        assert!(matches!(error.problem(), Problem::TooDeep { .. }), "{open}");
        assert!(
            error.to_string().len() < 1000,
            "the message must not repeat a megabyte"
        );
    }
    let error = refused(&format!("a{}", " + a".repeat(100_000)));
    assert!(matches!(error.problem(), Problem::TooDeep { .. }));
}

#[test]
fn names_are_the_free_names_only() {
    let expression = parse(
        "target + [0, a]*only(reason, \"mlp\") - micro:base + slerp(x, t={\"q\": y}, weights=(1, 2*z))",
    );
    assert_eq!(
        expression.names().into_iter().collect::<Vec<_>>(),
        ["a", "reason", "target", "x", "y", "z"]
    );
}

#[test]
fn a_scalar_replaces_a_name() {
    let nested = parse("target + {\"mlp\": [0, a], else: a}*ties(v, w, weights=(a, 1))");
    assert_eq!(
        nested
            .with_scalar("a", &"0.5".parse().unwrap())
            .unwrap()
            .to_string(),
        "target + {\"mlp\": [0, 0.5], else: 0.5}*ties(v, w, weights=(0.5, 1))"
    );
    let expression = parse("target + a*reason");
    for (value, expected) in [
        ("0.25", "target + 0.25*reason"),
        ("-1", "target + -1*reason"),
        ("1/3", "target + 1/3*reason"),
    ] {
        let replaced = expression
            .with_scalar("a", &value.parse().unwrap())
            .unwrap();
        assert_eq!(replaced.to_string(), expected);
    }
    assert_eq!(
        expression.with_scalar("b", &Coefficient::one()).unwrap(),
        expression
    );
}

#[test]
fn a_name_becomes_rules() {
    let half: Coefficient = "0.5".parse().unwrap();
    let minus: Coefficient = "-1/3".parse().unwrap();
    let rules = [("layers.0-1.mlp", &half), ("a\"b", &minus)];
    let found = parse("target + a*reason/a")
        .with_rules("a", &rules, &Coefficient::one())
        .unwrap();
    let numbers = "{\"layers.0-1.mlp\": 0.5, \"a\\\"b\": -(1/3), else: 1}";
    assert_eq!(
        found.to_string(),
        format!("target + {numbers}*reason/{numbers}")
    );
    assert_eq!(parse(&found.to_string()), found);
}

fn node() -> impl Strategy<Value = Node> {
    let span = Span::new(0, 0);
    let name = "[a-zα-ω_][a-zA-Z0-9_]{0,6}";
    let leaf = prop_oneof![
        (0u64..1_000_000, -12i32..12).prop_map(|(digits, power)| Syntax::Scalar(
            format!("{digits}e{power}").parse().unwrap()
        )),
        name.prop_map(|name| Syntax::Atom(Atom::Name(name))),
        any::<String>().prop_map(|text| Syntax::Atom(Atom::Quoted(text))),
        ("[a-gi-z]{1,5}", name)
            .prop_map(|(scheme, name)| Syntax::Atom(Atom::Embedded { scheme, name })),
    ]
    .prop_map(move |syntax| Node::new(syntax, span));
    leaf.prop_recursive(6, 40, 4, move |inner| {
        let operator = prop_oneof![
            Just(Operator::Add),
            Just(Operator::Subtract),
            Just(Operator::Multiply),
            Just(Operator::Divide)
        ];
        prop_oneof![
            inner
                .clone()
                .prop_map(|operand| Syntax::Negate(Box::new(operand))),
            (operator, inner.clone(), inner.clone()).prop_map(|(operator, left, right)| {
                Syntax::Binary {
                    operator,
                    left: Box::new(left),
                    right: Box::new(right),
                }
            }),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Syntax::List),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Syntax::Tuple),
            (
                prop::collection::vec((any::<String>(), inner.clone()), 1..3),
                prop::option::of(inner.clone())
            )
                .prop_map(move |(rules, otherwise)| Syntax::Rules(
                    rules
                        .into_iter()
                        .map(|(pattern, value)| (Some(pattern), value))
                        .chain(otherwise.map(|value| (None, value)))
                        .map(|(pattern, value)| Rule {
                            pattern,
                            pattern_span: span,
                            value
                        })
                        .collect()
                )),
            (
                name,
                prop::collection::vec(inner.clone(), 0..3),
                prop::collection::vec((name, inner), 0..3)
            )
                .prop_map(move |(function, positional, named)| Syntax::Call(Call {
                    function,
                    function_span: span,
                    arguments: positional
                        .into_iter()
                        .map(|value| Argument { key: None, value })
                        .chain(named.into_iter().map(|(key, value)| Argument {
                            key: Some(key),
                            value
                        }))
                        .collect(),
                })),
        ]
        .prop_map(move |syntax| Node::new(syntax, span))
    })
}

proptest! {
    #[test]
    fn parsing_undoes_printing(root in node()) {
        let printed = root.to_string();
        let parsed: Expression = printed.parse().unwrap();
        prop_assert_eq!(&parsed.root, &root, "{}", printed);
        prop_assert_eq!(parsed.to_string(), printed);
    }

    #[test]
    fn any_text_is_parsed_or_refused(source in "[-+*/()=,:.\\[\\]{}\"\\\\a-c0-9e \nα−·]{0,40}") {
        match source.parse::<Expression>() {
            Ok(expression) => prop_assert_eq!(expression.to_string().parse::<Expression>().unwrap(), expression),
            Err(error) => prop_assert!(error.column() >= 1 && !error.to_string().is_empty()),
        }
    }
}

#[test]
fn a_name_stands_for_an_expression_and_keeps_its_parentheses() {
    let with = |text: &str, meaning: &str| {
        parse(text)
            .with_expression("v", &parse(meaning))
            .unwrap()
            .to_string()
    };
    assert_eq!(
        with("target - 0.5*v", "grpo - sft"),
        "target - 0.5*(grpo - sft)"
    );
    assert_eq!(
        with("target + random(v, seed=1) - v", "grpo - sft"),
        "target + random(grpo - sft, seed=1) - (grpo - sft)"
    );
    // Names are whole words, and what is put in is not searched again.
    assert_eq!(with("vv + v", "v + w"), "vv + (v + w)");
    let deep = format!("{}v", "-".repeat(150));
    assert!(parse(&deep).with_expression("v", &parse(&deep)).is_err());
}

#[test]
fn a_reference_in_an_expression_is_read_back_as_itself() {
    for text in [
        "micro:target",
        "hf:org/name@main",
        "./a \"b\" \\ c",
        "ab:c-d",
    ] {
        let reference: Reference = text.parse().unwrap();
        let expression = Expression::from(&reference);
        assert_eq!(parse(&expression.to_string()), expression, "{text}");
        assert_eq!(expression.names().len(), 0, "{text}");
    }
}
