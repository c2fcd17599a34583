//! Reads, writes and flushes, as futures.
//!
//! What depends on the kind of buffer is only where bytes that have come are put; all else is one
//! [`Transfer`].

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use crate::device::{IoError, Phase, Sector, Shared};
use crate::engine::{CallId, Sink};
use crate::pool::NONE;
use crate::wire::{Operation, SECTOR};

/// A call under way.
struct Transfer<'a> {
    shared: &'a Shared,
    /// [`NONE`] before the first poll and after the last.
    call: CallId,
}

impl<'a> Transfer<'a> {
    fn new(shared: &'a Shared) -> Self {
        Transfer { shared, call: NONE }
    }

    /// `range` gives the first byte and the length, on the device, when the call begins.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        operation: Operation,
        range: &mut dyn FnMut() -> Result<(u64, usize), IoError>,
        data: &[u8],
        sink: Sink<'_>,
    ) -> Poll<Result<(), IoError>> {
        let shared = self.shared;
        if shared.phase.get() != Phase::Running {
            self.finish();
            return Poll::Ready(Err(IoError::Away));
        }
        let result = match &mut *shared.engine.borrow_mut() {
            None => Poll::Ready(Err(IoError::Away)),
            Some(engine) => {
                let begins = self.call == NONE;
                if begins {
                    let (at, len) = range()?;
                    if len == 0 {
                        return Poll::Ready(Ok(()));
                    }
                    self.call = engine.begin(operation, at / SECTOR as u64, len)?;
                }
                let result = engine.poll(self.call, cx.waker(), data, sink);
                if begins {
                    engine.count_wait(self.call);
                }
                if engine.unpublished {
                    shared.wake_pump();
                }
                result
            }
        };
        if result.is_ready() {
            self.finish();
        }
        result
    }

    fn finish(&mut self) {
        let call = core::mem::replace(&mut self.call, NONE);
        if call == NONE {
            return;
        }
        if let Some(engine) = &mut *self.shared.engine.borrow_mut() {
            engine.end(call);
            if engine.unpublished {
                self.shared.wake_pump();
            }
        }
    }
}

impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Where on the device so many bytes from `first` on are, if they are whole sectors and exist.
fn sectors(shared: &Shared, first: Sector, len: Option<usize>) -> Result<(u64, usize), IoError> {
    let size = shared.properties.get().sector_size;
    let len = len
        .filter(|len| len.is_multiple_of(size as usize))
        .ok_or(IoError::Misaligned)?;
    let at = first
        .0
        .checked_mul(size.into())
        .ok_or(IoError::OutOfRange)?;
    exists(shared, at, len)?;
    Ok((at, len))
}

fn exists(shared: &Shared, at: u64, len: usize) -> Result<(), IoError> {
    let properties = shared.properties.get();
    let sector = u64::from(properties.sector_size);
    // The size is far below what overflows.
    let bytes = properties.sectors * SECTOR as u64 / sector * sector;
    match at.checked_add(len as u64) {
        Some(end) if end <= bytes => Ok(()),
        _ => Err(IoError::OutOfRange),
    }
}

/// The future of [`Blkfront::read`](crate::Blkfront::read).
#[must_use = "futures do nothing unless polled"]
pub struct Read<'a, B> {
    transfer: Transfer<'a>,
    first: Sector,
    into: &'a mut [B],
}

impl<'a, B: AsMut<[u8]>> Read<'a, B> {
    pub(crate) fn new(shared: &'a Shared, first: Sector, into: &'a mut [B]) -> Self {
        Read {
            transfer: Transfer::new(shared),
            first,
            into,
        }
    }
}

impl<B: AsMut<[u8]>> Future for Read<'_, B> {
    type Output = Result<(), IoError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (shared, first) = (this.transfer.shared, this.first);
        if this.transfer.call == NONE {
            let size = shared.properties.get().sector_size as usize;
            let mut total = Some(0usize);
            for buffer in &mut *this.into {
                let len = buffer.as_mut().len();
                total = total
                    .filter(|_| len.is_multiple_of(size))
                    .and_then(|total| total.checked_add(len));
            }
            let mut range = || sectors(shared, first, total);
            return this
                .transfer
                .poll(cx, Operation::Read, &mut range, &[], &mut |_, _, _, _| ());
        }
        let into = &mut *this.into;
        // Where the buffer looked at last begins: bytes mostly come in order.
        let (mut index, mut start) = (0, 0);
        let mut sink =
            |mut offset: usize, memory: &minios::Shared, mut at: usize, mut len: usize| {
                if offset < start {
                    (index, start) = (0, 0);
                }
                while len > 0 {
                    let Some(buffer) = into.get_mut(index) else {
                        return;
                    };
                    let buffer = buffer.as_mut();
                    let skip = offset - start;
                    if skip >= buffer.len() {
                        start += buffer.len();
                        index += 1;
                        continue;
                    }
                    let piece = len.min(buffer.len() - skip);
                    // Pages of our own: it cannot fail.
                    let read = memory.read(at, &mut buffer[skip..skip + piece]);
                    debug_assert!(read.is_ok());
                    (offset, at, len) = (offset + piece, at + piece, len - piece);
                }
            };
        this.transfer
            .poll(cx, Operation::Read, &mut begun, &[], &mut sink)
    }
}

