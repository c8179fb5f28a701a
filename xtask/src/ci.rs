//! What a submission must pass, and the README's test command.

use anyhow::Result;

use crate::shell::{self, cargo, cargo_program, command, root};
use crate::{cross, floor, layers, loom, planted, shuttle, sim, tidy};

/// The examples that compute for long, and the crawler, which is built by the README's command.
const RELEASE_EXAMPLES: [&str; 4] = ["crawler", "sim_echo", "sim_kv", "threads_and_processes"];

/// How much to check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What every submission must pass.
    Submission,
    /// What takes longer, too.
    Full,
}

fn run_step(name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = std::time::Instant::now();
    eprintln!("\n=== {name}");
    step()?;
    eprintln!("=== {name}: {} s", start.elapsed().as_secs());
    Ok(())
}

pub(crate) fn run(extent: Extent) -> Result<()> {
    run_step("fmt", || cargo(&["fmt", "--all", "--check"]))?;
    run_step("tidy", tidy::run)?;
    run_step("layers", layers::run)?;
    // `--all-targets` leaves out doc tests, which `test` runs.
    run_step("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
    })?;
    run_step("doc", doc)?;
    // Tests wait a good part of their time.
    let builds = std::thread::spawn(build_beside);
    let tested = run_step("test", test);
    let built = run_step("what is built beside", || builds.join().expect("it does not panic"));
    if let (Err(_), Err(error)) = (&tested, &built) {
        eprintln!("error: what is built beside: {error:#}");
    }
    tested.and(built)?;
    run_step("examples", examples)?;
    run_step("floor", floor::run)?;
    run_step("loom", || loom::run(loom::Extent::Short))?;
    if extent == Extent::Full {
        run_step("shuttle", shuttle::run)?;
        run_step("loom, three preemptions", || loom::run(loom::Extent::Full))?;
        run_step("planted", planted::run)?;
        run_step("cross", cross::run)?;
        run_step("address sanitizer", address_sanitizer)?;
        run_step("soak", soak)?;
        run_step("model of structure", model)?;
        run_step("simulation", sim::run)?;
        run_step("fuzz", fuzz)?;
    }
    Ok(())
}

/// Builds what the steps behind `test` run, beside it: with what it leaves of the processors.
fn build_beside() -> Result<()> {
    let mut release = vec!["build", "--quiet", "--release"];
    release.extend(RELEASE_EXAMPLES.iter().flat_map(|example| ["--example", example]));
    shell::run(&mut shell::when_idle(&command(&cargo_program(), &release)))?;
    shell::run(&mut shell::when_idle(floor::build().arg("--quiet")))?;
    shell::run(&mut shell::when_idle(loom::models(loom::Extent::Short).args(["--quiet", "--no-run"])))
}

/// Every test of the workspace. `benches/` is a workspace of its own and is not built.
pub(crate) fn test() -> Result<()> {
    cargo(&["test", "--workspace", "--all-features"])
}

/// A minute of every kind of load, one of 19,000 connections that come and go, a gibibyte each way, 50,000 handshakes, and 20,000 children. `test` runs a few seconds of all.
fn soak() -> Result<()> {
    let tests = [
        ("asyncio", "soak", ""),
        ("asyncio-net", "churn", ""),
        ("asyncio-net", "it", "a_great_many"),
        ("asyncio-net", "tls_churn", ""),
        ("asyncio-process", "churn", ""),
    ];
    for (package, name, only) in tests {
        let mut test = command(
            &cargo_program(),
            &[
                "test",
                "--release",
                "--all-features",
                "--package",
                package,
                "--test",
                name,
                "--",
                only,
                "--nocapture",
            ],
        );
        shell::run(test.env("ASYNCIO_SOAK_SECONDS", "60"))?;
    }
    Ok(())
}

/// Each fuzz target for a minute, on nightly, by cargo-fuzz. `test` runs their checks on seeds and random bytes.
fn fuzz() -> Result<()> {
    for target in ["splitting", "framing", "addresses", "resp"] {
        let limits = ["--", "-max_total_time=60", "-timeout=5", "-rss_limit_mb=2048"];
        let mut run = command("cargo", &["+nightly", "fuzz", "run", target]);
        shell::run(run.args(limits).current_dir(root().join("crates/asyncio-net")))?;
    }
    Ok(())
}

/// Five million random trees of scopes. `test` runs fifteen thousand.
fn model() -> Result<()> {
    let arguments =
        ["test", "--release", "--package", "asyncio-tasks", "--test", "model", "--", "--nocapture"];
    shell::run(command(&cargo_program(), &arguments).env("ASYNCIO_MODEL_TREES", "5000000"))
}

fn doc() -> Result<()> {
    let mut doc = command(&cargo_program(), &["doc", "--workspace", "--no-deps", "--all-features"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// Runs every example; each ends in assertions. As `test` has built them, but for [`RELEASE_EXAMPLES`].
pub(crate) fn examples() -> Result<()> {
    for example in RELEASE_EXAMPLES {
        cargo(&["run", "--release", "--example", example])?;
    }
    // With all features and of no package: so they are what `test` has built.
    let run = ["run", "--quiet", "--all-features"];
    let examples = [
        "say_after",
        "task_group",
        "echo",
        "echo_protocol",
        "echo_streams",
        "tls_echo",
        "proxy",
        "udp_echo",
        "file_server",
        "socks_proxy",
        "redis_like",
        "http_server",
        "chat",
        "async_cleanup",
        "custom_reactor",
        "own_runtime",
        "guest_mode",
        "subprocess",
        "signals",
        "tail_f",
        "debugging",
        "pymotw",
    ];
    for example in examples {
        cargo(&[&run[..], &["--example", example]].concat())?;
    }
    for example in ["graceful_shutdown", "guide_chat"] {
        cargo(&[&run[..], &["--example", example, "--", "--demo"]].concat())?;
    }
    // With their own features alone.
    for package in ["executor_only", "reactor_only"] {
        cargo(&["run", "--quiet", "--package", package])?;
    }
    Ok(())
}

/// The tests of the crates with unsafe code or threads, under AddressSanitizer, on nightly.
///
/// Not under ThreadSanitizer: the toolchain's std is not instrumented and cannot be built here, so everything that stands behind a
/// `std::sync::Mutex` is reported, in tokio too. The loom models take its place.
fn address_sanitizer() -> Result<()> {
    let test = |packages: &[&str]| {
        let mut test =
            command("cargo", &["+nightly", "test", "--target", "x86_64-unknown-linux-gnu", "--tests"]);
        packages.iter().for_each(|package| _ = test.args(["--package", package]));
        test.env("RUSTFLAGS", "-Zsanitizer=address --cfg asan")
            .env("CARGO_TARGET_DIR", "target/address-sanitizer");
        test
    };
    let others = ["asyncio-executor", "asyncio-reactor", "asyncio-timers", "asyncio-runtime", "asyncio-net"];
    shell::run(&mut test(&others))?;
    // Their tests forget futures and handles on purpose.
    let mut tasks = test(&["asyncio-tasks", "asyncio-sync"]);
    shell::run(tasks.env("ASAN_OPTIONS", "detect_leaks=0").env("ASYNCIO_MODEL_TREES", "20000"))
}
