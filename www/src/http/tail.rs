//! The end of a response's head: what depends on the moment and on the connection.

use core::cell::Cell;

use super::request::Persist;
use crate::date;

/// `Date`, made once a second.
pub(super) struct Tails {
    second: Cell<u64>,
    keep: Cell<[u8; Tail::ROOM]>,
}

/// `Date`, perhaps `Connection`, and the empty line.
pub(super) struct Tail {
    bytes: [u8; Self::ROOM],
    len: usize,
}

const DATE_LINE: usize = 6 + date::LEN + 2;
const CLOSE: &[u8] = b"Connection: close\r\n\r\n";
const KEEP_ALIVE: &[u8] = b"Connection: keep-alive\r\n\r\n";

impl Tails {
    pub(super) fn new(now: u64) -> Self {
        Self {
            second: Cell::new(now),
            keep: Cell::new(keep(now)),
        }
    }

    pub(super) fn get(&self, now: u64, persist: Persist) -> Tail {
        if now != self.second.get() {
            self.second.set(now);
            self.keep.set(keep(now));
        }
        let mut tail = Tail {
            bytes: self.keep.get(),
            len: DATE_LINE + 2,
        };
        let more = match persist {
            Persist::Keep => return tail,
            Persist::KeepAlive => KEEP_ALIVE,
            Persist::Close => CLOSE,
        };
        tail.len = DATE_LINE + more.len();
        tail.bytes[DATE_LINE..tail.len].copy_from_slice(more);
        tail
    }

    /// The second of the last `Date`.
    pub(super) fn second(&self) -> u64 {
        self.second.get()
    }
}

impl Tail {
    const ROOM: usize = 64;

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn keep(now: u64) -> [u8; Tail::ROOM] {
    let mut line = [0; Tail::ROOM];
    line[..6].copy_from_slice(b"Date: ");
    line[6..6 + date::LEN].copy_from_slice(&date::imf_fixdate(now));
    line[6 + date::LEN..DATE_LINE + 2].copy_from_slice(b"\r\n\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three() {
        let tails = Tails::new(0);
        let date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        for (persist, more) in [
            (Persist::Keep, &b"\r\n"[..]),
            (Persist::KeepAlive, KEEP_ALIVE),
            (Persist::Close, CLOSE),
        ] {
            let tail = tails.get(784_111_777, persist);
            assert_eq!(tail.bytes(), [date, more].concat());
        }
    }
}
