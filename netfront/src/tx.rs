//! Transmission without its ring: which pages a frame takes, which slots describe it, and what the
//! responses give back.
//!
//! A page is in one slot at most, and its number is the slot's id. So the pool is all that must be
//! remembered of what is in flight, and a response that names a page which is not is a [`Lie`].

use alloc::vec::Vec;

use crate::lie::Lie;
use crate::wire::{
    Extra, GsoType, PAGE, STATUS_NULL, STATUS_OKAY, TX_SLOT, TxFlags, TxRequest, TxResponse,
};

/// What a backend is to do with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxMeta {
    /// The checksum is for the backend to complete.
    pub blank: bool,
    /// The frame is for the backend to segment, to payloads of this size.
    pub gso: Option<(GsoType, u16)>,
}

/// Slots that a frame of `len` bytes takes.
pub fn slots(len: usize, meta: TxMeta) -> usize {
    len.div_ceil(PAGE) + usize::from(meta.gso.is_some())
}

/// Describes a frame of `len` bytes that lies in `pages` (number and grant of each), in the order
/// of its slots.
///
/// The frame begins its first page and fills each but the last.
pub fn pack(
    len: u16,
    meta: TxMeta,
    pages: impl IntoIterator<Item = (u16, u32)>,
    mut put: impl FnMut([u8; TX_SLOT]),
) {
    let mut left = usize::from(len);
    for (number, (id, grant)) in pages.into_iter().enumerate() {
        let piece = left.min(PAGE);
        left -= piece;
        let mut flags = TxFlags::empty();
        flags.set(TxFlags::MORE_DATA, left > 0);
        let first = number == 0;
        if first {
            flags.set(TxFlags::CSUM_BLANK | TxFlags::DATA_VALIDATED, meta.blank);
            flags.set(TxFlags::EXTRA_INFO, meta.gso.is_some());
        }
        let size = if first { len } else { piece as u16 };
        put(TxRequest {
            grant,
            offset: 0,
            flags,
            id,
            size,
        }
        .encode());
        if let (true, Some((gso, size))) = (first, meta.gso) {
            put(Extra::gso(gso, size).encode_tx());
        }
    }
}

/// Pages in a chunk of the pool: a run of pages lies within one chunk.
pub const CHUNK: usize = 64;

/// The pages that frames are sent from, free and in flight.
#[derive(Debug)]
pub struct Pool {
    /// A bit for each free page.
    free: Vec<u64>,
    available: usize,
    pages: usize,
    /// Extra slots in flight, which have no page.
    extras: u32,
}

/// What a response meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// An extra slot's.
    Null,
    /// The page is free again; its packet went, or this much of it.
    Sent,
    /// The page is free again; its packet was refused.
    Failed,
}

impl Pool {
    /// A pool of so many chunks, all free. Page numbers are ids of 16 bits; 256 pages are a ring
    /// full.
    pub fn new(chunks: usize) -> Self {
        let pages = chunks * CHUNK;
        Pool {
            free: core::iter::repeat_n(u64::MAX, chunks).collect(),
            available: pages,
            pages,
            extras: 0,
        }
    }

    /// Pages in all.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Pages that are free.
    pub fn available(&self) -> usize {
        self.available
    }

    /// Takes `len` pages in a row. Single pages come from the far end, so that they leave the long
    /// runs whole.
    pub fn take(&mut self, len: usize) -> Option<usize> {
        debug_assert!((1..=CHUNK).contains(&len));
        if len == 1 {
            return self.take_last();
        }
        let (chunk, bit) = self
            .free
            .iter()
            .enumerate()
            .find_map(|(chunk, &free)| Some((chunk, run(free, len)?)))?;
        self.free[chunk] &= !(((1u64 << len) - 1) << bit);
        self.available -= len;
        Some(chunk * CHUNK + bit)
    }

    fn take_last(&mut self) -> Option<usize> {
        let chunk = self.free.iter().rposition(|&free| free != 0)?;
        let bit = CHUNK - 1 - self.free[chunk].leading_zeros() as usize;
        self.free[chunk] &= !(1 << bit);
        self.available -= 1;
        Some(chunk * CHUNK + bit)
    }

    /// Gives back a page that was never described to the backend.
    pub fn give(&mut self, page: usize) {
        self.free[page / CHUNK] |= 1 << (page % CHUNK);
        self.available += 1;
    }

    /// An extra slot was described to the backend.
    pub fn sent_extra(&mut self) {
        self.extras += 1;
    }

    /// Takes in a response, from a copy of its slot.
    pub fn complete(&mut self, slot: &[u8; TX_SLOT]) -> Result<Completion, Lie> {
        let TxResponse { id, status } = TxResponse::decode(slot);
        if status == STATUS_NULL {
            self.extras = self.extras.checked_sub(1).ok_or(Lie::TxNull)?;
            return Ok(Completion::Null);
        }
        let page = usize::from(id);
        let chunk = self.free.get(page / CHUNK).ok_or(Lie::TxId(id))?;
        if chunk >> (page % CHUNK) & 1 == 1 {
            return Err(Lie::TxId(id));
        }
        self.give(page);
        Ok(if status == STATUS_OKAY {
            Completion::Sent
        } else {
            Completion::Failed
        })
    }
}

