//! The transmit half: frames written in place, in pages that the backend may read, and described in
//! batches.
//!
//! No grant is made or ended here. Whether the longest frame would find room is asked beforehand
//! ([`Sender::ready`]); completions may come as late as the backend likes.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use minios::ring::request::Front;
use minios::{PAGE_SIZE, Published, Share};

use crate::checksum::{Ip, Located, Protocol, locate};
use crate::features::Features;
use crate::lie::Lie;
use crate::stats::Stats;
use crate::tx::{self, CHUNK, Completion, Pool, TxMeta};
use crate::wire::{FRAME_MAX, GsoType, TxRing};

pub(crate) struct Sender {
    ring: Front<TxRing, Share>,
    /// [`CHUNK`] pages each.
    chunks: Vec<Published>,
    pool: Pool,
    /// Where a frame is written for which no pages in a row are free.
    scratch: Vec<u8>,
    features: Features,
    /// Pages of the longest frame, and of the longest answer.
    frame_pages: usize,
    answer_pages: usize,
    unpublished: bool,
}

/// Pages that are left to answers to received frames, which are no longer than an MTU: a stack that
/// has much to send still answers.
pub(crate) const RESERVE: usize = 8;

impl Sender {
    /// `scratch` is as long as the longest frame that the stack may send, `answer` the longest in
    /// one packet.
    pub(crate) fn new(
        ring: Front<TxRing, Share>,
        chunks: Vec<Published>,
        scratch: Vec<u8>,
        answer: usize,
        features: Features,
    ) -> Self {
        Sender {
            ring,
            pool: Pool::new(chunks.len()),
            chunks,
            frame_pages: scratch.len().div_ceil(PAGE_SIZE),
            answer_pages: answer.div_ceil(PAGE_SIZE),
            scratch,
            features,
            unpublished: false,
        }
    }

