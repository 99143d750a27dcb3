//! Pages of training runs.

use std::fs;

use crate::workplace::Workplace;

const REWARDED: &str = "\
{\"step\":0,\"reward\":0.5,\"reward_std\":0.25,\"kl\":0.0,\"entropy\":1.5,\"collapse\":false}
{\"step\":1,\"reward\":0.75,\"reward_std\":0.25,\"kl\":0.125,\"entropy\":1.0,\"collapse\":false}
{\"step\":2,\"reward\":0.0,\"reward_std\":0.0,\"kl\":4.0,\"entropy\":0.0,\"collapse\":true}
";
const COMPLETIONS: &str = "\
{\"step\":0,\"prompt\":7,\"prompt_text\":\"Q: how many?\",\"completion\":\"First we count.\",\"reward\":1.0,\"ended\":true}
{\"step\":2,\"prompt\":8,\"completion\":\"</script><script>alert(1)</script>\",\"reward\":0.0,\"ended\":false}
";

/// A run on rewards that was lost, and one on examples.
fn workplace() -> Workplace {
    let here = Workplace::new();
    for name in ["g.training", "s.training"] {
        fs::create_dir(here.path(name)).unwrap();
    }
    fs::write(here.path("g.training/metrics.jsonl"), REWARDED).unwrap();
    fs::write(here.path("g.training/completions.jsonl"), COMPLETIONS).unwrap();
    let taught = "{\"step\":0,\"loss\":2.0}\n{\"step\":1,\"loss\":1.0}\n";
    fs::write(here.path("s.training/metrics.jsonl"), taught).unwrap();
    here
}

fn stdout(here: &Workplace, arguments: &str) -> String {
    let output = here.output(arguments);
    assert!(output.status.success(), "{}", here.rendered(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(here: &Workplace, arguments: &str, code: i32, says: &[&str]) {
    let output = here.output(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}",
        here.rendered(&output)
    );
    assert!(output.stdout.is_empty());
    let stderr = String::from_utf8(output.stderr).unwrap();
    for part in says {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
}

#[test]
fn a_run_that_was_lost_is_shown_as_such() {
    let here = workplace();
    let printed = stdout(&here, "report g.training -o page.html --figures figures");
    assert_eq!(printed, "page.html\n");
    let page = fs::read_to_string(here.path("page.html")).unwrap();
    assert!(
        page.contains("<strong>Collapse.</strong>")
            && page.contains("First we count.")
            && page.contains("<bdi>Q: how many?</bdi>")
            && page.contains("<bdi>8</bdi>")
    );
    assert_eq!(page.matches("<script").count(), 3);
    let csv = fs::read_to_string(here.path("figures/training-reward.csv")).unwrap();
    assert!(
        csv.starts_with("run,step,reward,reward_std,collapse\r\ng.training,0,0.5,0.25,false\r\n")
    );
    assert!(here.path("figures/training-entropy.svg").is_file());
    // The file is as good as its directory, and a page of ours is replaced.
    stdout(
        &here,
        "report g.training/metrics.jsonl -o page.html --title again",
    );
    let markdown = stdout(&here, "report g.training --format markdown");
    assert!(
        markdown.contains("**Collapse**: at 1 of them"),
        "{markdown}"
    );
    stdout(&here, "report g.training --format markdown -o page.md");
    stdout(&here, "report s.training --format markdown -o page.md");
}

#[test]
fn a_line_that_is_still_being_written_is_left_out() {
    let here = workplace();
    let torn = format!("{REWARDED}{{\"step\":3,\"rew");
    fs::write(here.path("g.training/metrics.jsonl"), torn).unwrap();
    let output = here.output("report g.training --format markdown");
    assert!(output.status.success(), "{}", here.rendered(&output));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("warning: the last line of `g.training/metrics.jsonl` is not whole"),
        "{said}"
    );
    fs::write(
        here.path("g.training/metrics.jsonl"),
        "{\"step\":0,\"rew\n{}\n",
    )
    .unwrap();
    let line = "line 1 of `g.training/metrics.jsonl`: it is no JSON object";
    refused(&here, "report g.training", 1, &[line, "hint: "]);
}

#[test]
fn numbers_that_lead_nowhere_stop_a_run() {
    let here = Workplace::new();
    let train = |rest: &str| {
        format!(
            "sft --model micro:base --data micro-gsm --num-examples 8 --max-steps 3 -o x {rest}"
        )
    };
    for (flag, setting, expected) in [
        ("--adam-beta1 5", "adam_beta1", "a number from 0 to below 1"),
        ("--adam-beta2 1", "adam_beta2", "a number from 0 to below 1"),
        ("--adam-epsilon 0", "adam_epsilon", "a number above 0"),
        ("--min-lr-rate 2", "min_lr_rate", "a number from 0 to 1"),
        ("--max-grad-norm nan", "max_grad_norm", "a number above 0"),
    ] {
        let said = format!("`{setting}` is ");
        refused(&here, &train(flag), 1, &[&said, expected]);
        let rewarded =
            format!("grpo --model micro:base --task micro-gsm --max-steps 1 -o x {flag}");
        refused(&here, &rewarded, 1, &[&said, expected]);
    }
    // Before anything is made.
    assert_eq!(here.names(), [""; 0]);
    let says = ["training diverged", "hint: lower the learning rate"];
    refused(&here, &train("--learning-rate 1e30"), 1, &says);
    // No step follows the last one that could find out.
    let once = train("--learning-rate 1e30").replace("--max-steps 3", "--max-steps 1");
    refused(&here, &once, 1, &says);
    assert!(!here.path("x").exists());
}

#[test]
fn what_does_not_go_with_training_is_refused() {
    let here = workplace();
    fs::write(here.path("records.jsonl"), "").unwrap();
    let mixed = "`g.training` is a training run and `records.jsonl` is none";
    refused(
        &here,
        "report g.training records.jsonl",
        2,
        &[mixed, "hint: make a page of each"],
    );
    refused(&here, "report records.jsonl g.training", 2, &[mixed]);
    let kinds = "`g.training` is a run of `grpo` and `s.training` one of `sft`";
    refused(&here, "report g.training s.training", 1, &[kinds, "hint: "]);
    for (flag, value) in [
        ("--format", "model-index"),
        ("--baseline", "x"),
        ("--model", "x"),
        ("--vector", "x"),
    ] {
        let says = format!(
            "{flag}{}` is about answers",
            if flag == "--format" {
                " model-index"
            } else {
                ""
            }
        );
        refused(
            &here,
            &format!("report g.training {flag} {value}"),
            2,
            &[&says, "hint: leave it out"],
        );
    }
}
