//! Children that call back.

use std::cell::RefCell;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

use asyncio_process::{
    Command, StandardStream, Stdio, SubprocessProtocol, SubprocessTransport, subprocess_exec,
};
use asyncio_runtime::{Runner, run};
use asyncio_tasks::yield_now;

use crate::{is_there, until};

/// Notes what it is told.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    async fn until(&self, what: &str) {
        while !self.0.borrow().iter().any(|note| note == what) {
            yield_now().await;
        }
    }

    /// What was said of one stream.
    fn of(&self, stream: StandardStream) -> Vec<String> {
        let prefix = format!("{stream:?} ");
        self.0.borrow().iter().filter_map(|note| note.strip_prefix(&prefix).map(str::to_owned)).collect()
    }
}

impl SubprocessProtocol for Notes {
    fn connection_made(&mut self, _transport: SubprocessTransport) {
        self.note("made");
    }

    fn pipe_data_received(&mut self, stream: StandardStream, data: &[u8]) {
        self.note(format!("{stream:?} {}", String::from_utf8_lossy(data)));
    }

    fn pipe_connection_lost(&mut self, stream: StandardStream, error: Option<io::Error>) {
        self.note(format!("{stream:?} lost {error:?}"));
    }

    fn process_exited(&mut self) {
        self.note("exited");
    }

    fn connection_lost(&mut self, error: Option<io::Error>) {
        self.note(format!("lost {error:?}"));
    }

    fn pause_writing(&mut self) {
        self.note("pause");
    }

    fn resume_writing(&mut self) {
        self.note("resume");
    }
}

#[test]
fn callbacks_come_in_the_order_of_asyncio() {
    run(async {
        let notes = Notes::default();
        let mut command = Command::shell("read line; echo \"<$line>\"; echo oops >&2; exit 3");
        let (transport, handle) = subprocess_exec(|| notes.clone(), &mut command).await.unwrap();
        assert_eq!(*notes.0.borrow(), ["made"], "it is told before anything else");
        assert!(transport.status().unwrap().is_none());
        transport.pipe_transport(StandardStream::Stdin).unwrap().write(b"hello\n");
        notes.until("lost None").await;
        assert_eq!(notes.of(StandardStream::Stdout), ["<hello>\n", "lost None"]);
        assert_eq!(notes.of(StandardStream::Stderr), ["oops\n", "lost None"]);
        assert_eq!(notes.of(StandardStream::Stdin), ["lost None"]);
        let told = notes.0.borrow();
        assert_eq!(told.last().unwrap(), "lost None");
        assert_eq!(told.iter().filter(|note| *note == "exited").count(), 1);
        assert_eq!(transport.status().unwrap().unwrap().code(), Some(3));
        assert_eq!(handle.with(|notes| notes.0.borrow().len()), told.len());
    });
}

#[test]
fn streams_that_are_set_are_no_pipes() {
    run(async {
        let notes = Notes::default();
        let mut command = Command::new("true");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let (transport, _) = subprocess_exec(|| notes.clone(), &mut command).await.unwrap();
        assert!(transport.pipe_transport(StandardStream::Stdout).is_none());
        notes.until("lost None").await;
        assert_eq!(*notes.0.borrow(), ["made", "exited", "lost None"]);
        let error =
            subprocess_exec(|| notes.clone(), &mut Command::new("/no/such/program")).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn who_writes_more_than_is_read_is_told_to_pause() {
    run(async {
        let notes = Notes::default();
        let mut command = Command::shell("sleep 0.05; wc -c");
        let (transport, _) = subprocess_exec(|| notes.clone(), &mut command).await.unwrap();
        let stdin = transport.pipe_transport(StandardStream::Stdin).unwrap();
        stdin.write(&vec![0; 1 << 20]);
        notes.until("pause").await;
        notes.until("resume").await;
        stdin.close();
        notes.until("lost None").await;
        assert_eq!(notes.of(StandardStream::Stdout)[0].trim(), "1048576");
    });
}

#[test]
fn closing_ends_the_child_and_tells_of_everything() {
    run(async {
        let notes = Notes::default();
        let mut command = Command::new("sleep");
        let (transport, _) = subprocess_exec(|| notes.clone(), command.arg("3600")).await.unwrap();
        transport.close();
        notes.until("lost None").await;
        assert_eq!(transport.status().unwrap().unwrap().signal(), Some(9));
        let told = notes.0.borrow();
        assert_eq!((told.len(), told[0].as_str(), told[5].as_str()), (6, "made", "lost None"), "{told:?}");
        transport.close();
        assert!(transport.send_signal(15).is_err());
    });
}

/// Also where the protocol has the transport, which has the child.
#[test]
fn the_end_of_the_loop_leaves_no_child_that_is_to_be_killed() {
    #[derive(Default)]
    struct Keeps(Option<SubprocessTransport>);
    impl SubprocessProtocol for Keeps {
        fn connection_made(&mut self, transport: SubprocessTransport) {
            self.0 = Some(transport);
        }
    }
    let mut runner = Runner::new().unwrap();
    let id = runner.run(async {
        let mut command = Command::new("sleep");
        command.arg("3600").kill_on_drop(true);
        let (transport, _) = subprocess_exec(Keeps::default, &mut command).await.unwrap();
        transport.id()
    });
    drop(runner);
    until("it is killed and reaped", || !is_there(id));
}

#[test]
fn a_callback_that_panics_is_reported_and_the_rest_comes() {
    struct Panics(Notes);
    impl SubprocessProtocol for Panics {
        fn process_exited(&mut self) {
            panic!("a bug");
        }
        fn connection_lost(&mut self, _error: Option<io::Error>) {
            self.0.note("lost");
        }
    }
    let mut runner = Runner::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    runner
        .event_loop()
        .set_exception_handler(move |event| sender.lock().unwrap().send(event.to_string()).unwrap());
    runner.run(async {
        let notes = Notes::default();
        subprocess_exec(|| Panics(notes.clone()), &mut Command::new("true")).await.unwrap();
        notes.until("lost").await;
    });
    assert!(receiver.recv().unwrap().contains("a bug"));
}
