//! A pair of byte streams in one page, as xenstore and the console use them.
//!
//! Whoever has written or read bytes notifies the peer. Indices run free and need not start at 0: an
//! end picks up where the shared page says that it was.

use core::ops::{Deref, Range};

use super::Broken;
use crate::abi::{console, xenstore};
use crate::shared::{Shared, read_barrier, write_barrier};

/// Where the two streams of a page are.
pub struct Layout {
    to_back: Lane,
    to_front: Lane,
}

/// One stream: its bytes, a power of two of them, and its indices.
struct Lane {
    bytes: Range<usize>,
    cons: usize,
    prod: usize,
}

/// The xenstore page.
pub const XENSTORE: &Layout = &Layout {
    to_back: Lane {
        bytes: xenstore::REQ,
        cons: xenstore::REQ_CONS,
        prod: xenstore::REQ_PROD,
    },
    to_front: Lane {
        bytes: xenstore::RSP,
        cons: xenstore::RSP_CONS,
        prod: xenstore::RSP_PROD,
    },
};

/// The console page.
pub const CONSOLE: &Layout = &Layout {
    to_back: Lane {
        bytes: console::OUT,
        cons: console::OUT_CONS,
        prod: console::OUT_PROD,
    },
    to_front: Lane {
        bytes: console::IN,
        cons: console::IN_CONS,
        prod: console::IN_PROD,
    },
};

macro_rules! end {
    ($(#[$doc:meta])* $end:ident writes $out:ident reads $inward:ident) => {
        $(#[$doc])*
        pub struct $end<M> {
            memory: M,
            writer: Writer,
            reader: Reader,
        }

        impl<M: Deref<Target = Shared>> $end<M> {
            /// This end of the streams in `memory`, going on from the indices found there.
            pub fn new(memory: M, layout: &'static Layout) -> Result<Self, Broken> {
                let writer = Writer::attach(&memory, &layout.$out)?;
                let reader = Reader::attach(&memory, &layout.$inward)?;
                Ok(Self { memory, writer, reader })
            }

            /// Writes as many of `bytes` as there is room for, and says how many.
            pub fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
                self.writer.write(&self.memory, bytes)
            }

            /// How many bytes can be written now.
            pub fn room(&self) -> Result<usize, Broken> {
                self.writer.room(&self.memory)
            }

            /// Reads as many bytes as there are and fit `into`, and says how many.
            pub fn read(&mut self, into: &mut [u8]) -> Result<usize, Broken> {
                self.reader.read(&self.memory, into)
            }

            /// How many bytes can be read now.
            pub fn waiting(&self) -> Result<usize, Broken> {
                self.reader.waiting(&self.memory)
            }

            /// The page.
            pub fn memory(&self) -> &M {
                &self.memory
            }

            /// The page, to give it back.
            pub fn into_memory(self) -> M {
                self.memory
            }
        }
    };
}

end! {
    /// The guest's end.
    Front writes to_back reads to_front
}
end! {
    /// The end of the service in the control domain.
    Back writes to_front reads to_back
}

impl Lane {
    fn size(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// How much lies between the indices.
    fn filled(&self, produced: u32, consumed: u32) -> Result<u32, Broken> {
        match produced.wrapping_sub(consumed) {
            filled if filled <= self.size() => Ok(filled),
            _ => Err(Broken::Indices { produced, consumed }),
        }
    }

    /// The `len` bytes from `index` on, as a place and how many of them come before the wrap.
    fn place(&self, index: u32, len: usize) -> (usize, usize) {
        let at = (index & (self.size() - 1)) as usize;
        (self.bytes.start + at, len.min(self.bytes.len() - at))
    }
}

struct Writer {
    lane: &'static Lane,
    produced: u32,
}

impl Writer {
    fn attach(memory: &Shared, lane: &'static Lane) -> Result<Self, Broken> {
        let produced = memory.load_u32(lane.prod)?;
        let writer = Writer { lane, produced };
        writer.room(memory)?;
        Ok(writer)
    }

    fn room(&self, memory: &Shared) -> Result<usize, Broken> {
        let consumed = memory.load_u32(self.lane.cons)?;
        let filled = self.lane.filled(self.produced, consumed)?;
        Ok((self.lane.size() - filled) as usize)
    }

    fn write(&mut self, memory: &Shared, bytes: &[u8]) -> Result<usize, Broken> {
        let len = self.room(memory)?.min(bytes.len());
        if len == 0 {
            return Ok(0);
        }
        // The peer has read what is overwritten now.
        read_barrier();
        let (at, before_wrap) = self.lane.place(self.produced, len);
        memory.write(at, &bytes[..before_wrap])?;
        memory.write(self.lane.bytes.start, &bytes[before_wrap..len])?;
        self.produced = self.produced.wrapping_add(len as u32);
        write_barrier();
        memory.store_u32(self.lane.prod, self.produced)?;
        Ok(len)
    }
}

struct Reader {
    lane: &'static Lane,
    consumed: u32,
}

impl Reader {
    fn attach(memory: &Shared, lane: &'static Lane) -> Result<Self, Broken> {
        let consumed = memory.load_u32(lane.cons)?;
        let reader = Reader { lane, consumed };
        reader.waiting(memory)?;
        Ok(reader)
    }

    fn waiting(&self, memory: &Shared) -> Result<usize, Broken> {
        let produced = memory.load_u32(self.lane.prod)?;
        Ok(self.lane.filled(produced, self.consumed)? as usize)
    }

    fn read(&mut self, memory: &Shared, into: &mut [u8]) -> Result<usize, Broken> {
        let len = self.waiting(memory)?.min(into.len());
        if len == 0 {
            return Ok(0);
        }
        read_barrier();
        let (at, before_wrap) = self.lane.place(self.consumed, len);
        memory.read(at, &mut into[..before_wrap])?;
        memory.read(self.lane.bytes.start, &mut into[before_wrap..len])?;
        self.consumed = self.consumed.wrapping_add(len as u32);
        // All is read before the peer may overwrite it.
        write_barrier();
        memory.store_u32(self.lane.cons, self.consumed)?;
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
