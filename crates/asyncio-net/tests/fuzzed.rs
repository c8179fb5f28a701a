//! What the fuzz targets of `fuzz/` check, on seeds and on random bytes. Whoever has found a crash adds it to the seeds.

#![allow(clippy::unwrap_used, reason = "a test that fails says where")]

#[path = "fuzzed/addresses.rs"]
mod addresses;
#[path = "fuzzed/framing.rs"]
mod framing;
#[path = "it/scripted.rs"]
#[allow(dead_code, reason = "what other tests need of it")]
mod scripted;
#[path = "fuzzed/splitting.rs"]
mod splitting;

/// Random bytes, of `alphabet` alone.
fn random(seed: u64, len: usize, alphabet: &[u8]) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        alphabet[(state >> 32) as usize % alphabet.len()]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn reads_do_not_depend_on_how_bytes_are_split() {
    let all: Vec<u8> = (0..=255).collect();
    for seed in 0..3000 {
        // What is asked for is anything, what comes is of few letters, so that separators are in it.
        let mut input = random(seed, 40, &all);
        input.extend(random(seed, seed as usize % 300, b"ab\r\n"));
        splitting::check(&input);
    }
}

#[test]
fn messages_do_not_depend_on_how_bytes_are_cut() {
    let all: Vec<u8> = (0..=255).collect();
    // A message as long as the memory, of which more than that is allowed.
    let mut longest = vec![1, 7, 0, 10, 0, 255, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1];
    longest.extend([255; 30]);
    framing::check(&longest);
    for seed in 0..20_000 {
        let mut input = random(seed, 16, &all);
        // Lines, and messages with short lengths; and now and then anything.
        let alphabet: &[u8] = match seed % 5 {
            0 => &all,
            n if n % 2 == 0 => b"ab\r\n\xc3\xa9",
            _ => b"\0\0\0\x01\x02\x05\x0a\xff",
        };
        input[0] = (seed % 2) as u8;
        input.extend(random(seed, seed as usize % 120, alphabet));
        framing::check(&input);
    }
}

#[test]
fn an_address_is_what_std_takes_for_one_and_only_names_are_asked_for() {
    let seeds: [&[u8]; 16] = [
        b"127.0.0.1:80",
        b"[::1]:80",
        b"[fe80::1%1]:80",
        b"host.test:1",
        b"host.test.:65535",
        b"0x7f.1:80",
        b"017700000001:1",
        b"2130706433:1",
        b"a\0b:1",
        b"-a:1",
        b"a..b:1",
        b"::1:80",
        b"x:65536",
        b"[::]:+0",
        b"x:+80",
        b"\xc3\xa9.test:1",
    ];
    seeds.iter().for_each(|seed| addresses::check(seed));
    for seed in 0..20_000 {
        addresses::check(&random(seed, seed as usize % 30, b"0123456789abcdefx.:[]%-\0 \xc3\xa9"));
        addresses::check(&random(seed, seed as usize % 20, b"019x.:"));
    }
}
