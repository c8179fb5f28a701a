//! The protocol: commands in, answers out, of all clients in one store.

mod commands;
pub mod resp;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use asyncio::net::protocol::{Protocol, Transport};
use resp::Parsed;

type Store = Rc<RefCell<HashMap<Vec<u8>, Vec<u8>>>>;

/// A client's connection.
pub struct Redis {
    store: Store,
    transport: Option<Transport>,
    /// A command whose end has not come.
    partial: Vec<u8>,
    /// Answers to all commands of one receive leave in one write.
    answers: Vec<u8>,
}

/// What makes the connections' protocols, over a store that is empty.
pub fn factory() -> impl Fn() -> Redis {
    let store = Store::default();
    move || Redis { store: store.clone(), transport: None, partial: Vec::new(), answers: Vec::new() }
}

impl Protocol for Redis {
    fn connection_made(&mut self, transport: Transport) {
        self.transport = Some(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        let mut joined = std::mem::take(&mut self.partial);
        let input = if joined.is_empty() {
            data
        } else {
            joined.extend_from_slice(data);
            &joined
        };
        let mut at = 0;
        let wrong = loop {
            match resp::parse(&input[at..]) {
                Parsed::Command(words, len) => {
                    at += len;
                    commands::answer(&mut self.store.borrow_mut(), &words, &mut self.answers);
                }
                Parsed::Incomplete => break None,
                Parsed::Wrong(why) => break Some(why),
            }
        };
        self.partial = input[at..].to_vec();
        let Some(transport) = &self.transport else { return };
        if let Some(why) = wrong {
            self.answers.extend_from_slice(format!("-ERR Protocol error: {why}\r\n").as_bytes());
        }
        transport.write(&self.answers);
        self.answers.clear();
        if wrong.is_some() {
            transport.close();
        }
    }

    fn pause_writing(&mut self) {
        self.transport.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.transport.iter().for_each(Transport::resume_reading);
    }
}
