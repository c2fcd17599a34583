//! What is asked for and what is in flight: the ring, the pool, and the calls that wait.
//!
//! A call (a read, a write, a flush) is any number of requests, one after the other or at once. It
//! stands in the queue until all of them are on the ring, and takes one turn at a time there; a
//! read needs nobody to poll it for that. Its requests that are done keep their pages until the
//! call is polled, and copies them out. Nothing here waits, and nothing is allocated for a request.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::{Poll, Waker};

use minios::ring::request::Front;
use minios::{PAGE_SIZE, Port, Share, Shared};

use crate::device::IoError;
use crate::lie::Lie;
use crate::pool::{NONE, Page, Pool};
use crate::stats::Stats;
use crate::wire::{
    BlkRing, DIRECT, INDIRECT, INDIRECT_PAGES, IndirectRequest, Operation, Request, Response,
    SECTOR, SEGMENT, STATUS_ERROR, STATUS_OKAY, STATUS_UNSUPPORTED, Segment,
};

/// A call, by its number; [`NONE`] is none.
pub(crate) type CallId = u16;

/// Where bytes that were read go: their offset in the call, the memory they are in, where, and how
/// many.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(usize, &Shared, usize, usize);

pub(crate) struct Engine {
    ring: Front<BlkRing, Share>,
    pub(crate) port: Port,
    pool: Pool,
    /// By id; as many as the ring has slots.
    requests: Vec<InFlight>,
    /// The first of the free ones.
    free: u16,
    calls: Vec<Call>,
    free_calls: Vec<CallId>,
    queue: VecDeque<CallId>,
    handle: u16,
    /// The most segments in a request.
    segments: usize,
    /// There are requests that the backend does not see yet.
    pub(crate) unpublished: bool,
    stats: Stats,
}

/// A request on the ring, or one that is done and not looked at.
struct InFlight {
    state: State,
    /// Whose it is; [`NONE`] if nobody waits for it any more.
    call: CallId,
    /// The next of the same call, or the next free one.
    next: u16,
    operation: Operation,
    /// Its first page is one of segments.
    indirect: bool,
    pages: Page,
    /// Where in the call it begins, and its length.
    offset: usize,
    len: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    InFlight,
    Done,
    Failed,
    Unsupported,
}

struct Call {
    operation: Operation,
    /// Where on the device it begins, in sectors of 512 bytes.
    sector: u64,
    /// How much of it has been asked for, of how much.
    next: usize,
    end: usize,
    /// From here on it must be done again, without indirection.
    redo: Option<usize>,
    error: Option<IoError>,
    /// The first of its requests.
    requests: u16,
    queued: bool,
    waker: Option<Waker>,
}

impl Engine {
    pub(crate) fn new(
        ring: Front<BlkRing, Share>,
        port: Port,
        pool: Pool,
        handle: u16,
    ) -> Result<Self, crate::SetupError> {
        let size = ring.size() as u16;
        let mut requests = Vec::new();
        requests
            .try_reserve_exact(usize::from(size))
            .map_err(|_| crate::SetupError::OutOfMemory)?;
        requests.extend((0..size).map(|id| InFlight {
            state: State::Free,
            call: NONE,
            next: if id + 1 < size { id + 1 } else { NONE },
            operation: Operation::Flush,
            indirect: false,
            pages: NONE,
            offset: 0,
            len: 0,
        }));
        Ok(Engine {
            ring,
            port,
            pool,
            requests,
            free: 0,
            calls: Vec::new(),
            free_calls: Vec::new(),
            queue: VecDeque::new(),
            handle,
            segments: DIRECT,
            unpublished: false,
            stats: Stats::default(),
        })
    }

    /// The backend takes so many segments by indirection; 0 if it knows none.
    pub(crate) fn offer_segments(&mut self, most: usize) {
        // One page of segments, which is enough for any pool that makes sense.
        self.segments = most.clamp(DIRECT, INDIRECT);
    }

