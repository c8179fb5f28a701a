//! What rustfmt and clippy do not know about: module headers, lengths, the list of files with unsafe, names in the architecture page,
//! reasons beside dependencies and features.
//!
//! Every rule is a function from the texts of the tree to faults, so that a test can plant one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};

use crate::layers::ARROWS;
use crate::shell::{command, output, root};
use crate::{coming_from, laws};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["prelude", "utils", "common", "helpers", "manager"];

/// The texts of the tree, by path from the root.
type Tree = BTreeMap<String, String>;

pub(crate) fn run() -> Result<()> {
    let tree = read_tree()?;
    let faults = faults(&tree);
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    eprintln!("tidy: {} files", tree.len());
    Ok(())
}

fn read_tree() -> Result<Tree> {
    // What git knows or would add: nothing that was built.
    let list = output(&mut command("git", &["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut tree = Tree::new();
    for path in
        list.lines().filter(|path| path.ends_with(".rs") || path.ends_with(".toml") || path.ends_with(".md"))
    {
        // A file that was removed and not yet committed is not there.
        if let Ok(bytes) = std::fs::read(root().join(path)) {
            let text = String::from_utf8(bytes).with_context(|| format!("{path} is not UTF-8"))?;
            tree.insert(path.to_owned(), text);
        }
    }
    Ok(tree)
}

fn faults(tree: &Tree) -> Vec<String> {
    let rules: &[fn(&Tree) -> Vec<String>] = &[
        headers,
        file_lengths,
        function_lengths,
        unsafe_list,
        unsafe_attributes,
        empty_names,
        shim,
        architecture_names,
        architecture_table,
        dependency_reasons,
        features,
        laws::faults,
        coming_from::faults,
    ];
    rules.iter().flat_map(|rule| rule(tree)).collect()
}

fn rust_files(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
}

fn text<'a>(tree: &'a Tree, path: &str) -> &'a str {
    tree.get(path).map_or("", String::as_str)
}

fn headers(tree: &Tree) -> Vec<String> {
    let lacks = |text: &str| !text.starts_with("//!");
    rust_files(tree)
        .filter(|(_, text)| lacks(text))
        .map(|(path, _)| format!("{path}: opens without a `//!` that says what it holds"))
        .collect()
}

fn file_lengths(tree: &Tree) -> Vec<String> {
    let may_be_long = |path: &str| LONG_FILES.iter().any(|(long, _)| *long == path);
    rust_files(tree)
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|&(path, lines)| lines > FILE_LINES_MAX && !may_be_long(path))
        .map(|(path, lines)| {
            format!("{path}: {lines} lines; over {FILE_LINES_MAX} it needs a reason in xtask/src/tidy.rs")
        })
        .collect()
}

fn function_lengths(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in rust_files(tree) {
        for (line, lines) in functions(text) {
            if lines > FUNCTION_LINES_MAX {
                faults.push(format!(
                    "{path}:{line}: a function of {lines} lines; at most {FUNCTION_LINES_MAX}"
                ));
            }
        }
    }
    faults
}

/// Finds functions by their first line and the closing brace at the same indentation, which rustfmt guarantees.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let is_function =
            trimmed.starts_with("fn ") || (trimmed.contains(" fn ") && !trimmed.starts_with("//"));
        let is_whole = trimmed.ends_with(';') || trimmed.ends_with('}');
        if !is_function || is_whole || trimmed.contains('"') {
            continue;
        }
        let indent = line.len() - trimmed.len();
        let closing = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|line| *line == closing) {
            found.push((start + 1, length + 1));
        }
    }
    found
}

/// Whether a line of code, comments aside, has the keyword.
fn has_unsafe(text: &str) -> bool {
    text.lines().any(|line| {
        let code = line.split("//").next().unwrap_or("");
        ["unsafe {", "unsafe impl", "unsafe fn", "unsafe trait", "unsafe extern"]
            .iter()
            .any(|keyword| code.contains(keyword) && !code.contains(&format!("\"{keyword}")))
    })
}

fn listed_unsafe(tree: &Tree) -> BTreeSet<&str> {
    let rows = text(tree, "docs/unsafe.md").lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).collect()
}

fn unsafe_list(tree: &Tree) -> Vec<String> {
    let found: BTreeSet<&str> = rust_files(tree)
        .filter(|(path, text)| *path != "xtask/src/tidy.rs" && has_unsafe(text))
        .map(|(path, _)| path)
        .collect();
    let listed = listed_unsafe(tree);
    let unlisted = found
        .difference(&listed)
        .map(|path| format!("{path}: has unsafe code and is not listed in docs/unsafe.md"));
    let stale = listed
        .difference(&found)
        .map(|path| format!("docs/unsafe.md: lists {path}, which has no unsafe code"));
    unlisted.chain(stale).collect()
}

