//! `docs/from-python.md` and `docs/from-tokio.md`: that every name of asyncio has its row, and that what the rows name is here.

use std::collections::{BTreeMap, BTreeSet};

use crate::laws::words;

const FROM_PYTHON: &str = "docs/from-python.md";
const FROM_TOKIO: &str = "docs/from-tokio.md";

/// The methods of `AbstractEventLoop`, in the order of CPython's source.
const LOOP: &str = "run_forever run_until_complete stop is_running is_closed close shutdown_asyncgens shutdown_default_executor call_soon call_later \
    call_at time create_future create_task call_soon_threadsafe run_in_executor set_default_executor getaddrinfo getnameinfo create_connection \
    create_server sendfile start_tls create_unix_connection create_unix_server connect_accepted_socket create_datagram_endpoint connect_read_pipe \
    connect_write_pipe subprocess_shell subprocess_exec add_reader remove_reader add_writer remove_writer sock_recv sock_recv_into sock_recvfrom \
    sock_recvfrom_into sock_sendall sock_sendto sock_connect sock_accept sock_sendfile add_signal_handler remove_signal_handler set_task_factory \
    get_task_factory get_exception_handler set_exception_handler default_exception_handler call_exception_handler get_debug set_debug";
const SERVER: &str =
    "get_loop is_serving sockets close close_clients abort_clients start_serving serve_forever wait_closed";
const HANDLE: &str = "cancel cancelled get_context";

/// The public functions and types of the module, as of 3.14, but for what is deprecated there or a base class of the above.
const MODULE: &str = "run Runner create_task gather wait wait_for timeout timeout_at Timeout shield as_completed sleep current_task all_tasks iscoroutine \
    iscoroutinefunction to_thread run_coroutine_threadsafe eager_task_factory create_eager_task_factory ensure_future wrap_future isfuture Future Task \
    TaskGroup Handle TimerHandle Lock Event Condition Semaphore BoundedSemaphore Barrier Queue LifoQueue PriorityQueue QueueEmpty QueueFull \
    QueueShutDown open_connection start_server open_unix_connection start_unix_server StreamReader StreamWriter StreamReaderProtocol BaseProtocol \
    Protocol BufferedProtocol DatagramProtocol SubprocessProtocol BaseTransport ReadTransport WriteTransport Transport DatagramTransport \
    SubprocessTransport create_subprocess_exec create_subprocess_shell get_running_loop get_event_loop new_event_loop set_event_loop \
    get_event_loop_policy set_event_loop_policy AbstractEventLoopPolicy DefaultEventLoopPolicy EventLoop SelectorEventLoop AbstractEventLoop \
    BaseEventLoop Server AbstractServer TimeoutError CancelledError InvalidStateError IncompleteReadError LimitOverrunError \
    SendfileNotAvailableError BrokenBarrierError capture_call_graph format_call_graph print_call_graph FutureCallGraph FrameCallGraphEntry \
    future_add_to_awaited_by future_discard_from_awaited_by FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED";

/// Says what is wrong with the two pages, given the texts of the tree.
pub(crate) fn faults(tree: &BTreeMap<String, String>) -> Vec<String> {
    // Loosely: macros, variants and methods of traits are declared in ways of their own.
    let sources = tree.iter().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/"));
    let known: BTreeSet<&str> = sources.flat_map(|(_, text)| words(text)).collect();
    let mut faults = Vec::new();
    for page in [FROM_PYTHON, FROM_TOKIO] {
        let rows = rows(tree.get(page).map_or("", |text| text));
        faults.extend(rows.iter().flat_map(|row| row.faults(&known)).map(|fault| format!("{page}: {fault}")));
    }
    let rows = rows(tree.get(FROM_PYTHON).map_or("", |text| text));
    for name in wanted() {
        let quoted = format!("`{name}`");
        match rows.iter().filter(|row| row.theirs == quoted).count() {
            1 => {}
            count => faults.push(format!("{FROM_PYTHON}: {name} has {count} rows, and is to have one")),
        }
    }
    faults
}

