//! Reading a file: its extents in order, a slice of a cached block at a time, and what follows on
//! its way already.

use alloc::rc::Rc;
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};

use super::chain::Extent;
use super::index::File;
use super::mount::Volume;
use crate::cache::{Ahead, BLOCK, Chunk};
use crate::sectors::{Sectors, SectorsError};

/// Reads that may be under way for one reader besides the one that it waits for.
const AHEAD: usize = 2;

/// Reads a file from one of its bytes to its end. It keeps the volume, so that a device can go
/// while answers are under way: they fail.
pub struct Reader<S: Sectors + 'static> {
    volume: Rc<Volume<S>>,
    broken: bool,
    /// What comes next.
    next: Place,
    /// What has not been asked for as yet; behind `next` if nothing was read ahead.
    asked: Place,
    /// Something had to be waited for, so that it pays to look ahead.
    cold: bool,
    ahead: [Option<Ahead>; AHEAD],
}

/// A byte of a file.
#[derive(Clone, Copy)]
struct Place {
    /// The extent that it is in, by its number in the index.
    extent: usize,
    /// Bytes from there.
    skip: u64,
    /// Bytes of the file from here on.
    left: u64,
}

/// Bytes that stand side by side on the device.
struct Piece {
    at: u64,
    len: u64,
}

impl<S: Sectors + 'static> Volume<S> {
    /// Reads one of its files from the start.
    pub fn open(self: &Rc<Self>, file: File) -> Reader<S> {
        self.open_at(file, 0)
    }

    /// Reads one of its files from this byte on.
    pub fn open_at(self: &Rc<Self>, file: File, from: u64) -> Reader<S> {
        self.open_part(file, from, u64::MAX)
    }

    /// Reads one of its files from the byte `from` to before `to`, or to its end. What is behind
    /// that is not asked for.
    pub fn open_part(self: &Rc<Self>, file: File, from: u64, to: u64) -> Reader<S> {
        let node = self.index.node(file.number);
        let start = Place {
            extent: node.map_or(0, |node| node.start as usize),
            skip: 0,
            left: node.map_or(0, |_| file.size().min(to)),
        };
        let mut reader = Reader {
            volume: self.clone(),
            broken: file.is_broken(),
            next: start,
            asked: start,
            cold: false,
            ahead: [const { None }; AHEAD],
        };
        reader.next = reader.after(start, from.min(start.left));
        reader.asked = reader.next;
        self.device.cache().enter();
        reader
    }
}

