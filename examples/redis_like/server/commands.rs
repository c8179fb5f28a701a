//! The commands: words in, an answer out.

use std::collections::HashMap;

/// Does what a command says, and appends the answer.
pub(crate) fn answer(store: &mut HashMap<Vec<u8>, Vec<u8>>, words: &[&[u8]], out: &mut Vec<u8>) {
    let Some((name, arguments)) = words.split_first() else { return };
    match (&*name.to_ascii_uppercase(), arguments) {
        (b"PING", []) => out.extend_from_slice(b"+PONG\r\n"),
        (b"PING" | b"ECHO", [text]) => bulk(text, out),
        (b"SET", [key, value]) => {
            store.insert(key.to_vec(), value.to_vec());
            out.extend_from_slice(b"+OK\r\n");
        }
        (b"GET", [key]) => match store.get(*key) {
            Some(value) => bulk(value, out),
            None => out.extend_from_slice(b"$-1\r\n"),
        },
        (b"DEL", [_, ..]) => {
            let count = arguments.iter().filter(|key| store.remove(**key).is_some()).count();
            out.extend_from_slice(format!(":{count}\r\n").as_bytes());
        }
        (b"INCR", [key]) => {
            let value = store.entry(key.to_vec()).or_insert_with(|| b"0".to_vec());
            match std::str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()?.checked_add(1)) {
                Some(next) => {
                    *value = next.to_string().into_bytes();
                    out.extend_from_slice(format!(":{next}\r\n").as_bytes());
                }
                None => out.extend_from_slice(b"-ERR value is not an integer or out of range\r\n"),
            }
        }
        // What `redis-cli` and `redis-benchmark` ask at the beginning.
        (b"COMMAND" | b"CONFIG", _) => out.extend_from_slice(b"*0\r\n"),
        _ => {
            let name = String::from_utf8_lossy(name);
            out.extend_from_slice(
                format!("-ERR unknown command '{name}', or wrong arguments\r\n").as_bytes(),
            );
        }
    }
}

fn bulk(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}