fn unsafe_attributes(tree: &Tree) -> Vec<String> {
    let listed = listed_unsafe(tree);
    let mut faults = Vec::new();
    for path in &listed {
        // rustfmt may break the attribute over several lines.
        let spaceless: String = text(tree, path).split_whitespace().collect();
        if path.contains("/src/") && !spaceless.contains("#![expect(unsafe_code,reason=") {
            faults.push(format!("{path}: opens without `#![expect(unsafe_code, reason = \"...\")]`"));
        }
    }
    for (path, text) in
        rust_files(tree).filter(|(path, _)| path.starts_with("crates/") && path.ends_with("src/lib.rs"))
    {
        let folder = path.trim_end_matches("lib.rs");
        let wanted = match listed.iter().any(|listed| listed.starts_with(folder)) {
            true => "#![deny(unsafe_code)]",
            false => "#![forbid(unsafe_code)]",
        };
        if !text.contains(wanted) {
            faults.push(format!("{path}: does not say `{wanted}`"));
        }
    }
    faults
}

fn empty_names(tree: &Tree) -> Vec<String> {
    let stem = |path: &str| {
        path.trim_end_matches(".rs").trim_end_matches("/mod").rsplit('/').next().unwrap_or("").to_owned()
    };
    rust_files(tree)
        .filter(|(path, _)| EMPTY_NAMES.contains(&stem(path).as_str()))
        .map(|(path, _)| format!("{path}: a name that says nothing"))
        .collect()
}

/// Atomics and locks come from the shim, so that the models see the code that ships.
fn shim(tree: &Tree) -> Vec<String> {
    // The second form is written out, with its reason beside it, where a static or a `Condvar` needs std's.
    let is_import = |line: &str| {
        let line = line.trim_start_matches("pub ");
        line.starts_with("use std::sync::atomic")
            || (line.starts_with("use std::sync::") && line.contains("Mutex,"))
    };
    rust_files(tree)
        .filter(|(path, _)| {
            path.starts_with("crates/") && path.contains("/src/") && !path.ends_with("/shim.rs")
        })
        .filter(|(_, text)| text.lines().any(is_import))
        .map(|(path, _)| {
            format!("{path}: takes an atomic or a lock from std instead of `asyncio_base::shim`")
        })
        .collect()
}

/// Every path in backticks in the architecture page exists, and every crate that is there is named.
fn architecture_names(tree: &Tree) -> Vec<String> {
    let page = text(tree, "docs/architecture.md");
    let exists = |name: &str| {
        let folder = format!("{}/", name.trim_end_matches('/'));
        tree.contains_key(name) || tree.keys().any(|path| path.starts_with(&folder))
    };
    let is_path = |name: &&str| {
        ["crates/", "examples/", "benches/", "xtask/", "docs/"].iter().any(|top| name.starts_with(top))
    };
    let named: BTreeSet<&str> = page.split('`').skip(1).step_by(2).collect();
    let missing = named.iter().copied().filter(is_path).filter(|name| !exists(name));
    let mut faults: Vec<String> =
        missing.map(|name| format!("docs/architecture.md: names `{name}`, which is not there")).collect();
    for path in tree.keys().filter(|path| path.starts_with("crates/") && path.ends_with("/Cargo.toml")) {
        let folder = path.trim_end_matches("/Cargo.toml");
        if !named.contains(folder) {
            faults.push(format!("docs/architecture.md: does not name `{folder}`"));
        }
        let package = folder.rsplit_once('/').map_or(folder, |(_, name)| name);
        if !tree[path].contains(&format!("name = \"{package}\"")) {
            faults.push(format!("{path}: the folder is not named as the package"));
        }
    }
    faults
}

/// The table of arrows stands in the architecture page as it stands in `layers.rs`.
fn architecture_table(tree: &Tree) -> Vec<String> {
    let page = text(tree, "docs/architecture.md");
    let is_there = |name: &str| tree.contains_key(&format!("crates/{name}/Cargo.toml"));
    ARROWS
        .iter()
        .filter(|(name, _)| is_there(name))
        .map(|(name, may)| {
            format!("| `crates/{name}` | {} |", if may.is_empty() { "–".into() } else { may.join(", ") })
        })
        .filter(|row| !page.contains(row.as_str()))
        .map(|row| format!("docs/architecture.md: lacks the row {row}"))
        .collect()
}

