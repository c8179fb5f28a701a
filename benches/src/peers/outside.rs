//! What lies outside of the loop: threads, children, pipes and files, by ours and by other libraries, each on its own runtime of one thread.

use std::future::Future;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use asyncio::process::{Functions, ProcessPool};
use futures_lite::AsyncReadExt as _;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncReadExt as _;

/// The libraries, in the order of the report. "threads" is the same by hand, with std.
pub const LIBRARIES: [&str; 4] = ["asyncio", "tokio", "smol", "threads"];

const THREE: &[&str] = &["asyncio", "tokio", "smol"];
const ALL: &[&str] = &["asyncio", "tokio", "smol", "threads"];

/// A case, its unit, and the libraries that have it.
pub const CASES: [(&str, &str, &[&str]); 9] = [
    ("out_to_thread", "us", THREE),
    ("out_to_thread_cpu", "us", THREE),
    ("out_submit_1", "ns", THREE),
    ("out_submit_8", "ns", THREE),
    ("out_submit_8_cpu", "ns", THREE),
    ("out_spawn", "us", ALL),
    ("out_pipe", "GB/s", ALL),
    ("out_fs_read", "us", ALL),
    ("out_process_pool", "us", &["asyncio", "threads"]),
];

/// Short calls, as many as the issue has.
const CALLS: usize = 100_000;
const CHILDREN: usize = 1000;
const ALIVE: usize = 32;
const FILES: usize = 10_000;
const FILE_SIZE: usize = 16 * 1024;
const PIPE_BYTES: u64 = 1 << 30;

/// Measures a case of one library.
pub fn measure(case: &str, library: &str) -> Result<f64> {
    Ok(match case {
        "out_to_thread" => {
            let calls = 20_000;
            round_trips(library, calls)?.as_secs_f64() * 1e6 / calls as f64
        }
        "out_to_thread_cpu" => {
            let (calls, before) = (20_000, cpu_time());
            round_trips(library, calls)?;
            (cpu_time() - before).as_secs_f64() * 1e6 / calls as f64
        }
        "out_submit_1" => submit(library, 1)?.as_nanos() as f64 / CALLS as f64,
        "out_submit_8" => submit(library, 8)?.as_nanos() as f64 / CALLS as f64,
        "out_submit_8_cpu" => {
            let before = cpu_time();
            submit(library, 8)?;
            (cpu_time() - before).as_nanos() as f64 / CALLS as f64
        }
        "out_spawn" => spawn_and_reap(library)?.as_secs_f64() * 1e6 / CHILDREN as f64,
        "out_pipe" => PIPE_BYTES as f64 / pipe(library)?.as_secs_f64() / 1e9,
        "out_process_pool" => {
            let calls = 20_000;
            other_process(library, calls)?.as_secs_f64() * 1e6 / f64::from(calls)
        }
        "out_fs_read" => read_files(library)?.as_secs_f64() * 1e6 / FILES as f64,
        _ => bail!("no such case: {case}"),
    })
}

/// Of all threads of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn on_tokio<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(future)
}

async fn timed(future: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    future.await;
    start.elapsed()
}

/// One call after the other, each awaited.
fn round_trips(library: &str, calls: usize) -> Result<Duration> {
    Ok(match library {
        "asyncio" => asyncio::run(timed(async {
            for n in 0..calls {
                black_box(asyncio::to_thread(move || black_box(n)).await.ok());
            }
        })),
        "tokio" => on_tokio(timed(async {
            for n in 0..calls {
                black_box(tokio::task::spawn_blocking(move || black_box(n)).await.ok());
            }
        })),
        "smol" => smol::block_on(timed(async {
            for n in 0..calls {
                black_box(smol::unblock(move || black_box(n)).await);
            }
        })),
        _ => bail!("{library} has no such thing"),
    })
}