/// The range of a call that has begun is not asked for.
fn begun() -> Result<(u64, usize), IoError> {
    Err(IoError::Away)
}

impl<B> Unpin for Read<'_, B> {}

/// The future of [`Blkfront::read_at`](crate::Blkfront::read_at).
#[must_use = "futures do nothing unless polled"]
pub struct ReadAt<'a> {
    transfer: Transfer<'a>,
    offset: u64,
    into: &'a mut [u8],
}

impl<'a> ReadAt<'a> {
    pub(crate) fn new(shared: &'a Shared, offset: u64, into: &'a mut [u8]) -> Self {
        ReadAt {
            transfer: Transfer::new(shared),
            offset,
            into,
        }
    }
}

impl Future for ReadAt<'_> {
    type Output = Result<(), IoError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (shared, offset, into) = (this.transfer.shared, this.offset, &mut *this.into);
        let size = u64::from(shared.properties.get().sector_size);
        let skip = (offset % size) as usize;
        let wanted = into.len();
        let mut range = || {
            exists(shared, offset, wanted)?;
            // Whole sectors around it, of which the last exists as well: the size is in sectors.
            let len = match wanted {
                0 => 0,
                wanted => (skip + wanted).next_multiple_of(size as usize),
            };
            Ok((offset - skip as u64, len))
        };
        let mut sink = |offset: usize, memory: &minios::Shared, at: usize, len: usize| {
            // Of these bytes, those between `skip` and the end of what is wanted.
            let from = offset.max(skip);
            let to = (offset + len).min(skip + wanted);
            if from < to {
                let read = memory.read(at + (from - offset), &mut into[from - skip..to - skip]);
                debug_assert!(read.is_ok());
            }
        };
        this.transfer
            .poll(cx, Operation::Read, &mut range, &[], &mut sink)
    }
}

/// The future of [`Blkfront::write`](crate::Blkfront::write).
#[must_use = "futures do nothing unless polled"]
pub struct Write<'a> {
    transfer: Transfer<'a>,
    first: Sector,
    from: &'a [u8],
}

impl<'a> Write<'a> {
    pub(crate) fn new(shared: &'a Shared, first: Sector, from: &'a [u8]) -> Self {
        Write {
            transfer: Transfer::new(shared),
            first,
            from,
        }
    }
}

impl Future for Write<'_> {
    type Output = Result<(), IoError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (shared, first, from) = (this.transfer.shared, this.first, this.from);
        let mut range = || {
            if shared.properties.get().read_only {
                return Err(IoError::ReadOnly);
            }
            sectors(shared, first, Some(from.len()))
        };
        let sink = &mut |_: usize, _: &minios::Shared, _: usize, _: usize| ();
        this.transfer
            .poll(cx, Operation::Write, &mut range, from, sink)
    }
}

/// The future of [`Blkfront::flush`](crate::Blkfront::flush).
#[must_use = "futures do nothing unless polled"]
pub struct Flush<'a>(Transfer<'a>);

impl<'a> Flush<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Flush(Transfer::new(shared))
    }
}

impl Future for Flush<'_> {
    type Output = Result<(), IoError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let transfer = &mut self.get_mut().0;
        let shared = transfer.shared;
        let mut range = || match shared.flush.get() {
            true => Ok((0, 1)),
            false => Err(IoError::Unsupported),
        };
        let sink = &mut |_: usize, _: &minios::Shared, _: usize, _: usize| ();
        let result = ready!(transfer.poll(cx, Operation::Flush, &mut range, &[], sink));
        if result == Err(IoError::Unsupported) {
            shared.flush.set(false);
        }
        Poll::Ready(result)
    }
}
