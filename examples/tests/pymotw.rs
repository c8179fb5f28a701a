//! The programs of `pymotw`: each prints its transcript, and there is one for each.

#![cfg(unix)]

mod built;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::LazyLock;

/// How many the chapter has.
const COUNT: usize = 39;

/// The program, built once.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| built::example("pymotw"));

fn run(arguments: &[&str]) -> Output {
    Command::new(&*PROGRAM).args(arguments).output().expect("it was built")
}

/// The names that it lists, in the order of the chapter.
fn names() -> Vec<String> {
    let listed = run(&[]);
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("names are ASCII").lines().map(str::to_owned).collect()
}

fn transcripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("pymotw/transcripts")
}

#[test]
fn each_program_prints_its_transcript() {
    let mut faults = Vec::new();
    for name in names() {
        let expected = fs::read_to_string(transcripts().join(format!("{name}.txt"))).unwrap_or_default();
        let output = run(&[&name]);
        let printed = String::from_utf8_lossy(&output.stdout);
        if printed != expected || !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            faults.push(format!(
                "{name}: {}\n--- expected\n{expected}--- printed\n{printed}--- errors\n{errors}",
                output.status
            ));
        }
    }
    assert!(faults.is_empty(), "{} programs differ\n\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_program_has_a_transcript_and_each_transcript_a_program() {
    let programs: BTreeSet<String> = names().into_iter().collect();
    let written: BTreeSet<String> = fs::read_dir(transcripts())
        .expect("it is there")
        .map(|entry| entry.expect("it can be read").path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(programs, written);
    assert_eq!(programs.len(), COUNT);
    assert_eq!(names().len(), COUNT, "each is listed once");
}

#[test]
fn an_unknown_name_is_an_error() {
    assert!(!run(&["asyncio_nothing"]).status.success());
}
