//! Finding the end of what is asked for: the first of several separators, in bytes that come bit by bit.

use memchr::memmem;

/// What ends a piece: one of these, whichever ends first.
pub(super) struct Separators<'a> {
    all: &'a [&'a [u8]],
    longest: usize,
}

/// Where a separator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Separators<'a> {
    /// `None` if there is none, or an empty one.
    pub(super) fn new(all: &'a [&'a [u8]]) -> Option<Self> {
        let longest = all.iter().map(|separator| separator.len()).max()?;
        all.iter().all(|separator| !separator.is_empty()).then_some(Self { all, longest })
    }

    /// Finds the one that ends first, at or behind `from`; where two end at the same place, the longer one, which begins first.
    pub(super) fn find(&self, data: &[u8], from: usize) -> Option<Found> {
        let mut first: Option<Found> = None;
        for separator in self.all {
            // What ends behind the best so far need not be looked at.
            let end = first.map_or(data.len(), |found| found.end);
            let within = data.get(from..end)?;
            let start = match separator {
                [byte] => memchr::memchr(*byte, within),
                _ => memmem::find(within, separator),
            };
            if let Some(start) = start.map(|start| from + start) {
                let found = Found { start, end: start + separator.len() };
                let is_better = first.is_none_or(|first| (found.end, found.start) < (first.end, first.start));
                if is_better {
                    first = Some(found);
                }
            }
        }
        first
    }

    /// Before this place nothing begins, if nothing was found in so many bytes.
    pub(super) fn passed(&self, len: usize) -> usize {
        (len + 1).saturating_sub(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(all: &[&[u8]], data: &[u8]) -> Option<(usize, usize)> {
        Separators::new(all).unwrap().find(data, 0).map(|found| (found.start, found.end))
    }

    #[test]
    fn the_one_that_ends_first_is_found() {
        assert_eq!(find(&[b"\r\n", b"\n"], b"ab\r\ncd\n"), Some((2, 4)));
        assert_eq!(find(&[b"\n", b"\r\n"], b"ab\r\ncd\n"), Some((2, 4)), "the longer one of two");
        assert_eq!(find(&[b"abc", b"b"], b"xabc"), Some((2, 3)), "asyncio: the shortest match");
        assert_eq!(find(&[b"xyz", b"q"], b"xy"), None);
        assert!(Separators::new(&[]).is_none() && Separators::new(&[b"a", b""]).is_none());
    }

    /// Against the plainest way, and however the bytes are cut.
    #[test]
    fn it_finds_what_a_search_by_hand_finds() {
        let sets: &[&[&[u8]]] =
            &[&[b"a"], &[b"ab"], &[b"aab", b"ba"], &[b"aa", b"a"], &[b"bab", b"bb", b"aba"]];
        for bits in 0_u32..512 {
            let data: Vec<u8> = (0..9).map(|n| if bits >> n & 1 == 1 { b'a' } else { b'b' }).collect();
            for all in sets {
                let by_hand = (0..=data.len())
                    .flat_map(|end| (0..end).map(move |start| (end, start)))
                    .find(|(end, start)| all.contains(&&data[*start..*end]))
                    .map(|(end, start)| Found { start, end });
                let separators = Separators::new(all).unwrap();
                let mut from = 0;
                let bit_by_bit = (0..=data.len()).find_map(|len| {
                    let found = separators.find(&data[..len], from);
                    from = separators.passed(len);
                    found
                });
                assert_eq!(bit_by_bit, by_hand, "{data:?} {all:?}");
                assert_eq!(separators.find(&data, 0), by_hand, "{data:?} {all:?}");
            }
        }
    }
}