fn wanted() -> impl Iterator<Item = String> {
    let of = |owner: &'static str, names: &'static str| {
        names.split_whitespace().map(move |name| format!("{owner}.{name}"))
    };
    of("loop", LOOP)
        .chain(of("Server", SERVER))
        .chain(of("Handle", HANDLE))
        .chain(of("TimerHandle", "when"))
        .chain(of("asyncio", MODULE))
}

struct Row<'a> {
    theirs: &'a str,
    ours: &'a str,
    remark: &'a str,
}

/// The rows of all tables of a page.
fn rows(text: &str) -> Vec<Row<'_>> {
    let lines = text.lines().filter(|line| line.starts_with("| ") && line.ends_with('|'));
    let cells = lines.map(|line| line.trim_matches('|').splitn(3, " | ").map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| match cells[..] {
            [theirs, ours, remark] => Some(Row { theirs, ours, remark }),
            _ => None,
        })
        .collect()
}

impl Row<'_> {
    fn faults(&self, known: &BTreeSet<&str>) -> Vec<String> {
        let Self { theirs, ours, remark } = self;
        if *ours == "here" {
            return Vec::new();
        }
        if ours.starts_with('–') && remark.is_empty() {
            return vec![format!("{theirs} has nothing here, and no reason")];
        }
        if !ours.starts_with('–') && !ours.contains('`') {
            return vec![format!("{theirs} names nothing here: {ours}")];
        }
        // What stands between backticks, without arguments: its last part is a name of ours.
        let is_ours = |name: &&str| {
            name.contains("::") && !["std::", "futures_"].iter().any(|other| name.starts_with(other))
        };
        let names = ours.split('`').skip(1).step_by(2).filter(is_ours);
        names
            .filter_map(|name| {
                let path = name
                    .split(['(', '<', '!', '{', ' ', ','])
                    .next()?
                    .trim_end_matches("::")
                    .trim_matches(['#', '[', ']']);
                let last = path.rsplit("::").next()?;
                (!known.contains(last)).then(|| format!("{theirs} names {name}, which is not here"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(rows: &str) -> BTreeMap<String, String> {
        let all: String = wanted().map(|name| format!("| `{name}` | `asyncio::run` | |\n")).collect();
        [
            (FROM_PYTHON, format!("| asyncio | here | remark |\n|---|---|---|\n{all}{rows}")),
            ("crates/asyncio-runtime/src/runner.rs", String::from("pub fn run() {}")),
        ]
        .map(|(path, text)| (path.to_owned(), text))
        .into()
    }

    #[test]
    fn a_row_has_something_of_ours_or_a_reason() {
        assert_eq!(faults(&tree("")), [""; 0]);
        assert_eq!(faults(&tree("| `asyncio.new` | – | because |\n")), [""; 0]);
        let of = |row| faults(&tree(row));
        assert_eq!(of("| `x` | – | |\n"), ["docs/from-python.md: `x` has nothing here, and no reason"]);
        assert_eq!(of("| `x` | nothing | |\n"), ["docs/from-python.md: `x` names nothing here: nothing"]);
        assert_eq!(
            of("| `x` | `asyncio::walk(n)` | |\n"),
            ["docs/from-python.md: `x` names asyncio::walk(n), which is not here"]
        );
    }

    #[test]
    fn each_name_has_one_row() {
        let twice = faults(&tree("| `loop.stop` | `asyncio::run` | |\n"));
        assert_eq!(twice, ["docs/from-python.md: loop.stop has 2 rows, and is to have one"]);
        let mut tree = tree("");
        tree.clear();
        assert_eq!(faults(&tree).len(), wanted().count());
        let count = |names: &str| names.split_whitespace().count();
        assert_eq!((count(LOOP), count(SERVER), count(HANDLE) + 1), (54, 9, 4), "what the reference counts");
    }
}
