//! What a connection has received and not yet used.
//!
//! Full-size buffers come from a pool and go back as soon as they are empty, so a connection that
//! waits holds none, and one that has sent half a request holds about as much as it has sent.

use alloc::vec::Vec;
use core::cell::RefCell;

/// The smallest buffer, and the step in which small ones grow.
const STEP: usize = 256;

/// Buffers that nobody needs now.
pub(super) struct Pool {
    size: usize,
    free: RefCell<Vec<Vec<u8>>>,
}

/// No memory for a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfMemory;

impl Pool {
    /// Keeps at most `keep` buffers of `size` bytes.
    pub(super) fn new(size: usize, keep: usize) -> Self {
        Self {
            size,
            free: RefCell::new(Vec::with_capacity(keep)),
        }
    }

    fn take(&self) -> Result<Vec<u8>, OutOfMemory> {
        match self.free.borrow_mut().pop() {
            Some(buffer) => Ok(buffer),
            None => zeroed(self.size),
        }
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if buffer.len() == self.size && free.len() < free.capacity() {
            free.push(buffer);
        }
    }
}

#[cfg(test)]
impl Pool {
    pub(super) fn spare(&self) -> usize {
        self.free.borrow().len()
    }
}

fn zeroed(size: usize) -> Result<Vec<u8>, OutOfMemory> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(size).map_err(|_| OutOfMemory)?;
    buffer.resize(size, 0);
    Ok(buffer)
}

/// Bytes received and not yet used.
#[derive(Default)]
pub(super) struct Input {
    /// Initialised in full; empty if there is nothing to hold.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Drops `n` bytes at the front.
    pub(super) fn consume(&mut self, n: usize) {
        self.start += n.min(self.end - self.start);
    }

    /// Takes the first `n` bytes of the [`room`](Self::room) in.
    pub(super) fn received(&mut self, n: usize) {
        self.end += n.min(self.buffer.len() - self.end);
    }

    /// Where to receive to. It is empty if the pool's size is used up.
    pub(super) fn room(&mut self, pool: &Pool) -> Result<&mut [u8], OutOfMemory> {
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.buffer.len() < pool.size {
                let mut full = pool.take()?;
                full[..self.end - self.start].copy_from_slice(self.bytes());
                self.buffer = full;
            } else {
                self.buffer.copy_within(self.start..self.end, 0);
            }
            (self.start, self.end) = (0, self.end - self.start);
        }
        Ok(&mut self.buffer[self.end..])
    }

    /// Gives back what is not needed while nothing arrives.
    pub(super) fn rest(&mut self, pool: &Pool) {
        let held = self.end - self.start;
        if self.buffer.len() == pool.size && held < pool.size / 2 {
            if held == 0 {
                pool.give(core::mem::take(&mut self.buffer));
            } else {
                // Without memory for a small one the large one stays.
                let Ok(mut small) = zeroed(held.next_multiple_of(STEP)) else {
                    return;
                };
                small[..held].copy_from_slice(self.bytes());
                pool.give(core::mem::replace(&mut self.buffer, small));
            }
        } else if held == 0 {
            self.buffer = Vec::new();
        } else {
            return;
        }
        (self.start, self.end) = (0, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is received, consumed and given back meanwhile: the bytes come out in order.
        #[test]
        fn a_queue_of_bytes(steps in prop::collection::vec((0..3u8, 0..700usize), 1..200)) {
            let pool = Pool::new(1024, 2);
            let mut input = Input::default();
            let (mut next_in, mut next_out) = (0u8, 0u8);
            for (what, n) in steps {
                match what {
                    0 => {
                        let room = input.room(&pool).unwrap();
                        let n = n.min(room.len());
                        for byte in &mut room[..n] {
                            *byte = next_in;
                            next_in = next_in.wrapping_add(1);
                        }
                        input.received(n);
                    }
                    1 => {
                        let n = n.min(input.bytes().len());
                        for byte in &input.bytes()[..n] {
                            prop_assert_eq!(*byte, next_out);
                            next_out = next_out.wrapping_add(1);
                        }
                        input.consume(n);
                    }
                    _ => {
                        input.rest(&pool);
                        prop_assert!(!input.is_empty() || input.buffer.capacity() == 0);
                    }
                }
                let held = input.bytes().len();
                prop_assert_eq!(held % 256, usize::from(next_in.wrapping_sub(next_out)));
                prop_assert!(input.buffer.len() <= 1024);
            }
        }
    }

    #[test]
    fn no_memory_is_an_answer() {
        let pool = Pool::new(usize::MAX, 0);
        assert_eq!(Input::default().room(&pool), Err(OutOfMemory));
    }

    #[test]
    fn room_ends() {
        let pool = Pool::new(512, 1);
        let mut input = Input::default();
        assert_eq!(input.room(&pool).unwrap().len(), 512);
        input.received(512);
        assert_eq!(input.room(&pool).unwrap().len(), 0);
        input.consume(10);
        assert_eq!(input.room(&pool).unwrap().len(), 10);
        input.consume(492);
        input.rest(&pool);
        assert_eq!(input.buffer.len(), 256);
        assert_eq!(pool.free.borrow().len(), 1);
    }
}
