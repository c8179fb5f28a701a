//! Reads of a stream give what the bytes say, however these are split, and whoever is dropped in between.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use asyncio_net::{ReadError, StreamReader, TcpStream};

use crate::scripted::Scripted;

const SEPARATORS: [&[&[u8]]; 6] =
    [&[b"\n"], &[b"\r\n"], &[b"aab", b"ba"], &[b"ab", b"b"], &[b"\r\n\r\n", b"\n\n"], &[b"abba"]];

/// The connection, and how its bytes come.
struct World {
    socket: Arc<Scripted>,
    reader: StreamReader,
    /// What has not come yet.
    rest: Vec<u8>,
    /// How long the pieces are, and whether whoever waits is dropped before each; again and again.
    pieces: Vec<u8>,
    next: usize,
}

impl World {
    /// Has the next piece come, and says whether who waits is to be dropped.
    fn advance(&mut self) -> bool {
        let piece = self.pieces.get(self.next % self.pieces.len().max(1)).copied().unwrap_or(1);
        self.next += 1;
        if self.rest.is_empty() {
            self.socket.end();
        } else {
            let n = usize::from(piece >> 1).clamp(1, self.rest.len());
            self.socket.receive(&self.rest[..n]);
            self.rest.drain(..n);
        }
        piece & 1 == 1
    }

    /// Runs a read to its end; a new one where it is dropped.
    fn run<T>(&mut self, read: impl AsyncFn(&mut StreamReader) -> T) -> T {
        let mut cx = Context::from_waker(Waker::noop());
        // The reader is borrowed by the read, and `self` is needed in between.
        let socket = self.socket.clone();
        let fresh = || TcpStream::from_socket(socket.clone()).into_streams().0;
        loop {
            let mut reader = std::mem::replace(&mut self.reader, fresh());
            let output = {
                let mut future = pin!(read(&mut reader));
                loop {
                    if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                        break Some(output);
                    }
                    if self.advance() {
                        break None;
                    }
                }
            };
            self.reader = reader;
            if let Some(output) = output {
                return output;
            }
        }
    }
}

/// The first separator to end in `data`; of two that end there the longer one.
fn find(data: &[u8], separators: &[&[u8]]) -> Option<(usize, usize)> {
    let ends = (0..=data.len()).flat_map(|end| (0..end).map(move |start| (start, end)));
    ends.into_iter().find(|(start, end)| separators.contains(&&data[*start..*end]))
}

/// Checks a read against the bytes that have not been read yet; gives how many of them it took.
fn check_exact(world: &mut World, expected: &[u8], n: usize) -> usize {
    match world.run(async |reader| reader.read_exact(n).await) {
        Ok(read) => {
            assert!(read.len() == n && expected.starts_with(&read));
            n
        }
        Err(ReadError::Incomplete { partial }) => {
            assert!(expected.len() < n && partial == expected);
            expected.len()
        }
        Err(error) => panic!("{error}"),
    }
}

fn check_until(world: &mut World, expected: &[u8], separators: &[&[u8]]) -> usize {
    let found = find(expected, separators);
    match world.run(async |reader| reader.read_until_any(separators).await) {
        Ok(read) => {
            let (start, end) = found.expect("there is one");
            assert!(start <= world.reader.limit() && read == expected[..end]);
            end
        }
        Err(ReadError::Incomplete { partial }) => {
            assert!(found.is_none() && partial == expected);
            expected.len()
        }
        Err(ReadError::LimitOverrun { consumed }) => {
            assert!(consumed > world.reader.limit() && consumed <= expected.len());
            assert!(found.is_none_or(|(start, _)| consumed <= start));
            // Nothing has been taken: as many can be read.
            check_exact(world, expected, consumed)
        }
        Err(error) => panic!("{error}"),
    }
}

fn check_line(world: &mut World, expected: &[u8]) -> usize {
    let end = expected.iter().position(|byte| *byte == b'\n');
    match world.run(async |reader| reader.read_line().await) {
        Ok(line) => {
            let len = end.map_or(expected.len(), |end| end + 1);
            assert_eq!(line.unwrap_or_default(), expected[..len]);
            len
        }
        Err(ReadError::LimitOverrun { consumed }) => {
            assert!(consumed > world.reader.limit() && consumed <= end.unwrap_or(expected.len()));
            0
        }
        Err(error) => panic!("{error}"),
    }
}

/// Takes the beginning of `input` for a list: how long it is, and it.
fn split_off<'a>(input: &mut &'a [u8], max: usize) -> &'a [u8] {
    let Some((len, rest)) = input.split_first() else { return &[] };
    let (taken, rest) = rest.split_at((usize::from(*len) % max).min(rest.len()));
    *input = rest;
    taken
}

/// Takes `input` for a limit, reads, pieces, and bytes, in this order, and checks each read against the bytes as a whole.
pub(crate) fn check(input: &[u8]) {
    let Some((limit, mut rest)) = input.split_first() else { return };
    let (reads, pieces) = (split_off(&mut rest, 24), split_off(&mut rest, 16).to_vec());
    let socket = Arc::new(Scripted::default());
    let mut reader = TcpStream::from_socket(socket.clone()).into_streams().0;
    reader.set_limit(1 + usize::from(*limit) % 40);
    let mut world = World { socket, reader, rest: rest.to_vec(), pieces, next: 0 };
    let mut expected = rest;
    for pair in reads.chunks_exact(2) {
        let n = usize::from(pair[1]) % 70;
        let len = match pair[0] % 4 {
            0 => {
                let read = world.run(async |reader| reader.read(n).await).unwrap();
                assert!(expected.starts_with(&read) && read.len() <= n);
                assert!(!read.is_empty() || n == 0 || expected.is_empty());
                read.len()
            }
            1 => check_exact(&mut world, expected, n),
            2 => check_until(&mut world, expected, SEPARATORS[n % SEPARATORS.len()]),
            _ => check_line(&mut world, expected),
        };
        expected = &expected[len..];
    }
    assert_eq!(world.run(async |reader| reader.read_to_end().await).unwrap(), expected);
    assert!(world.reader.at_eof());
}
