//! Output that does not fit the ring yet: bounded, the oldest lines given up first and counted.

use alloc::collections::VecDeque;
use core::fmt::{self, Write};

/// Bytes kept. Together with the ring that is some 200 lines.
pub(super) const BACKLOG_MAX: usize = 16 * 1024;

/// A queue of bytes that never grows.
#[derive(Debug)]
pub(super) struct Backlog {
    bytes: VecDeque<u8>,
    /// Bytes given up of which nothing was printed yet.
    dropped: u64,
    mark: Mark,
}

impl Backlog {
    /// Takes its memory now, and none later.
    pub(super) fn new() -> Self {
        Self {
            bytes: VecDeque::with_capacity(BACKLOG_MAX),
            dropped: 0,
            mark: Mark::EMPTY,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.dropped == 0 && self.mark.rest().is_empty()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let excess = bytes.len().saturating_sub(BACKLOG_MAX);
        let bytes = &bytes[excess..];
        let over = (self.bytes.len() + bytes.len()).saturating_sub(BACKLOG_MAX);
        if over + excess > 0 {
            // To the end of a line, so that what is left makes sense.
            let rest = self.bytes.iter().skip(over);
            let line = rest.take_while(|&&b| b != b'\n').count() + 1;
            let gone = (over + line).min(self.bytes.len());
            self.bytes.drain(..gone);
            self.lose((gone + excess) as u64);
        }
        self.bytes.extend(bytes);
    }

    /// Counts bytes as given up that were never here.
    pub(super) fn lose(&mut self, count: u64) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// What to print next; possibly not all that there is.
    pub(super) fn next(&mut self) -> &[u8] {
        // As long as none of it was printed, the mark still counts on.
        let unsaid = self.mark.done == 0 || self.mark.rest().is_empty();
        if self.dropped > 0 && unsaid {
            self.mark = Mark {
                tells: self.dropped,
                ..Mark::EMPTY
            };
            // It has room for the longest number.
            let _ = write!(self.mark, "\r\n[... {} bytes dropped]\r\n", self.dropped);
        }
        match self.mark.rest() {
            [] => self.bytes.as_slices().0,
            mark => mark,
        }
    }

    /// Says that so many bytes of [`next`](Self::next) were printed.
    pub(super) fn printed(&mut self, count: usize) {
        let of_mark = count.min(self.mark.rest().len());
        if of_mark > 0 {
            self.dropped -= core::mem::take(&mut self.mark.tells);
            self.mark.done += of_mark;
        }
        self.bytes.drain(..(count - of_mark).min(self.bytes.len()));
    }
}

/// The text that tells of a gap.
#[derive(Debug)]
struct Mark {
    text: [u8; 48],
    len: usize,
    done: usize,
    /// Of how many bytes, until it has begun to.
    tells: u64,
}

impl Mark {
    const EMPTY: Self = Self {
        text: [0; 48],
        len: 0,
        done: 0,
        tells: 0,
    };

    fn rest(&self) -> &[u8] {
        &self.text[self.done..self.len]
    }
}

impl Write for Mark {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..self.len + text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    use proptest::prelude::*;

    use super::*;

    /// Prints all of it in pieces of at most `piece` bytes.
    fn print(backlog: &mut Backlog, piece: usize) -> String {
        let mut out = Vec::new();
        while !backlog.is_empty() {
            let next = backlog.next();
            let count = next.len().min(piece);
            out.extend(&next[..count]);
            backlog.printed(count);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_fits_comes_out_as_it_went_in() {
        let mut backlog = Backlog::new();
        for n in 0..100 {
            backlog.push(format!("line {n}\n").as_bytes());
        }
        let all: String = (0..100).map(|n| format!("line {n}\n")).collect();
        assert_eq!(print(&mut backlog, 7), all);
    }

    #[test]
    fn the_oldest_lines_go_first_and_are_counted() {
        let mut backlog = Backlog::new();
        let line = |n| format!("{n:015}\n");
        let room = BACKLOG_MAX / 16;
        for n in 0..room + 10 {
            backlog.push(line(n).as_bytes());
        }
        let out = print(&mut backlog, 100);
        let (mark, rest) = out.split_at(out.find("0000").unwrap());
        // Each push that does not fit takes a whole line more than it needs.
        let kept = rest.lines().count();
        let dropped = 16 * (room + 10 - kept);
        assert_eq!(mark, format!("\r\n[... {dropped} bytes dropped]\r\n"));
        let expected: String = (room + 10 - kept..room + 10).map(line).collect();
        assert_eq!(rest, expected);
        assert!(kept >= room - 1);
        backlog.push(b"next\n");
        assert_eq!(print(&mut backlog, 3), "next\n");
    }

    #[test]
    fn one_push_may_be_more_than_all() {
        let mut backlog = Backlog::new();
        backlog.push(b"old\n");
        backlog.push(&vec![b'x'; BACKLOG_MAX + 5]);
        let out = print(&mut backlog, 1000);
        let xs = "x".repeat(BACKLOG_MAX);
        assert_eq!(out, format!("\r\n[... 9 bytes dropped]\r\n{xs}"));
        backlog.lose(u64::MAX);
        backlog.lose(1);
        let most = format!("\r\n[... {} bytes dropped]\r\n", u64::MAX);
        assert_eq!(print(&mut backlog, 1), most);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_that_is_not_counted(
            pushes in prop::collection::vec((0usize..6000, 0usize..3000), 0..20),
        ) {
            let mut backlog = Backlog::new();
            let (mut pushed, mut out) = (0, Vec::new());
            for (push, mut print) in pushes {
                pushed += push;
                backlog.push(&b"0123456789abcde\n".repeat(push / 16 + 1)[..push]);
                prop_assert!(backlog.bytes.len() <= BACKLOG_MAX);
                while print > 0 && !backlog.is_empty() {
                    let next = backlog.next();
                    let count = next.len().min(print);
                    out.extend(&next[..count]);
                    backlog.printed(count);
                    print -= count;
                }
            }
            let capacity = backlog.bytes.capacity();
            out.extend(print(&mut backlog, 4096).into_bytes());
            let text = String::from_utf8(out).unwrap();
            let (mut dropped, mut marks) = (0, 0);
            for mark in text.split("\r\n[... ").skip(1) {
                let (count, _) = mark.split_once(" bytes dropped]\r\n").unwrap();
                dropped += count.parse::<usize>().unwrap();
                marks += "\r\n[...  bytes dropped]\r\n".len() + count.len();
            }
            prop_assert_eq!(text.len() - marks + dropped, pushed);
            prop_assert_eq!(backlog.bytes.capacity(), capacity);
        }
    }
}