    /// Bytes of the largest request.
    pub(crate) fn largest(&self) -> usize {
        let pages = self.pool.pages();
        let spare = usize::from(self.segments > DIRECT);
        self.segments.min(pages - spare) * PAGE_SIZE
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            in_flight: self.ring.outstanding(),
            pages_free: self.pool.available() as u32,
            waiting: self.queue.len() as u32,
            ..self.stats
        }
    }

    pub(crate) fn count(&mut self, count: impl FnOnce(&mut Stats)) {
        count(&mut self.stats);
    }

    /// A new call for `len` bytes from `sector` on, last in the queue. A flush has a length, too:
    /// any but 0.
    pub(crate) fn begin(
        &mut self,
        operation: Operation,
        sector: u64,
        len: usize,
    ) -> Result<CallId, IoError> {
        let id = match self.free_calls.pop() {
            Some(id) => id,
            None => self.new_call()?,
        };
        self.calls[usize::from(id)] = Call {
            operation,
            sector,
            next: 0,
            end: len,
            redo: None,
            error: None,
            requests: NONE,
            queued: false,
            waker: None,
        };
        self.enqueue(id);
        Ok(id)
    }

    /// Room for one more, also in the lists that it may come to stand in.
    fn new_call(&mut self) -> Result<CallId, IoError> {
        let count = self.calls.len();
        if count >= usize::from(NONE) {
            return Err(IoError::OutOfMemory);
        }
        let spare = count + 1 - self.queue.len();
        self.calls
            .try_reserve(1)
            .and_then(|()| self.free_calls.try_reserve(count + 1))
            .and_then(|()| self.queue.try_reserve(spare))
            .map_err(|_| IoError::OutOfMemory)?;
        self.calls.push(Call {
            operation: Operation::Flush,
            sector: 0,
            next: 0,
            end: 0,
            redo: None,
            error: None,
            requests: NONE,
            queued: false,
            waker: None,
        });
        Ok(count as CallId)
    }

    fn enqueue(&mut self, id: CallId) {
        let call = &mut self.calls[usize::from(id)];
        if call.next < call.end && !core::mem::replace(&mut call.queued, true) {
            self.queue.push_back(id);
        }
    }

    fn dequeue(&mut self, id: CallId) {
        if core::mem::take(&mut self.calls[usize::from(id)].queued) {
            self.queue.retain(|&queued| queued != id);
        }
    }

    /// Takes in what is done of a call, and asks for what is not asked for yet. `data` is what is
    /// to be written.
    pub(crate) fn poll(
        &mut self,
        id: CallId,
        waker: &Waker,
        data: &[u8],
        sink: Sink<'_>,
    ) -> Poll<Result<(), IoError>> {
        self.reap(id, sink);
        let call = &mut self.calls[usize::from(id)];
        if call.requests == NONE
            && let Some(redo) = call.redo.take()
        {
            call.next = redo;
            self.enqueue(id);
        }
        self.advance(Some((id, data)));
        let call = &mut self.calls[usize::from(id)];
        if let Some(error) = call.error {
            return Poll::Ready(Err(error));
        }
        if call.requests == NONE && call.next == call.end && call.redo.is_none() {
            return Poll::Ready(Ok(()));
        }
        match &mut call.waker {
            Some(known) if known.will_wake(waker) => {}
            known => *known = Some(waker.clone()),
        }
        Poll::Pending
    }

    /// Counts a call that could not be put on the ring whole when it was made.
    pub(crate) fn count_wait(&mut self, id: CallId) {
        self.stats.waits += u64::from(self.calls[usize::from(id)].queued);
    }

    /// Forgets a call. What is in flight of it keeps its pages until it is answered.
    pub(crate) fn end(&mut self, id: CallId) {
        self.dequeue(id);
        let call = &mut self.calls[usize::from(id)];
        call.waker = None;
        let mut request = core::mem::replace(&mut call.requests, NONE);
        while request != NONE {
            let entry = &mut self.requests[usize::from(request)];
            let next = entry.next;
            entry.call = NONE;
            if entry.state != State::InFlight {
                self.release(request);
            }
            request = next;
        }
        self.free_calls.push(id);
        self.advance(None);
    }

    /// Wakes all calls, for the device has ended.
    pub(crate) fn wake_all(&mut self) {
        for call in &mut self.calls {
            if let Some(waker) = call.waker.take() {
                waker.wake();
            }
        }
    }

    /// Takes out of a call's chain what is done.
    fn reap(&mut self, id: CallId, sink: Sink<'_>) {
        let call = usize::from(id);
        let mut previous = NONE;
        let mut request = self.calls[call].requests;
        while request != NONE {
            let entry = &self.requests[usize::from(request)];
            let next = entry.next;
            if entry.state == State::InFlight {
                previous = request;
                request = next;
                continue;
            }
            match entry.state {
                State::Done if entry.operation == Operation::Read => self.copy_out(entry, sink),
                State::Done => {}
                // Others of this call may have been sent since: all of it is done again from the
                // first on that was refused.
                State::Unsupported if entry.indirect => {
                    let offset = entry.offset;
                    let redo = &mut self.calls[call].redo;
                    *redo = Some(redo.map_or(offset, |redo| redo.min(offset)));
                    self.dequeue(id);
                }
                State::Unsupported => self.calls[call].error = Some(IoError::Unsupported),
                _ => self.calls[call].error = Some(IoError::Failed),
            }
            match previous {
                NONE => self.calls[call].requests = next,
                previous => self.requests[usize::from(previous)].next = next,
            }
            self.release(request);
            request = next;
        }
    }

    fn copy_out(&self, entry: &InFlight, sink: Sink<'_>) {
        let mut page = entry.pages;
        if entry.indirect {
            page = self.pool.next(page);
        }
        let mut done = 0;
        while done < entry.len && page != NONE {
            let len = (entry.len - done).min(PAGE_SIZE);
            let (memory, at) = self.pool.at(page);
            sink(entry.offset + done, memory, at, len);
            done += len;
            page = self.pool.next(page);
        }
    }

    /// Gives back the pages of a request that is answered, and its number.
    fn release(&mut self, request: u16) {
        let entry = &mut self.requests[usize::from(request)];
        let pages = core::mem::replace(&mut entry.pages, NONE);
        entry.state = State::Free;
        entry.call = NONE;
        entry.next = core::mem::replace(&mut self.free, request);
        self.pool.give(pages);
    }

    /// Asks for as much as there is room for, on behalf of those in the queue, in turn. A write's
    /// bytes are at hand only while it is polled: then they are in `source`.
    pub(crate) fn advance(&mut self, source: Option<(CallId, &[u8])>) {
        while let Some(&id) = self.queue.front() {
            let data = source.filter(|(polled, _)| *polled == id);
            let call = &mut self.calls[usize::from(id)];
            if call.operation == Operation::Write && data.is_none() {
                if let Some(waker) = call.waker.take() {
                    waker.wake();
                }
                return;
            }
            if !self.start(id, data.map_or(&[], |(_, data)| data)) {
                return;
            }
            self.queue.pop_front();
            self.calls[usize::from(id)].queued = false;
            self.enqueue(id);
        }
    }

    /// Puts one request of a call on the ring; false if there is no room.
    fn start(&mut self, id: CallId, data: &[u8]) -> bool {
        let call = &self.calls[usize::from(id)];
        let (operation, offset) = (call.operation, call.next);
        let left = call.end - offset;
        let request = self.free;
        if request == NONE || self.ring.free() == 0 {
            return false;
        }
        let (count, len) = if operation == Operation::Flush {
            (0, left)
        } else {
            let Some(count) = self.room(left.div_ceil(PAGE_SIZE)) else {
                return false;
            };
            (count, left.min(count * PAGE_SIZE))
        };
        let indirect = count > DIRECT;
        let pages = self.pool.take(count + usize::from(indirect));
        let sector = call.sector + (offset / SECTOR) as u64;
        let bytes = data.get(offset..offset + len).unwrap_or_default();
        let slot = self.describe(operation, request, sector, pages, count, len, bytes);
        // It cannot fail: there is a free slot, and memory for each slot.
        let pushed = self.ring.push(&slot);
        debug_assert!(matches!(pushed, Ok(Some(_))));

        let call = &mut self.calls[usize::from(id)];
        call.next += len;
        let next = core::mem::replace(&mut call.requests, request);
        let entry = &mut self.requests[usize::from(request)];
        self.free = entry.next;
        *entry = InFlight {
            state: State::InFlight,
            call: id,
            next,
            operation,
            indirect,
            pages,
            offset,
            len,
        };
        self.unpublished = true;
        self.stats.requests += 1;
        self.stats.indirect += u64::from(indirect);
        true
    }

    /// How many pages the next request may have, of those that are wanted. `None` if it is better
    /// to wait: a device that is asked for crumbs is slow.
    fn room(&self, wanted: usize) -> Option<usize> {
        let most = wanted.min(self.segments).min(self.pool.pages() - 1);
        let mut count = most.min(self.pool.available());
        if count > DIRECT {
            // One for the segments.
            count = count.min(self.pool.available() - 1);
        }
        (count >= most.min(self.pool.pages() / 8)).then_some(count)
    }

    /// The slot of a request, whose segments and bytes are put where they belong.
    #[expect(clippy::too_many_arguments, reason = "all of what a request is")]
    fn describe(
        &self,
        operation: Operation,
        id: u16,
        sector: u64,
        pages: Page,
        count: usize,
        len: usize,
        data: &[u8],
    ) -> [u8; crate::wire::SLOT] {
        let descriptor = pages;
        let indirect = count > DIRECT;
        let mut page = if indirect {
            self.pool.next(pages)
        } else {
            pages
        };
        let mut segments = [Segment::default(); DIRECT];
        for number in 0..count {
            let start = number * PAGE_SIZE;
            let piece = (len - start).min(PAGE_SIZE);
            if let Some(bytes) = data.get(start..start + piece) {
                self.pool.write(page, 0, bytes);
            }
            let segment = Segment {
                grant: self.pool.grant(page),
                first: 0,
                last: (piece / SECTOR - 1) as u8,
            };
            match segments.get_mut(number).filter(|_| !indirect) {
                Some(own) => *own = segment,
                None => self
                    .pool
                    .write(descriptor, number * SEGMENT, &segment.encode()),
            }
            page = self.pool.next(page);
        }
        if indirect {
            let mut grants = [0; INDIRECT_PAGES];
            grants[0] = self.pool.grant(descriptor);
            return IndirectRequest {
                operation: operation as u8,
                count: count as u16,
                handle: self.handle,
                id: id.into(),
                sector,
                grants,
            }
            .encode();
        }
        Request {
            operation: operation as u8,
            count: count as u8,
            handle: self.handle,
            id: id.into(),
            // A flush is of everything.
            sector: if count == 0 { 0 } else { sector },
            segments,
        }
        .encode()
    }

    /// Takes in all responses, and asks for an event with the next one.
    pub(crate) fn drain(&mut self) -> Result<(), Lie> {
        loop {
            while let Some((_, response)) = self.ring.pop().map_err(|_| Lie::Index)? {
                self.complete(&response)?;
            }
            if !self.ring.rearm().map_err(|_| Lie::Index)? {
                break;
            }
        }
        self.advance(None);
        Ok(())
    }

    fn complete(&mut self, response: &Response) -> Result<(), Lie> {
        let id = response.id;
        let entry = usize::try_from(id)
            .ok()
            .and_then(|id| self.requests.get_mut(id))
            .filter(|entry| entry.state == State::InFlight)
            .ok_or(Lie::Id(id))?;
        let (asked, says) = (entry.operation as u8, response.operation);
        // Backends differ in how they name what was asked for by indirection.
        let named = entry.indirect && says == Operation::Indirect as u8;
        if says != asked && !named {
            return Err(Lie::Operation { asked, says });
        }
        entry.state = match response.status {
            STATUS_OKAY => State::Done,
            STATUS_ERROR => State::Failed,
            STATUS_UNSUPPORTED => State::Unsupported,
            status => return Err(Lie::Status(status)),
        };
        match (entry.state, entry.operation) {
            (State::Failed, _) => self.stats.errors += 1,
            (State::Unsupported, _) => {
                self.stats.unsupported += 1;
                if entry.indirect {
                    self.segments = DIRECT;
                }
            }
            (_, Operation::Read) => self.stats.bytes_read += entry.len as u64,
            (_, Operation::Write) => self.stats.bytes_written += entry.len as u64,
            _ => {}
        }
        match entry.call {
            NONE => {
                self.stats.abandoned += 1;
                self.release(id as u16);
            }
            call => {
                if let Some(waker) = self.calls[usize::from(call)].waker.take() {
                    waker.wake();
                }
            }
        }
        Ok(())
    }

    /// Shows the backend what was asked for, with an event if it wants one.
    pub(crate) fn publish(&mut self) -> Result<(), Lie> {
        if !core::mem::take(&mut self.unpublished) {
            return Ok(());
        }
        self.stats.batches += 1;
        if self.ring.publish().map_err(|_| Lie::Index)? {
            self.stats.notifies += 1;
            self.port.notify();
        }
        Ok(())
    }
}
