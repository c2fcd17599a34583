//! Answers that are made for one request, since they depend on what it asks for: ranges of a body,
//! and redirects that keep the rest of an address.
//!
//! They are on the heap, bounded, and what there is no memory for is not made: whoever asks for one
//! says what is answered instead.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::ranges::Part;
use crate::cache::boxed;

/// Bytes of heads and of what stands between parts.
const MOST_TEXT: usize = 64 << 10;

/// An answer that was made for one request.
pub(super) struct Composed {
    pub(super) status: u16,
    /// The head, as the heads of a pack; what stands before each part; what stands at the end.
    text: Vec<u8>,
    head: usize,
    parts: Vec<Placed>,
}

/// A part of the store's body, and where what stands before it ends.
struct Placed {
    part: Part,
    lead_to: usize,
}

impl Composed {
    /// Status line and header lines, without `Date`, `Connection` and the empty line.
    pub(super) fn head(&self) -> &[u8] {
        &self.text[..self.head]
    }

    /// One of the parts of the store's body.
    pub(super) fn part(&self, at: usize) -> Option<Part> {
        self.parts.get(at).map(|placed| placed.part)
    }

    /// What stands before a part; behind the last one, what stands at the end.
    pub(super) fn lead(&self, at: usize) -> &[u8] {
        let end = |at: usize| self.parts.get(at).map(|placed| placed.lead_to);
        let from = at.checked_sub(1).map_or(Some(self.head), end);
        let to = end(at).unwrap_or(self.text.len());
        from.and_then(|from| self.text.get(from..to))
            .unwrap_or_default()
    }
}

/// One that is being made.
pub(super) struct Composer {
    made: Composed,
    /// There was no memory for all of it.
    failed: bool,
}

impl Composer {
    /// One that says nothing as yet.
    pub(super) fn new(status: u16) -> Self {
        Self {
            made: Composed {
                status,
                text: Vec::new(),
                head: 0,
                parts: Vec::new(),
            },
            failed: false,
        }
    }

    /// Adds text.
    #[inline(never)]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let text = &mut self.made.text;
        self.failed |=
            bytes.len() > MOST_TEXT - text.len() || text.try_reserve(bytes.len()).is_err();
        if !self.failed {
            text.extend_from_slice(bytes);
        }
    }

    /// Adds a number. Without `core::fmt`, which takes the guest more room.
    #[inline(never)]
    pub(super) fn number(&mut self, n: u64) {
        let mut digits = [0; 20];
        let mut left = n;
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.push(&digits[at..]);
    }

    /// Adds the last digits of a number in hexadecimal.
    #[inline(never)]
    pub(super) fn hex(&mut self, n: u64, digits: u32) {
        for digit in (0..digits).rev() {
            let digit = n >> (4 * digit) & 15;
            self.push(&b"0123456789ABCDEF"[digit as usize..][..1]);
        }
    }

    /// The head ends here.
    pub(super) fn end_head(&mut self) {
        self.made.head = self.made.text.len();
    }

    /// A part of the store's body stands here.
    pub(super) fn part(&mut self, part: Part) {
        let lead_to = self.made.text.len();
        self.failed |= self.made.parts.try_reserve(1).is_err();
        if !self.failed {
            self.made.parts.push(Placed { part, lead_to });
        }
    }

    /// All of it; nothing if there was no memory.
    pub(super) fn done(self) -> Option<Box<[Composed; 1]>> {
        match self.failed {
            true => None,
            false => boxed(self.made),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_and_ends() {
        let mut composer = Composer::new(206);
        composer.push(b"head");
        composer.end_head();
        composer.push(b"one");
        composer.part(Part { from: 1, to: 2 });
        composer.push(b"two");
        composer.part(Part { from: 3, to: 4 });
        composer.push(b"end");
        let made = composer.done().unwrap();
        assert_eq!((made[0].head(), made[0].status), (&b"head"[..], 206));
        let leads = [0, 1, 2, 3].map(|at| made[0].lead(at));
        assert_eq!(leads, [&b"one"[..], b"two", b"end", b""]);
        assert_eq!(made[0].part(1), Some(Part { from: 3, to: 4 }));
        assert_eq!(made[0].part(2), None);
    }

    #[test]
    fn numbers() {
        for n in [0, 1, 10, 4096, u64::MAX] {
            let mut composer = Composer::new(200);
            composer.number(n);
            composer.push(b" ");
            composer.hex(n, 16);
            let expected = std::format!("{n} {n:016X}");
            assert_eq!(composer.made.text, expected.as_bytes());
        }
    }

    #[test]
    fn it_is_bounded() {
        let mut composer = Composer::new(301);
        composer.push(&[b'a'; MOST_TEXT]);
        composer.push(b"");
        assert!(!composer.failed);
        composer.push(b"a");
        composer.push(b"");
        assert!(composer.done().is_none());
    }
}