/// Where `len` ones begin in `bits`.
fn run(mut bits: u64, len: usize) -> Option<usize> {
    // A bit stays if the `have` bits from it on are ones; each step up to doubles `have`.
    let mut have = 1;
    while have < len {
        let step = have.min(len - have);
        bits &= bits >> step;
        have += step;
    }
    (bits != 0).then_some(bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ExtraKind, FRAME_MAX, SLOTS_MAX, STATUS_ERROR};
    use proptest::prelude::*;

    fn packed(len: usize, meta: TxMeta) -> Vec<[u8; TX_SLOT]> {
        let pages = (0..len.div_ceil(PAGE)).map(|page| (page as u16, 100 + page as u32));
        let mut slots = Vec::new();
        pack(len as u16, meta, pages, |slot| slots.push(slot));
        slots
    }

    #[test]
    fn a_small_frame_is_one_slot() {
        let slots = packed(60, TxMeta::default());
        let request = TxRequest {
            grant: 100,
            offset: 0,
            flags: TxFlags::empty(),
            id: 0,
            size: 60,
        };
        assert_eq!(slots, [request.encode()]);
    }

    #[test]
    fn the_longest_frame_fits() {
        let gso = Some((GsoType::TcpV4, 1448));
        let meta = TxMeta { blank: true, gso };
        let packed = packed(FRAME_MAX, meta);
        assert_eq!(packed.len(), slots(FRAME_MAX, meta));
        assert!(packed.len() <= SLOTS_MAX);

        let first = TxRequest::decode(&packed[0]);
        assert_eq!(
            usize::from(first.size),
            FRAME_MAX,
            "the first says the total"
        );
        assert_eq!(
            first.flags,
            TxFlags::all() & TxFlags::from_bits_retain(0b1111)
        );
        let extra = Extra::decode_tx(&packed[1]);
        assert_eq!(
            extra.kind,
            ExtraKind::Gso {
                gso: Ok(GsoType::TcpV4),
                size: 1448
            }
        );
        let rest: Vec<_> = packed[2..].iter().map(TxRequest::decode).collect();
        let sizes: usize = rest.iter().map(|request| usize::from(request.size)).sum();
        assert_eq!(sizes + PAGE, FRAME_MAX);
        assert!(
            rest.iter()
                .all(|request| usize::from(request.offset + request.size) <= PAGE)
        );
        let (last, others) = rest.split_last().unwrap();
        assert!(
            others
                .iter()
                .all(|request| request.flags == TxFlags::MORE_DATA)
        );
        assert_eq!(last.flags, TxFlags::empty());
    }

    #[test]
    fn responses_to_nothing_are_lies() {
        let mut pool = Pool::new(1);
        let okay = |id| {
            TxResponse {
                id,
                status: STATUS_OKAY,
            }
            .encode()
        };
        let null = TxResponse {
            id: 0x5a5a,
            status: STATUS_NULL,
        }
        .encode();
        assert_eq!(pool.complete(&okay(3)), Err(Lie::TxId(3)));
        assert_eq!(pool.complete(&okay(64)), Err(Lie::TxId(64)));
        assert_eq!(pool.complete(&okay(0xffff)), Err(Lie::TxId(0xffff)));
        assert_eq!(pool.complete(&null), Err(Lie::TxNull));

        let page = pool.take(1).unwrap() as u16;
        pool.sent_extra();
        assert_eq!(pool.complete(&null), Ok(Completion::Null));
        assert_eq!(pool.complete(&null), Err(Lie::TxNull));
        let failed = TxResponse {
            id: page,
            status: STATUS_ERROR,
        }
        .encode();
        assert_eq!(pool.complete(&failed), Ok(Completion::Failed));
        assert_eq!(pool.complete(&failed), Err(Lie::TxId(page)), "twice");
        assert_eq!(pool.available(), CHUNK);
    }

    #[test]
    fn single_pages_leave_the_runs() {
        let mut pool = Pool::new(2);
        let singles: Vec<_> = (0..CHUNK).map(|_| pool.take(1).unwrap()).collect();
        assert!(singles.iter().all(|&page| page >= CHUNK));
        for start in [0, 16, 32, 48] {
            assert_eq!(pool.take(16), Some(start));
        }
        assert_eq!(pool.take(1), None);
    }

    proptest! {
        #[test]
        fn runs_are_found_where_they_are(bits: u64, len in 1usize..=64) {
            let ones = |at: usize| (at..at + len).all(|bit| bits >> bit & 1 == 1);
            let expected = (0..=64 - len).find(|&at| ones(at));
            prop_assert_eq!(run(bits, len), expected);
        }

        #[test]
        fn no_page_is_lent_twice(
            sizes in proptest::collection::vec((1usize..=17, any::<u8>()), 1..200),
        ) {
            let mut pool = Pool::new(2);
            let mut out = Vec::new();
            for (len, back) in sizes {
                if let Some(first) = pool.take(len) {
                    for page in first..first + len {
                        prop_assert!(!out.contains(&page));
                        out.push(page);
                    }
                }
                if back & 1 == 1 && !out.is_empty() {
                    let page = out.swap_remove(usize::from(back) % out.len());
                    let slot = TxResponse { id: page as u16, status: STATUS_OKAY }.encode();
                    prop_assert_eq!(pool.complete(&slot), Ok(Completion::Sent));
                }
                prop_assert_eq!(pool.available() + out.len(), 2 * CHUNK);
            }
        }
    }
}
