//! `debugging` prints of each planted bug where it is, and prints what stands in the guide.

// Where a stack is taken.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod built;

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("../debugging.rs");
const PAGE: &str = include_str!("../../docs/guide/15-debugging.md");

/// What it prints, built as tests are: with symbols, and nothing inlined.
static PRINTED: LazyLock<String> = LazyLock::new(|| {
    // Where the source is found by its path as the compiler has it.
    let output = Command::new(built::example("debugging"))
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("it was built");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
});

/// The line of the source on which this bug is planted.
fn line_of(bug: &str) -> usize {
    let mark = format!("// bug: {bug}");
    1 + SOURCE.lines().position(|line| line.ends_with(&mark)).unwrap_or_else(|| panic!("there is no {mark}"))
}

/// The part of the output about this.
fn part<'a>(text: &'a str, heading: &str) -> &'a str {
    let begin = text.find(heading).unwrap_or_else(|| panic!("{heading} is not in\n{text}"));
    let rest = &text[begin + heading.len()..];
    &rest[..rest.find("---").unwrap_or(rest.len())]
}

#[track_caller]
fn check(heading: &str, bug: &str, says: &str) {
    let part = part(&PRINTED, heading);
    let place = format!("debugging.rs:{}", line_of(bug));
    assert!(part.contains(&place), "{place} is not in{part}");
    assert!(part.contains(says), "{says} is not in{part}");
}

#[test]
fn the_slow_callback_is_told_of_with_its_place() {
    check("a callback that holds the loop", "slow", "held its loop meanwhile");
    check("a callback that holds the loop", "slow", "has held worker 0 for");
    // And where the thread was: in that function.
    check("a callback that holds the loop", "sleeps", "debugging::read_everything");
}

#[test]
fn the_lost_error_is_told_of_with_the_place_of_its_task() {
    check("an error that nobody reads", "lost", "the disk is full");
}

#[test]
fn the_unclosed_connection_is_told_of_with_the_place_of_its_task() {
    check("a connection that nobody closes", "unclosed", "dropped without `close`");
}

#[test]
fn the_task_that_waits_for_ever_shows_what_it_waits_for() {
    check("a task that waits for ever", "stuck", "waits for: event.wait");
    check("a task that waits for ever", "waits", "waits for: task");
    check("a task that waits for ever", "awaits", "\"worker\"");
}

/// What does not differ from run to run, nor from one C library to another.
fn normalised(text: &str) -> Vec<String> {
    let is_ours =
        |line: &&str| line.contains("debugging.rs") || line.starts_with("---") || line.contains("waits for");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines().filter(is_ours) {
        let mut shown = String::new();
        for word in line.split_inclusive(' ') {
            let plain = word.trim_end().trim_end_matches(',');
            let is_duration = plain.starts_with(|c: char| c.is_ascii_digit()) && plain.ends_with('s');
            let is_measured = word.starts_with("127.0.0.1:") || is_duration;
            let is_number = word.trim_end().parse::<u64>().is_ok();
            shown.push_str(if is_measured || is_number { "N " } else { word });
        }
        lines.push(shown);
    }
    lines
}

#[test]
fn the_guide_shows_what_it_prints() {
    let (_, rest) = PAGE.split_once("```text\n").expect("it has the output");
    let (shown, _) = rest.split_once("```").expect("it ends");
    assert_eq!(normalised(shown), normalised(&PRINTED), "the guide is to show:\n{}", *PRINTED);
}
