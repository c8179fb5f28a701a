//! The programs of the asyncio chapter of "Python Module of the Week" (PyMOTW-3), written anew on the facade, by the names that they have there.
//!
//! `cargo run --release --example pymotw` lists them, and `cargo run --release --example pymotw asyncio_gather` runs one. There is a file for each page
//! of the chapter, and each program says how it differs from its original. Where Rust has nothing to show, as for generators, it says why.
//!
//! Each program is alone: a server has its client beside it, and a client its server (`partner.rs`). Each prints the same whenever it is run, which
//! `tests/pymotw.rs` compares with `transcripts/`: no ports, no numbers of processes, no durations but those of a clock that jumps (`jumping_clock.rs`).

// What programs have in common.
mod jumping_clock;
mod partner;

// The pages of the chapter.
mod control;
mod coroutines;
mod debugging;
mod dns;
mod executors;
mod futures;
mod protocols;
mod scheduling;
#[cfg(unix)]
mod signals;
mod streams;
#[cfg(unix)]
mod subprocesses;
mod synchronization;
mod tasks;
mod tls;

use std::error::Error;

/// What a program comes to.
type Outcome = Result<(), Box<dyn Error>>;

type Program = fn() -> Outcome;

/// The programs, in the order of the chapter.
const PROGRAMS: &[(&str, Program)] = &[
    // Cooperative Multitasking with Coroutines
    ("asyncio_coroutine", coroutines::asyncio_coroutine),
    ("asyncio_coroutine_return", coroutines::asyncio_coroutine_return),
    ("asyncio_coroutine_chain", coroutines::asyncio_coroutine_chain),
    ("asyncio_generator", coroutines::asyncio_generator),
    // Scheduling Calls to Regular Functions
    ("asyncio_call_soon", scheduling::asyncio_call_soon),
    ("asyncio_call_later", scheduling::asyncio_call_later),
    ("asyncio_call_at", scheduling::asyncio_call_at),
    // Producing Results Asynchronously
    ("asyncio_future_event_loop", futures::asyncio_future_event_loop),
    ("asyncio_future_await", futures::asyncio_future_await),
    ("asyncio_future_callback", futures::asyncio_future_callback),
    // Executing Tasks Concurrently
    ("asyncio_create_task", tasks::asyncio_create_task),
    ("asyncio_cancel_task", tasks::asyncio_cancel_task),
    ("asyncio_cancel_task2", tasks::asyncio_cancel_task2),
    ("asyncio_ensure_future", tasks::asyncio_ensure_future),
    // Composing Coroutines with Control Structures
    ("asyncio_wait", control::asyncio_wait),
    ("asyncio_wait_timeout", control::asyncio_wait_timeout),
    ("asyncio_gather", control::asyncio_gather),
    ("asyncio_as_completed", control::asyncio_as_completed),
    // Synchronization Primitives
    ("asyncio_lock", synchronization::asyncio_lock),
    ("asyncio_event", synchronization::asyncio_event),
    ("asyncio_condition", synchronization::asyncio_condition),
    ("asyncio_queue", synchronization::asyncio_queue),
    // Asynchronous I/O with Protocol Class Abstractions
    ("asyncio_echo_server_protocol", protocols::asyncio_echo_server_protocol),
    ("asyncio_echo_client_protocol", protocols::asyncio_echo_client_protocol),
    // Asynchronous I/O Using Coroutines and Streams
    ("asyncio_echo_server_coroutine", streams::asyncio_echo_server_coroutine),
    ("asyncio_echo_client_coroutine", streams::asyncio_echo_client_coroutine),
    ("asyncio_echo_server_generator", streams::asyncio_echo_server_generator),
    // Using SSL
    ("asyncio_echo_server_ssl", tls::asyncio_echo_server_ssl),
    ("asyncio_echo_client_ssl", tls::asyncio_echo_client_ssl),
    // Interacting with Domain Name Services
    ("asyncio_getaddrinfo", dns::asyncio_getaddrinfo),
    ("asyncio_getnameinfo", dns::asyncio_getnameinfo),
    // Working with Subprocesses
    #[cfg(unix)]
    ("asyncio_subprocess_protocol", subprocesses::asyncio_subprocess_protocol),
    #[cfg(unix)]
    ("asyncio_subprocess_coroutine", subprocesses::asyncio_subprocess_coroutine),
    #[cfg(unix)]
    ("asyncio_subprocess_coroutine_write", subprocesses::asyncio_subprocess_coroutine_write),
    // Receiving Unix Signals
    #[cfg(unix)]
    ("asyncio_signal", signals::asyncio_signal),
    // Combining Coroutines with Threads and Processes
    ("asyncio_executor_thread", executors::asyncio_executor_thread),
    #[cfg(unix)]
    ("asyncio_executor_process", executors::asyncio_executor_process),
    // Debugging with asyncio
    ("asyncio_debug", debugging::asyncio_debug),
    // On no page
    ("asyncio_stop", scheduling::asyncio_stop),
];

fn main() -> Outcome {
    let Some(name) = std::env::args().nth(1) else {
        PROGRAMS.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    match PROGRAMS.iter().find(|(known, _)| *known == name) {
        Some((_, program)) => program(),
        None => Err(format!("there is no program {name:?}: without an argument all are listed").into()),
    }
}