    /// Whether the longest frame, or answer, would find room now. If not, an event comes when it
    /// may.
    pub(crate) fn ready(&mut self, answer: bool, stats: &mut Stats) -> Result<bool, Lie> {
        let pages = if answer {
            self.answer_pages
        } else {
            self.frame_pages + RESERVE
        };
        while self.missing(pages) > 0 {
            if self.reap(stats)? > 0 {
                continue;
            }
            let missing = self.missing(pages) as u32;
            if !self.ring.rearm_after(missing).map_err(|_| Lie::TxIndex)? {
                stats.tx_stalls += 1;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Completions to wait for until there are so many free pages, and slots for them and an extra.
    fn missing(&self, pages: usize) -> usize {
        let slots = (pages + 1).saturating_sub(self.ring.free() as usize);
        pages.saturating_sub(self.pool.available()).max(slots)
    }

    /// Takes in what the backend has completed; says how many slots.
    fn reap(&mut self, stats: &mut Stats) -> Result<usize, Lie> {
        let mut slots = 0;
        while let Some((_, response)) = self.ring.pop().map_err(|_| Lie::TxIndex)? {
            slots += 1;
            if self.pool.complete(&response)? == Completion::Failed {
                stats.tx_errors += 1;
            }
        }
        Ok(slots)
    }

    /// Has `write` make a frame of `len` bytes, and describes it. It is not published before
    /// [`flush`](Self::flush).
    pub(crate) fn send<R>(
        &mut self,
        len: usize,
        segment: Option<NonZeroU16>,
        stats: &mut Stats,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        let pages = len.div_ceil(PAGE_SIZE);
        if len == 0 || len > FRAME_MAX || !self.room(pages) {
            return self.discard(len, stats, write);
        }
        stats.tx_frames += 1;
        stats.tx_bytes += len as u64;
        match self.pool.take(pages) {
            Some(first) => {
                let start = first % CHUNK * PAGE_SIZE;
                let frame = &mut self.chunks[first / CHUNK].bytes_mut()[start..start + len];
                let result = write(frame);
                let meta = finish(frame, &self.features, segment);
                self.describe(len, meta, first..first + pages, stats);
                result
            }
            None => {
                stats.tx_copied += 1;
                let frame = &mut self.scratch[..len];
                let result = write(frame);
                let meta = finish(frame, &self.features, segment);
                let scattered = self.scatter(len);
                self.describe(len, meta, scattered.into_iter().take(pages), stats);
                result
            }
        }
    }

    /// Has `write` make a frame that goes nowhere.
    pub(crate) fn discard<R>(
        &mut self,
        len: usize,
        stats: &mut Stats,
        write: impl FnOnce(&mut [u8]) -> R,
    ) -> R {
        stats.tx_dropped += 1;
        self.scratch.resize(self.scratch.len().max(len), 0);
        write(&mut self.scratch[..len])
    }

    fn room(&self, pages: usize) -> bool {
        pages <= self.frame_pages && self.missing(pages) == 0
    }

    /// Copies the frame in the scratch buffer to whatever pages are free, of which there are
    /// enough.
    fn scatter(&mut self, len: usize) -> [usize; SCATTER] {
        let mut pages = [0; SCATTER];
        for (page, piece) in pages.iter_mut().zip(self.scratch[..len].chunks(PAGE_SIZE)) {
            let Some(free) = self.pool.take(1) else { break };
            let start = free % CHUNK * PAGE_SIZE;
            self.chunks[free / CHUNK].bytes_mut()[start..start + piece.len()]
                .copy_from_slice(piece);
            *page = free;
        }
        pages
    }

    fn describe(
        &mut self,
        len: usize,
        meta: TxMeta,
        pages: impl IntoIterator<Item = usize>,
        stats: &mut Stats,
    ) {
        let (ring, chunks) = (&mut self.ring, &self.chunks);
        let pages = pages.into_iter().map(|page| {
            let grant = chunks[page / CHUNK].grants()[page % CHUNK];
            (page as u16, grant.0)
        });
        tx::pack(len as u16, meta, pages, |slot| {
            // It cannot fail: there is a free slot for each free page, and memory for each slot.
            let pushed = ring.push(&slot);
            debug_assert!(matches!(pushed, Ok(Some(_))));
        });
        if meta.gso.is_some() {
            self.pool.sent_extra();
            stats.tx_large += 1;
        }
        self.unpublished = true;
    }

    /// Publishes the frames described, and says whether the backend wants an event for them.
    pub(crate) fn flush(&mut self, stats: &mut Stats) -> Result<bool, Lie> {
        self.reap(stats)?;
        if !core::mem::take(&mut self.unpublished) {
            return Ok(false);
        }
        let notify = self.ring.publish().map_err(|_| Lie::TxIndex)?;
        stats.tx_notifies += u64::from(notify);
        Ok(notify)
    }

    pub(crate) fn levels(&self, stats: &mut Stats) {
        stats.tx_in_flight = self.ring.outstanding();
        stats.tx_pages_free = self.pool.available() as u32;
    }
}

/// Pages of the longest frame that can be described.
const SCATTER: usize = FRAME_MAX.div_ceil(PAGE_SIZE);

/// Sees to the checksum and the segmentation of a frame that the stack has written.
fn finish(frame: &mut [u8], features: &Features, segment: Option<NonZeroU16>) -> TxMeta {
    let Located::Transport(transport) = locate(frame) else {
        return TxMeta::default();
    };
    let (blank, gso) = match transport.ip {
        Ip::V4 => (features.csum4, GsoType::TcpV4),
        Ip::V6 => (features.csum6, GsoType::TcpV6),
    };
    if !blank {
        transport.fill(frame);
        return TxMeta::default();
    }
    transport.blank(frame);
    let segment = segment.filter(|_| transport.protocol == Protocol::Tcp);
    TxMeta {
        blank,
        gso: segment.map(|size| (gso, size.get())),
    }
}
