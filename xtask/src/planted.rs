//! Bugs that are planted, one at a time, each of which the test that it names must find: `tests/planted/*.patch`.
//!
//! The first lines of a patch say what the bug is (`# bug: …`), which command finds it (`# finds: cargo …`), and, where that runs several tests, which of
//! them fail (`# kills: …`), each of which is run by itself; what follows is for `git apply`. Each is applied to a copy of the tree, so that nothing is left behind. A command that hangs has found it too, after
//! [`PATIENCE`]; without a bug each must pass.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{self, command, root};

/// A test that takes longer, once it is built, waits for a wake that was lost.
const PATIENCE: Duration = Duration::from_secs(60);

struct Plant {
    path: PathBuf,
    bug: String,
    /// The file that it changes, the first if there are several: bugs of one file follow one another, so that little is built anew.
    file: String,
    finds: Vec<String>,
    /// Tests that must fail each, of those that `finds` runs.
    kills: Vec<String>,
}

pub(crate) fn run() -> Result<()> {
    let plants = read(&root().join("tests/planted"))?;
    ensure!(!plants.is_empty(), "there are no patches in tests/planted");
    let copy = root().join("target/planted/tree");
    // What is not in the tree any more is not in the copy.
    if copy.exists() {
        std::fs::remove_dir_all(&copy).context("removing the copy of the tree")?;
    }
    // A test that fails by itself would find anything.
    refresh(&copy, Write::Yes)?;
    let mut commands: Vec<&[String]> = plants.iter().map(|plant| &*plant.finds).collect();
    commands.sort();
    commands.dedup();
    for finds in commands {
        ensure!(!fails(finds, &copy)?, "without a planted bug, `{}` does not pass", finds.join(" "));
    }
    let mut survivors = Vec::new();
    for plant in &plants {
        let name = plant.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        eprintln!("\n=== {name}: {}", plant.bug);
        refresh(&copy, Write::Yes)?;
        let patch = plant.path.to_string_lossy();
        let mut apply = Command::new("git");
        apply.args(["apply", "--whitespace=nowarn", &patch]).current_dir(&copy);
        // The copy is no part of the repository around it, or git would pass over every file without a word.
        apply.env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(&copy));
        shell::run(&mut apply).with_context(|| format!("{name} does not fit any more: make it anew"))?;
        ensure!(refresh(&copy, Write::No)? > 0, "{name} changed nothing");
        // One that does not compile any more is no bug, and the others are looked at all the same.
        match finds_all(plant, &copy) {
            Ok(true) => eprintln!("=== {name}: found"),
            Ok(false) => {
                eprintln!("=== {name}: SURVIVED `{}`", plant.finds.join(" "));
                survivors.push(name);
            }
            Err(error) => {
                eprintln!("=== {name}: {error:#}");
                survivors.push(name);
            }
        }
    }
    if !survivors.is_empty() {
        bail!(
            "{} of {} planted bugs were not found: {}",
            survivors.len(),
            plants.len(),
            survivors.join(", ")
        );
    }
    println!("planted: {} bugs, each found by the test it names", plants.len());
    Ok(())
}

fn read(folder: &Path) -> Result<Vec<Plant>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    let mut plants: Vec<Plant> = paths.into_iter().map(read_one).collect::<Result<_>>()?;
    plants.sort_by(|one, other| (&one.file, &one.path).cmp(&(&other.file, &other.path)));
    Ok(plants)
}

fn read_one(path: PathBuf) -> Result<Plant> {
    let text = std::fs::read_to_string(&path)?;
    let line = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key));
        found.map(str::trim).with_context(|| format!("{} has no line `{key}`", path.display()))
    };
    let bug = line("# bug:")?.to_owned();
    let file = line("diff --git a/")?.to_owned();
    let finds: Vec<String> = line("# finds:")?.split_whitespace().map(str::to_owned).collect();
    ensure!(!finds.is_empty(), "{} names no command", path.display());
    // They are not built before they run, so a bug that does not compile would count as found.
    ensure!(!finds.contains(&"--doc".to_owned()), "{}: a doc test cannot find a bug", path.display());
    let kills = text.lines().find_map(|line| line.strip_prefix("# kills:")).unwrap_or_default();
    let kills = kills.split_whitespace().map(str::to_owned).collect();
    Ok(Plant { path, bug, file, finds, kills })
}