/// So many threads submit calls at once, and then all are awaited.
fn submit(library: &str, submitters: usize) -> Result<Duration> {
    fn from_threads<T: Send>(submitters: usize, run: impl Fn(usize) -> T + Sync, all: impl Fn(Vec<T>)) {
        let calls: Vec<Vec<T>> = std::thread::scope(|scope| {
            let submit = || (0..CALLS / submitters).map(&run).collect::<Vec<T>>();
            let threads: Vec<_> = (0..submitters).map(|_| scope.spawn(submit)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
        });
        calls.into_iter().for_each(all);
    }
    let start = Instant::now();
    match library {
        "asyncio" => {
            let pool = asyncio::blocking::ThreadPool::builder().build();
            from_threads(
                submitters,
                |n| pool.run(move || black_box(n)),
                |calls| {
                    asyncio::executor::block_on(async {
                        for call in calls {
                            black_box(call.await.ok());
                        }
                    });
                },
            );
        }
        "tokio" => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            from_threads(
                submitters,
                |n| runtime.handle().spawn_blocking(move || black_box(n)),
                |calls| {
                    runtime.block_on(async {
                        for call in calls {
                            black_box(call.await.ok());
                        }
                    });
                },
            );
        }
        "smol" => from_threads(
            submitters,
            |n| smol::unblock(move || black_box(n)),
            |calls| {
                smol::block_on(async {
                    for call in calls {
                        black_box(call.await);
                    }
                });
            },
        ),
        _ => bail!("{library} has no such thing"),
    }
    Ok(start.elapsed())
}

/// A thousand children that end at once, 32 of them at a time.
fn spawn_and_reap(library: &str) -> Result<Duration> {
    /// Each of 32 tasks has its share of the children.
    async fn all<F: Future<Output = ()>>(one: impl Fn() -> F + Copy) {
        let share = async || {
            for _ in 0..CHILDREN / ALIVE {
                one().await;
            }
        };
        futures::future::join_all((0..ALIVE).map(|_| share())).await;
    }
    Ok(match library {
        "asyncio" => asyncio::run(timed(all(|| async {
            asyncio::process::Command::new("/bin/true").status().await.expect("it runs");
        }))),
        "tokio" => on_tokio(timed(all(|| async {
            tokio::process::Command::new("/bin/true").status().await.expect("it runs");
        }))),
        "smol" => smol::block_on(timed(all(|| async {
            smol::process::Command::new("/bin/true").status().await.expect("it runs");
        }))),
        "threads" => {
            let start = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..ALIVE {
                    scope.spawn(|| {
                        for _ in 0..CHILDREN / ALIVE {
                            std::process::Command::new("/bin/true").status().expect("it runs");
                        }
                    });
                }
            });
            start.elapsed()
        }
        _ => bail!("{library} has no such thing"),
    })
}

/// What a child writes as fast as it can, read in pieces of 64 KiB.
fn pipe(library: &str) -> Result<Duration> {
    let arguments = ["-c".to_owned(), PIPE_BYTES.to_string(), "/dev/zero".to_owned()];
    let mut buf = vec![0; 64 * 1024];
    Ok(match library {
        "asyncio" => asyncio::run(timed(async {
            let mut command = asyncio::process::Command::new("head");
            let mut child = command.args(&arguments).stdout(Stdio::piped()).spawn().expect("it runs");
            let mut stdout = child.stdout.take().expect("it is a pipe");
            while stdout.read(&mut buf).await.expect("it can be read") > 0 {}
            child.wait().await.expect("it ends");
        })),
        "tokio" => on_tokio(timed(async {
            let mut command = tokio::process::Command::new("head");
            let mut child = command.args(&arguments).stdout(Stdio::piped()).spawn().expect("it runs");
            let mut stdout = child.stdout.take().expect("it is a pipe");
            while stdout.read(&mut buf).await.expect("it can be read") > 0 {}
            child.wait().await.expect("it ends");
        })),
        "smol" => smol::block_on(timed(async {
            let mut command = smol::process::Command::new("head");
            let mut child = command.args(&arguments).stdout(Stdio::piped()).spawn().expect("it runs");
            let mut stdout = child.stdout.take().expect("it is a pipe");
            while stdout.read(&mut buf).await.expect("it can be read") > 0 {}
            child.status().await.expect("it ends");
        })),
        "threads" => {
            let start = Instant::now();
            let mut command = std::process::Command::new("head");
            let mut child = command.args(&arguments).stdout(Stdio::piped()).spawn()?;
            let mut stdout = child.stdout.take().expect("it is a pipe");
            std::thread::scope(|scope| {
                scope.spawn(|| while stdout.read(&mut buf).expect("it can be read") > 0 {});
            });
            child.wait()?;
            start.elapsed()
        }
        _ => bail!("{library} has no such thing"),
    })
}

