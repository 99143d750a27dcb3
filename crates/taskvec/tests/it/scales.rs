//! Several outputs of one command.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use insta::assert_snapshot;

use crate::checkpoint::{model, tensors};
use crate::workplace::Workplace;

fn study() -> Workplace {
    let here = Workplace::new();
    model(&here.path("tuned"), "Tiny", &tensors(1.0, 0.5));
    model(&here.path("base"), "Tiny", &tensors(1.0, 0.25));
    model(&here.path("target"), "Tiny", &tensors(2.0, 0.125));
    assert!(
        here.output("-q extract --tuned tuned --base base -o vector")
            .status
            .success()
    );
    here
}

fn content(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

#[test]
fn each_scale_is_what_it_would_be_alone() {
    let here = study();
    assert_snapshot!(here.run("apply --model target --vector vector --scales -0.5,0,1/3,1 -o scaled --dtype bf16"), @"
    exit code 0
    --- stdout
    scaled/-0.5
    scaled/0
    scaled/1_3
    scaled/1
    --- stderr
    wrote a model of 3 tensors, 40 B: model - 0.5*vector
    rounding error: 0.0 % of the length of the change; 100.0 % of it survives, 0.0 % of its elements vanish wholly
    wrote a model of 3 tensors, 40 B: model + 0*vector
    wrote a model of 3 tensors, 40 B: model + 1/3*vector
    rounding error: 1.1 % of the length of the change; 100.0 % of it survives, 0.0 % of its elements vanish wholly
    wrote a model of 3 tensors, 40 B: model + vector
    rounding error: 0.0 % of the length of the change; 100.0 % of it survives, 0.0 % of its elements vanish wholly
    ");
    for (scale, name) in [("-0.5", "-0.5"), ("0", "0"), ("1/3", "1_3"), ("1", "1")] {
        let alone = format!(
            "-q apply --model target --vector vector --scale {scale} -o alone --dtype bf16 --overwrite"
        );
        assert!(here.output(&alone).status.success());
        assert!(
            content(&here.path("scaled").join(name)) == content(&here.path("alone")),
            "{scale}"
        );
    }
    // A number more beside those that are there.
    assert_snapshot!(here.run("-q apply --model target --vector vector --scales 2 -o scaled"), @"
    exit code 0
    --- stdout
    scaled/2
    ");
    assert_snapshot!(here.run("-q apply --model target --vector vector --scales 1,3 -o scaled"), @"
    exit code 1
    --- stderr
    error: `scaled/1` already exists and is not empty

    hint: choose another destination, or pass `--overwrite` to replace it
    ");
    assert!(!here.path("scaled/3").exists());
}

#[test]
fn an_expression_over_a_name() {
    let here = study();
    let expression = r#"'"target" + a*("tuned" - "base")'"#;
    assert_snapshot!(here.run(&format!("write {expression} --over a=0:1:0.5 -o out-{{}}")), @r#"
    exit code 0
    --- stdout
    out-0
    out-0.5
    out-1
    --- stderr
    wrote a model of 3 tensors, 80 B: "target" + 0*("tuned" - "base")
    wrote a model of 3 tensors, 80 B: "target" + 0.5*("tuned" - "base")
    wrote a model of 3 tensors, 80 B: "target" + 1*("tuned" - "base")
    "#);
    let alone = r#"-q write '"target" + 0.5*("tuned" - "base")' -o alone"#;
    assert!(here.output(alone).status.success());
    assert!(content(&here.path("out-0.5")) == content(&here.path("alone")));
    assert_snapshot!(here.run(&format!("write {expression} --over a=1,2 -o files/{{}}.safetensors -q")), @"
    exit code 0
    --- stdout
    files/1.safetensors
    files/2.safetensors
    ");
    assert!(here.path("files/2.safetensors").is_file());
}

#[test]
fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let here = study();
    let names = here.names();
    let expression = r#"'"target" + a*("tuned" - "base")'"#;
    for command in [
        format!("write {expression} --over b=1,2 -o out"),
        format!("write {expression} --over a=1,2 --let a=base -o out"),
        format!("write {expression} --over a=1,1.0 -o out"),
        format!("write {expression} -o out"),
        "write 'a*(\"tuned\" - \"base\")' --over a=1,2 --dtype auto -o out".to_owned(),
        "apply --model target --vector vector --scale 1 --scales 1,2 -o out".to_owned(),
        "apply --model target --vector nowhere --scales 1,2 -o out".to_owned(),
        "apply --model target --vector vector --scales 1,2 -o vector/taskvec.json/out".to_owned(),
    ] {
        let output = here.output(&command);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{command}");
        assert_eq!(here.names(), names, "{command}");
    }
    assert_snapshot!(here.run(&format!("write {expression} --over b=1,2 -o out")), @r#"
    exit code 2
    --- stderr
    error: `b` is given values, but it is not in `"target" + a*("tuned" - "base")`

    hint: write it where it counts, as in `target + b*vector`
    "#);
    assert_snapshot!(here.run(&format!("write {expression} --over a=1,2 --let a=base -o out")), @"
    exit code 2
    --- stderr
    error: `a` is bound twice: to `base` and to `1,2`
    ");
    assert_snapshot!(here.run("write 'a*(\"tuned\" - \"base\")' --over a=1,2 --dtype auto -o out"), @"
    exit code 2
    --- stderr
    error: `--dtype auto` chooses the type of one output, and several are to be written

    hint: name one type for all of them
    ");
}