/// Whether each test that is to find the bug does.
fn finds_all(plant: &Plant, copy: &Path) -> Result<bool> {
    if plant.kills.is_empty() {
        return fails(&plant.finds, copy);
    }
    for kill in &plant.kills {
        let one: Vec<String> =
            plant.finds.iter().cloned().chain(["--".into(), "--exact".into(), kill.clone()]).collect();
        if !fails(&one, copy)? {
            eprintln!("=== {kill} does not find it");
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Yes,
    No,
}

/// Compares the copy with the tree, makes it equal if it is to, and returns how many files differed. Files that did not change keep their time,
/// so that little is built anew.
fn refresh(copy: &Path, write: Write) -> Result<usize> {
    let files =
        shell::output(&mut command("git", &["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut differing = 0;
    for file in files.lines() {
        let (from, to) = (root().join(file), copy.join(file));
        // A file that is deleted and not committed yet.
        let Ok(now) = std::fs::read(&from) else { continue };
        if std::fs::read(&to).is_ok_and(|then| then == now) {
            continue;
        }
        differing += 1;
        if write == Write::Yes {
            std::fs::create_dir_all(to.parent().unwrap_or(copy))?;
            std::fs::write(&to, now)?;
        }
    }
    Ok(differing)
}

/// Builds the test, which must succeed: a bug that does not compile is none. Then runs it, and says whether it fails.
fn fails(finds: &[String], copy: &Path) -> Result<bool> {
    let test = |more: &[&str]| {
        let (variables, words): (Vec<_>, Vec<_>) = finds.iter().partition(|word| is_variable(word));
        // Before the `--`, behind which stand words for the test itself.
        let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
        let mut test = Command::new(words[0]);
        test.args(&words[1..end]).args(more).args(&words[end..]).current_dir(copy);
        test.env("CARGO_TARGET_DIR", root().join("target/planted/build"));
        // It is built hundreds of times, and nobody debugs it.
        test.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        for variable in variables {
            if let Some((name, value)) = variable.split_once('=') {
                // A blank in a value is written as a plus sign.
                test.env(name, value.replace('+', " "));
            }
        }
        test
    };
    let built = test(&["--no-run", "--quiet"]).status()?;
    ensure!(built.success(), "`{}` does not compile", finds.join(" "));
    let mut running = test(&["--quiet"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    loop {
        if let Some(status) = running.try_wait()? {
            return Ok(!ExitStatus::success(&status));
        }
        if start.elapsed() > PATIENCE {
            // Cargo's child too, which is the one that hangs.
            let _ = Command::new("pkill").args(["-KILL", "-P", &running.id().to_string()]).status();
            running.kill()?;
            running.wait()?;
            return Ok(true);
        }
        // Between two looks: std has no wait with a limit.
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That each patch still fits is part of the ordinary tests; that it is found, of `cargo xtask planted`.
    #[test]
    fn every_patch_says_what_it_is_and_still_fits() {
        let plants = read(&root().join("tests/planted")).unwrap();
        assert!(!plants.is_empty());
        for plant in plants {
            let patch = plant.path.to_string_lossy().into_owned();
            let check =
                command("git", &["apply", "--check", "--whitespace=nowarn", &patch]).status().unwrap();
            assert!(check.success(), "{patch} does not fit any more: make it anew");
        }
    }

    /// A model that no planted bug is found by might not be able to fail.
    #[test]
    fn every_model_of_the_primitives_finds_a_planted_bug() {
        let plants = read(&root().join("tests/planted")).unwrap();
        let folder = root().join("crates/asyncio-sync/src/loom_tests");
        let mut models = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let module = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let of_tests = text.split("#[test]").skip(1).filter_map(|test| test.split_once("fn "));
            models.extend(
                of_tests
                    .map(|(_, rest)| format!("loom_tests::{module}::{}", rest.split('(').next().unwrap())),
            );
        }
        assert!(models.len() >= 45, "there are {} models", models.len());
        let finds = |model: &String| plants.iter().any(|plant| plant.kills.contains(model));
        let idle: Vec<_> = models.iter().filter(|model| !finds(model)).collect();
        assert!(idle.is_empty(), "no planted bug is found by {idle:?}");
    }
}
