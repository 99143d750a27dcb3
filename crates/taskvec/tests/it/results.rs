//! What lies in directories of records: never forgotten, mixed up or taken for more than it is.

use crate::workplace::Workplace;

const SWEEP: &str = "sweep 'micro:target + a*(micro:grpo - micro:sft)' --over a=0:1:0.5 --tasks micro-chat --limit 12 --out s";

fn text(here: &Workplace, name: &str) -> String {
    std::fs::read_to_string(here.path(name)).unwrap()
}

fn stdout(here: &Workplace, arguments: &str) -> String {
    let output = here.output(arguments);
    assert!(output.status.success(), "{}", here.rendered(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a refused command says; nothing of it is on stdout.
fn refused(here: &Workplace, arguments: &str, code: i32, says: &[&str]) {
    let output = here.output(arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments}: {stderr}");
    assert!(output.stdout.is_empty());
    for part in says {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_directory_holds_one_thing_and_nothing_in_it_is_forgotten() {
    let here = Workplace::new();
    stdout(&here, SWEEP);
    let described = text(&here, "s/sweep.json");
    let (records, study) = (
        text(&here, "s/records.jsonl"),
        "study micro --limit 2 --out s",
    );
    let search =
        "search 'micro:target + a*(micro:grpo - micro:sft)' --over a --tasks micro-chat --out s";
    let eval = "eval micro:target --tasks micro-chat --limit 2 --out";
    let other = [
        "`s` holds a sweep of `micro:target + a*",
        "hint: pass another directory",
    ];
    for arguments in [
        study,
        search,
        &format!("{eval} s")[..],
        &format!("{eval} s/records.jsonl")[..],
    ] {
        refused(&here, arguments, 1, &other);
    }
    let hint = "hint: ask for all that the sweep there has";
    for (from, to, says) in [
        (
            "micro-chat",
            "micro-gsm",
            "a sweep that asked `micro-chat`, which this one leaves out",
        ),
        (
            "a=0:1:0.5",
            "a=0,1",
            "a sweep with the point `a = 0.5`, which this one leaves out",
        ),
        (
            "--limit 12",
            "--limit 11",
            "asked 12 questions of each task, and this one asks 11 ",
        ),
        (
            "--limit 12",
            "--limit 12 --seed 1",
            "with the seed 0, and this one has 1",
        ),
        (
            "--limit 12",
            "--limit 12 --prompt-form base",
            "with the prompt form auto",
        ),
        (
            "--limit 12",
            "--limit 12 --temperature 1",
            "with the temperature 0, and this one has 1",
        ),
    ] {
        refused(&here, &SWEEP.replace(from, to), 1, &[says, hint]);
    }
    assert_eq!(text(&here, "s/sweep.json"), described);
    assert_eq!(text(&here, "s/records.jsonl"), records);
    // More of everything is welcome, and what was there is a part of it.
    let more = SWEEP
        .replace("micro-chat", "micro-gsm,micro-chat")
        .replace("a=0:1:0.5", "a=0:1:0.5,2")
        .replace("--limit 12", "--limit 13");
    stdout(&here, &more);
    let markdown = stdout(&here, "report s --format markdown");
    assert!(
        markdown.contains("| a = 2 ") && markdown.contains(" micro-gsm |"),
        "{markdown}"
    );
    assert!(!markdown.contains("Unfinished"), "{markdown}");

    // And the other way round.
    stdout(&here, &format!("{eval} e"));
    let swept = SWEEP.replace("--out s", "--out e");
    refused(
        &here,
        &swept,
        1,
        &["`e` holds records of single evaluations"],
    );
    assert!(!here.path("e/sweep.json").exists());
    stdout(&here, "study micro --limit 1 --out t");
    refused(
        &here,
        &SWEEP.replace("--out s", "--out t"),
        1,
        &["`t` holds the study `"],
    );
    let fewer = "study micro --limit 1 --seeds 1 --out t";
    refused(
        &here,
        fewer,
        1,
        &["`t` holds a study with the seed 0, and this one has 1"],
    );
}

#[test]
fn an_unfinished_sweep_does_not_look_whole() {
    let here = Workplace::new();
    stdout(&here, SWEEP);
    let whole = text(&here, "s/records.jsonl");
    // The grid's ends come first: one is whole, the other has begun, and the middle has not.
    let begun: String = whole
        .lines()
        .take(17)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::write(
        here.path("s/records.jsonl"),
        begun + "{\"model\":\"a = 1\",\"expr",
    )
    .unwrap();
    let output = here.output("report s -o r.html");
    let said = String::from_utf8(output.stderr).unwrap();
    let missing = "1 of 3 models have no answers (`a = 0.5`); `a = 1` has 5 of 12 answers to micro-chat; the same command";
    assert!(
        said.contains(&format!(
            "warning: `s/records.jsonl` is unfinished: {missing}"
        )),
        "{said}"
    );
    assert!(
        said.contains("warning: the last line of `s/records.jsonl` is not whole and is left out"),
        "{said}"
    );
    let page = text(&here, "r.html");
    assert!(page.contains("<strong>Unfinished.</strong>") && page.contains("is not whole"));
    let markdown = stdout(&here, "report s --format markdown");
    assert!(
        markdown.contains(&format!(
            "**Unfinished.** `s/records.jsonl` is unfinished: {missing}"
        )),
        "{markdown}"
    );
    // What would be published is refused, unless it is of a model that is whole.
    let publish = "report s --format model-index";
    refused(
        &here,
        publish,
        1,
        &["is unfinished", "hint: published numbers"],
    );
    stdout(&here, &format!("{publish} --model 'a = 0'"));
    refused(
        &here,
        &format!("{publish} --model 'a = 1'"),
        1,
        &["is unfinished"],
    );
    refused(
        &here,
        "best s",
        1,
        &["2 of 3 points of the sweep are not finished"],
    );
    let write = "write 'micro:target + 1*(micro:grpo - micro:sft)' --results s -o w";
    refused(&here, write, 1, &["`a = 1` has 5 of 12 answers"]);
    assert!(!here.path("w").exists());

    // One evaluation says of itself what it lacks, and so does a comparison.
    let eval = "eval micro:target --tasks micro-chat --limit 12 --out";
    stdout(&here, &format!("{eval} e"));
    let half: String = text(&here, "e/records.jsonl")
        .lines()
        .take(7)
        .flat_map(|line| [line, "\n"])
        .collect();
    std::fs::create_dir(here.path("h")).unwrap();
    std::fs::write(here.path("h/records.jsonl"), half + "{\"model\":").unwrap();
    let output = here.output("compare e h");
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("`micro:target` has 7 of 12 answers")
            && said.contains("`h/records.jsonl` is not whole"),
        "{said}"
    );
    assert!(stdout(&here, "report h --format markdown").contains("**Unfinished.**"));
}

#[test]
fn commands_of_a_report_make_it_again() {
    let here = Workplace::new();
    let eval =
        "eval 't + 0.5*(g - s)' --let t=micro:target --let g=micro:grpo --let s=micro:sft --out e";
    stdout(
        &here,
        &format!("{eval} --tasks micro-gsm,micro-chat --conditions clean,adversarial --limit 6"),
    );
    stdout(
        &here,
        &format!("{eval} --tasks micro-sciq --limit 4 --seed 3"),
    );
    let markdown = stdout(&here, "report e --format markdown");
    let (_, commands) = markdown.split_once("```sh\n").unwrap();
    let commands: Vec<&str> = commands.lines().take_while(|line| *line != "```").collect();
    let beginning =
        "taskvec eval 't + 0.5*(g - s)' --let g=micro:grpo --let s=micro:sft --let t=micro:target";
    assert_eq!(
        commands,
        [
            format!(
                "{beginning} --tasks micro-gsm,micro-chat --conditions clean,adversarial --limit 6 --seed 0 --prompt-form chat --out DIR"
            ),
            format!(
                "{beginning} --tasks micro-sciq --conditions clean --limit 4 --seed 3 --prompt-form base --out DIR"
            ),
        ]
    );
    for command in commands {
        stdout(&here, command.strip_prefix("taskvec ").unwrap());
    }
    let sorted = |name: &str| {
        let text = text(&here, name);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted("DIR/records.jsonl"), sorted("e/records.jsonl"));
}

#[test]
fn destinations_that_are_no_files() {
    let here = Workplace::new();
    stdout(
        &here,
        "eval micro:target --tasks micro-chat --limit 2 --out e",
    );
    let page = "report e -o";
    refused(
        &here,
        &format!("{page} /dev/full"),
        1,
        &[
            "`/dev/full` is a device or a pipe",
            "hint: name a regular file",
        ],
    );
    refused(&here, &format!("{page} e"), 1, &["`e` is a directory"]);
    refused(
        &here,
        "demo --limit 1 --out /dev/zero",
        1,
        &["`/dev/zero` is a device or a pipe"],
    );
    let pipe = std::process::Command::new("mkfifo")
        .arg(here.path("pipe"))
        .status();
    if pipe.is_ok_and(|status| status.success()) {
        refused(
            &here,
            &format!("{page} pipe"),
            1,
            &["`pipe` is a device or a pipe"],
        );
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("page.html", here.path("link")).unwrap();
        refused(
            &here,
            &format!("{page} link"),
            1,
            &["`link` is a link to nothing"],
        );
        stdout(&here, &format!("{page} page.html"));
        stdout(&here, &format!("{page} link --title again"));
        assert!(here.path("link").is_symlink());
        assert!(text(&here, "page.html").contains("<title>again</title>"));
    }
}

#[test]
fn several_answers_have_pass_at_k() {
    let here = Workplace::new();
    let eval = "eval micro:target --tasks micro-gsm --limit 4 --samples 3 --temperature 1 --out";
    let table = stdout(&here, &format!("{eval} e"));
    assert!(table.contains("pass@3 %"), "{table}");
    assert!(stdout(&here, "report e --format markdown").contains(" pass@3 |"));
    let compared = stdout(&here, "compare e e");
    assert!(
        compared.contains("first pass@3") && compared.contains("second pass@3"),
        "{compared}"
    );
    let greedy = stdout(&here, "eval micro:target --tasks micro-gsm --limit 4");
    assert!(!greedy.contains("pass@"), "{greedy}");
}

#[test]
fn two_answers_to_one_question_say_in_what_they_differ() {
    let here = Workplace::new();
    let eval = "eval micro:target --tasks micro-gsm --limit 2 --out e";
    stdout(&here, eval);
    stdout(&here, &format!("{eval} --prompt-form base"));
    let says = [
        "more than one answer to document `micro-gsm/test/0/0`",
        "which differ in prompt form",
        "hint: ",
    ];
    refused(&here, "compare e e", 1, &says);
    refused(&here, "report e", 1, &says);
    // The very same answer twice is one.
    stdout(
        &here,
        "eval micro:target --tasks micro-gsm --limit 2 --out f.jsonl",
    );
    let once = text(&here, "f.jsonl");
    std::fs::write(here.path("g.jsonl"), once.repeat(2)).unwrap();
    stdout(&here, "compare f.jsonl g.jsonl");
}