impl<S: Sectors + 'static> Reader<S> {
    /// The next piece of the file, `None` at its end. It is at most [`BLOCK`] bytes long. Cancelling
    /// this loses nothing. After an error the same piece may be asked for again.
    pub async fn chunk(&mut self) -> Result<Option<Chunk>, ReadError> {
        if let Some(at_hand) = poll_fn(|cx| Poll::Ready(self.at_hand(cx))).await {
            return at_hand;
        }
        let Some(piece) = self.piece(self.next) else {
            return Err(ReadError::Broken);
        };
        self.cold = true;
        let run = self.run(&piece);
        let block = piece.at / BLOCK as u64;
        let missed = self.volume.device.missed(block, run).await;
        let chunk = missed.map_err(|error| ReadError::of(error, &piece))?;
        poll_fn(|cx| Poll::Ready(self.take(chunk.clone(), &piece, cx))).await
    }

    /// What [`chunk`](Self::chunk) comes to if it need not wait for the device; `None` if it must.
    pub fn at_hand(&mut self, cx: &mut Context<'_>) -> Option<Result<Option<Chunk>, ReadError>> {
        if self.broken {
            return Some(Err(ReadError::Broken));
        }
        if self.next.left == 0 {
            return Some(Ok(None));
        }
        let Some(piece) = self.piece(self.next) else {
            return Some(Err(ReadError::Broken));
        };
        let chunk = self.volume.device.cached(piece.at / BLOCK as u64)?;
        Some(self.take(chunk, &piece, cx))
    }

    /// Takes what there is of a piece in a block, and looks ahead.
    fn take(
        &mut self,
        block: Chunk,
        piece: &Piece,
        cx: &mut Context<'_>,
    ) -> Result<Option<Chunk>, ReadError> {
        let skip = (piece.at % BLOCK as u64) as usize;
        let len = piece.len.min((BLOCK - skip) as u64) as usize;
        let chunk = block.part(skip, len);
        if chunk.len() < len {
            return Err(ReadError::of(SectorsError::OutOfRange, piece));
        }
        self.next = self.after(self.next, len as u64);
        if self.cold {
            self.look_ahead(cx);
        }
        Ok(Some(chunk))
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.next.left
    }

    /// Has what follows read, if it is not there: a window or two, beginning with what has not
    /// been asked for. The device goes on while the caller does something else.
    fn look_ahead(&mut self, cx: &mut Context<'_>) {
        if self.asked.left > self.next.left {
            self.asked = self.next;
        }
        let window = self.volume.device.window();
        let reach = (window * AHEAD * BLOCK) as u64;
        let far = self.next.left.saturating_sub(reach);
        while self.asked.left > far {
            let Some(piece) = self.piece(self.asked) else {
                return;
            };
            let block = piece.at / BLOCK as u64;
            let mut blocks = 1;
            if !self.volume.device.has(block) {
                // One that is at work is not to be dropped: that would end it.
                if self.ahead[0].as_ref().is_some_and(|ahead| !ahead.is_done()) {
                    return;
                }
                self.ahead.rotate_left(1);
                let run = self.run(&piece);
                let device = &self.volume.device;
                let Some(ahead) = device.ahead(block, run, cx) else {
                    // There is no room: it will be asked for when it is wanted.
                    return;
                };
                blocks = ahead.len() as u64;
                self.ahead[AHEAD - 1] = Some(ahead);
            }
            let end = (block + blocks) * BLOCK as u64;
            self.asked = self.after(self.asked, (end - piece.at).min(piece.len));
        }
    }

    /// Blocks that are worth reading at once for a piece.
    fn run(&self, piece: &Piece) -> usize {
        let blocks = (piece.at + piece.len).div_ceil(BLOCK as u64) - piece.at / BLOCK as u64;
        blocks.min(self.volume.device.window() as u64) as usize
    }

    /// What stands side by side on the device from a place on.
    fn piece(&self, place: Place) -> Option<Piece> {
        let Extent { first, count } = *self.volume.index.extents.get(place.extent)?;
        let cluster = u64::from(self.volume.geometry.cluster);
        let at = self.volume.geometry.cluster_at(first)? + place.skip;
        let len = u64::from(count) * cluster - place.skip;
        Some(Piece {
            at,
            len: len.min(place.left),
        })
    }

    /// The place so many bytes further on.
    fn after(&self, mut place: Place, mut bytes: u64) -> Place {
        while bytes > 0 {
            let Some(piece) = self.piece(place) else {
                break;
            };
            if bytes < piece.len {
                place.skip += bytes;
                place.left -= bytes;
                break;
            }
            place.extent += 1;
            place.skip = 0;
            place.left -= piece.len;
            bytes -= piece.len;
        }
        place
    }
}

impl<S: Sectors + 'static> Drop for Reader<S> {
    fn drop(&mut self) {
        self.volume.device.cache().leave();
    }
}

impl<S: Sectors + 'static> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reader({} bytes left)", self.next.left)
    }
}

/// Why a file cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The volume has it wrong: see [`Volume::problems`].
    Broken,
    /// The device cannot read it.
    Failed {
        /// The byte of the device.
        at: u64,
        /// Bytes from there on, of which some cannot be read.
        len: u64,
    },
    /// The device has become smaller.
    OutOfRange {
        /// The byte of the device.
        at: u64,
        /// Bytes from there on, of which some are not there.
        len: u64,
    },
    /// The device is gone.
    Away,
    /// There is no memory for it now, or no room in the cache.
    OutOfMemory,
}

impl ReadError {
    fn of(error: SectorsError, piece: &Piece) -> Self {
        let at = piece.at;
        let len = piece.len.min(BLOCK as u64 - at % BLOCK as u64);
        match error {
            SectorsError::Failed => Self::Failed { at, len },
            SectorsError::OutOfRange => Self::OutOfRange { at, len },
            SectorsError::Away => Self::Away,
            SectorsError::OutOfMemory => Self::OutOfMemory,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken => f.write_str("it is broken on the volume"),
            Self::Failed { at, len } => {
                write!(f, "{len} bytes at byte {at}: the device cannot read them")
            }
            Self::OutOfRange { at, len } => {
                write!(f, "{len} bytes at byte {at}: beyond the end of the device")
            }
            Self::Away => f.write_str("the device is away"),
            Self::OutOfMemory => f.write_str("no room in the cache"),
        }
    }
}

impl core::error::Error for ReadError {}