/// Ten thousand files of 16 KiB, 64 at a time.
fn read_files(library: &str) -> Result<Duration> {
    const AT_ONCE: usize = 64;
    let dir = std::env::temp_dir().join("asyncio-bench-files");
    let paths: Vec<PathBuf> = (0..FILES).map(|n| dir.join(n.to_string())).collect();
    if !paths.last().is_some_and(|path| path.exists()) {
        std::fs::create_dir_all(&dir)?;
        for path in &paths {
            std::fs::write(path, vec![7; FILE_SIZE])?;
        }
    }
    // All of it is in memory from now on, for all alike.
    for path in &paths {
        black_box(std::fs::read(path)?);
    }
    async fn all<F: Future<Output = usize>>(paths: &[PathBuf], one: impl Fn(PathBuf) -> F + Copy) {
        let share = async |paths: &[PathBuf]| {
            let mut sum = 0;
            for path in paths {
                sum += one(path.clone()).await;
            }
            sum
        };
        let shares = paths.chunks(FILES / AT_ONCE + 1).map(share);
        let sum: usize = futures::future::join_all(shares).await.into_iter().sum();
        assert_eq!(sum, FILES * FILE_SIZE);
    }
    Ok(match library {
        "asyncio" => asyncio::run(timed(all(&paths, async |path: PathBuf| {
            asyncio::fs::read(path).await.expect("it can be read").len()
        }))),
        "tokio" => on_tokio(timed(all(&paths, async |path: PathBuf| {
            tokio::fs::read(path).await.expect("it can be read").len()
        }))),
        "smol" => smol::block_on(timed(all(&paths, async |path: PathBuf| {
            smol::fs::read(path).await.expect("it can be read").len()
        }))),
        "threads" => {
            let start = Instant::now();
            let read = |path: &Path| std::fs::read(path).expect("it can be read").len();
            std::thread::scope(|scope| {
                for paths in paths.chunks(FILES / 4) {
                    scope.spawn(move || paths.iter().map(|path| read(path)).sum::<usize>());
                }
            });
            start.elapsed()
        }
        _ => bail!("{library} has no such thing"),
    })
}

/// What a worker of the pool of processes runs.
fn same(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

/// Makes this process a worker, where it is one.
pub fn functions() -> Functions {
    Functions::new().with(same).enter()
}

/// 64 bytes to another process and back, so many times: a call of the pool; by hand, a write and a read of two pipes.
fn other_process(library: &str, calls: u32) -> Result<Duration> {
    let bytes = vec![7; 64];
    Ok(match library {
        "asyncio" => asyncio::run(async {
            let pool = ProcessPool::builder(functions()).workers_max(1).build();
            // It is started before.
            pool.run(same, bytes.clone()).await.expect("it runs");
            timed(async {
                for _ in 0..calls {
                    black_box(pool.run(same, bytes.clone()).await.expect("it runs"));
                }
            })
            .await
        }),
        "threads" => {
            let mut child =
                crate::process::again(&["pong"])?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let (mut to, mut from) =
                (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
            let mut buf = vec![0; 64];
            let mut once = || -> std::io::Result<()> {
                to.write_all(&bytes)?;
                from.read_exact(&mut buf)
            };
            once()?;
            let start = Instant::now();
            for _ in 0..calls {
                once()?;
            }
            let elapsed = start.elapsed();
            drop(to);
            child.wait()?;
            elapsed
        }
        _ => bail!("{library} has no such thing"),
    })
}

/// The other end of the pipes.
pub fn pong() -> Result<()> {
    let (mut buf, mut input, mut output) = (
        vec![0; 64],
        std::fs::File::from(dup(&std::io::stdin())?),
        std::fs::File::from(dup(&std::io::stdout())?),
    );
    while input.read_exact(&mut buf).is_ok() {
        output.write_all(&buf)?;
    }
    Ok(())
}

/// Not by std's buffers.
fn dup(of: &impl std::os::fd::AsFd) -> std::io::Result<std::os::fd::OwnedFd> {
    of.as_fd().try_clone_to_owned()
}
