//! `docs/laws.toml`: each promise of the contract, its public path and its tests. What it names must exist.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

const PAGE: &str = "docs/laws.toml";
const FACADE: &str = "crates/asyncio/src/lib.rs";

#[derive(Deserialize)]
struct Page {
    law: Vec<Law>,
}

#[derive(Deserialize)]
struct Law {
    asyncio: String,
    paths: Vec<String>,
    tests: Vec<String>,
}

/// Says what is wrong with the page, given the texts of the tree.
pub(crate) fn faults(tree: &BTreeMap<String, String>) -> Vec<String> {
    let Some(text) = tree.get(PAGE) else { return vec![format!("{PAGE} is not there")] };
    let page: Page = match toml::from_str(text) {
        Ok(page) => page,
        Err(error) => return vec![format!("{PAGE}: {error}")],
    };
    let facade = words(tree.get(FACADE).map_or("", |text| text));
    let declared = declared(tree);
    let (tests, ignored) = tests(tree);
    let mut faults = Vec::new();
    for Law { asyncio, paths, tests: of_law } in &page.law {
        let mut fault = |what: String| faults.push(format!("{PAGE}: {asyncio}: {what}"));
        if paths.is_empty() || of_law.is_empty() {
            fault("a law has a path and a test".into());
        }
        for path in paths {
            let parts: Vec<&str> = path.split("::").collect();
            let is_there = match &parts[..] {
                ["asyncio", item] => facade.contains(item),
                ["asyncio", item, .., last] => facade.contains(item) && declared.contains(last),
                _ => false,
            };
            if !is_there {
                fault(format!("there is no {path}"));
            }
        }
        for test in of_law {
            if !tests.contains(&**test) {
                fault(format!("there is no test {test}"));
            } else if ignored.contains(&**test) {
                fault(format!("the test {test} is ignored"));
            }
        }
    }
    faults
}

/// The words outside of comments.
pub(crate) fn words(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
        .collect()
}

/// The names of public items and methods in our crates.
fn declared(tree: &BTreeMap<String, String>) -> BTreeSet<&str> {
    let sources = tree.iter().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/"));
    let name = |line: &'_ str| -> Option<usize> {
        let kinds = ["fn ", "struct ", "enum ", "trait ", "type ", "mod "];
        kinds.iter().find_map(|kind| line.find(kind).map(|at| at + kind.len()))
    };
    let lines =
        sources.flat_map(|(_, text)| text.lines()).filter(|line| line.trim_start().starts_with("pub "));
    lines
        .filter_map(|line| line[name(line)?..].split(|c: char| !c.is_alphanumeric() && c != '_').next())
        .collect()
}

/// The names of tests, and of those among them that are ignored.
fn tests(tree: &BTreeMap<String, String>) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut tests, mut ignored) = (BTreeSet::new(), BTreeSet::new());
    for text in tree.iter().filter(|(path, _)| path.starts_with("crates/")).map(|(_, text)| text) {
        let (mut is_test, mut is_ignored) = (false, false);
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line == "#[test]" || line.starts_with("#[asyncio::test");
                // The mark that this looks for, not one of its own.
                is_ignored |= line.starts_with("#[ignore");
            } else if let (true, Some((_, rest))) = (is_test, line.split_once("fn ")) {
                let name = rest.split('(').next().unwrap_or("");
                tests.insert(name);
                if is_ignored {
                    ignored.insert(name);
                }
                (is_test, is_ignored) = (false, false);
            }
        }
    }
    (tests, ignored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(law: &str, test: &str) -> BTreeMap<String, String> {
        [
            (PAGE, law.to_owned()),
            (FACADE, String::from("pub use asyncio_tasks::{Task, spawn};")),
            ("crates/asyncio-tasks/src/task.rs", String::from("impl Task {\n    pub fn cancel(&self) {}\n}")),
            ("crates/asyncio-tasks/tests/it/task.rs", format!("#[test]\n{test}fn it_holds() {{}}")),
        ]
        .map(|(path, text)| (path.to_owned(), text))
        .into()
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        let law = |path: &str, test: &str| {
            format!("[[law]]\nasyncio = \"create_task\"\npaths = [\"{path}\"]\ntests = [\"{test}\"]\n")
        };
        let of = |path, test| faults(&tree(&law(path, test), ""));
        assert_eq!(of("asyncio::spawn", "it_holds"), [""; 0]);
        assert_eq!(of("asyncio::Task::cancel", "it_holds"), [""; 0]);
        assert_eq!(
            of("asyncio::spin", "it_holds"),
            ["docs/laws.toml: create_task: there is no asyncio::spin"]
        );
        assert_eq!(of("asyncio::Task::kill", "it_holds").len(), 1);
        assert_eq!(of("asyncio::spawn", "it_does_not").len(), 1);
        // A law whose test is switched off is refused, with a reason or without.
        let ignored = faults(&tree(&law("asyncio::spawn", "it_holds"), "#[ignore = \"slow\"]\n"));
        assert_eq!(ignored, ["docs/laws.toml: create_task: the test it_holds is ignored"]);
        assert_eq!(faults(&BTreeMap::new()).len(), 1);
    }
}