/// Each dependency of others in the root manifest has its reason beside it.
fn dependency_reasons(tree: &Tree) -> Vec<String> {
    let manifest = text(tree, "Cargo.toml");
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap_or("");
    let section = section.split("\n[").next().unwrap_or("");
    section
        .lines()
        .filter(|line| line.contains(" = ") && !line.contains("path = \"crates/"))
        .filter(|line| !line.contains(" # "))
        .map(|line| format!("Cargo.toml: no reason beside `{line}`"))
        .collect()
}

/// Each feature has a comment above it and a line in the crate's front page.
fn features(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, manifest) in
        tree.iter().filter(|(path, _)| path.starts_with("crates/") && path.ends_with("/Cargo.toml"))
    {
        let front = text(tree, &path.replace("Cargo.toml", "src/lib.rs")).to_owned();
        let section = manifest.split("[features]\n").nth(1).unwrap_or("").split("\n[").next().unwrap_or("");
        let mut above = "";
        for line in section.lines() {
            let name = line.split(" = ").next().unwrap_or("");
            if line.contains(" = ") && name != "default" {
                if !above.starts_with('#') {
                    faults.push(format!("{path}: the feature {name} has no comment above it"));
                }
                if !front.contains(&format!("//! - `{name}`")) {
                    faults.push(format!("{path}: the feature {name} has no line in the crate's front page"));
                }
            }
            above = line;
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as it is, with one file changed: the new faults.
    fn planted(path: &str, change: impl FnOnce(&str) -> String) -> Vec<String> {
        let mut tree = read_tree().unwrap();
        assert_eq!(faults(&tree), [] as [String; 0], "the tree itself is not tidy");
        let changed = change(text(&tree, path));
        tree.insert(path.into(), changed);
        faults(&tree)
    }

    fn check(path: &str, change: impl FnOnce(&str) -> String, expected: &str) {
        let faults = planted(path, change);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{expected:?} is not in {faults:?}");
    }

    const SOME: &str = "crates/asyncio-base/src/planted.rs";

    #[test]
    fn a_file_without_a_header_is_refused() {
        check(SOME, |_| "fn f() {}\n".into(), "opens without a `//!`");
    }

    #[test]
    fn a_file_of_601_lines_is_refused_and_one_of_600_is_not() {
        check(SOME, |_| "//! x\n".repeat(601), "601 lines");
        assert_eq!(planted(SOME, |_| "//! x\n".repeat(600)), [] as [String; 0]);
    }

    #[test]
    fn a_function_of_71_lines_is_refused_and_one_of_70_is_not() {
        let function = |lines: usize| format!("//! x\n\nfn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        check(SOME, |_| function(71), "a function of 71 lines");
        assert_eq!(planted(SOME, |_| function(70)), [] as [String; 0]);
    }

    #[test]
    fn an_unlisted_unsafe_is_refused_and_so_is_a_stale_entry() {
        check(SOME, |_| "//! x\n\nfn f() {\n    unsafe { g() }\n}\n".into(), "not listed in docs/unsafe.md");
        check("docs/unsafe.md", |page| format!("{page}\n| `{SOME}` | x |\n"), "which has no unsafe code");
        check(
            "crates/asyncio-base/src/lib.rs",
            |text| text.replace("#![forbid(unsafe_code)]", ""),
            "does not say",
        );
    }

    #[test]
    fn a_name_in_the_architecture_page_that_does_not_exist_is_refused() {
        check(
            "docs/architecture.md",
            |page| format!("{page}\n`crates/asyncio-gone/src/lib.rs`\n"),
            "which is not there",
        );
        check(
            "docs/architecture.md",
            |page| page.replace("crates/asyncio-timers", "crates/x"),
            "does not name",
        );
        check(
            "docs/architecture.md",
            |page| page.replace("| base, executor, timers |", "| base |"),
            "lacks the row",
        );
    }

    #[test]
    fn a_dependency_or_a_feature_without_a_reason_is_refused() {
        check(
            "Cargo.toml",
            |text| text.replace("slab = \"0.4.11\" ", "slab = \"0.4.11\"\n"),
            "no reason beside",
        );
        check(
            "crates/asyncio-base/Cargo.toml",
            |text| text.replace("[features]\n", "[features]\nplanted = []\n"),
            "the feature planted has no comment",
        );
    }

    #[test]
    fn an_atomic_of_std_is_refused() {
        check(
            SOME,
            |_| "//! x\n\nuse std::sync::atomic::AtomicBool;\n".into(),
            "instead of `asyncio_base::shim`",
        );
    }

    #[test]
    fn a_name_that_says_nothing_is_refused() {
        check("crates/asyncio-base/src/utils.rs", |_| "//! x\n".into(), "a name that says nothing");
    }
}
