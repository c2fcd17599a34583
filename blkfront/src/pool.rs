//! The pages that data pass through: shared once, free or in a request's chain.
//!
//! Chains and the free list are links from page to page, so nothing is allocated after the start.
//! The page that was given back last is taken first: a backend that keeps pages mapped then works on
//! few of them, and so do the caches.

use alloc::vec::Vec;

use minios::{DomId, Domain, PAGE_SIZE, SetupError, Share, Shared};

/// Pages in one share: an allocation that finds room in fragmented memory, and what is lost if a
/// backend keeps one of them.
const CHUNK: usize = 16;

/// The number of a page of the pool; [`NONE`] ends a chain.
pub(crate) type Page = u16;

pub(crate) const NONE: Page = Page::MAX;

pub(crate) struct Pool {
    chunks: Vec<Share>,
    next: Vec<Page>,
    free: Page,
    available: usize,
}

impl Pool {
    /// The fewest and the most pages that a pool has.
    pub(crate) const SIZES: core::ops::RangeInclusive<usize> = CHUNK..=4096;

    /// A pool of so many pages, rounded up to whole chunks, that `peer` may read and write.
    pub(crate) fn new(domain: &Domain, peer: DomId, pages: usize) -> Result<Self, SetupError> {
        let chunks = pages
            .clamp(*Self::SIZES.start(), *Self::SIZES.end())
            .div_ceil(CHUNK);
        let pages = chunks * CHUNK;
        let mut pool = Pool {
            chunks: Vec::new(),
            next: Vec::new(),
            free: 0,
            available: pages,
        };
        pool.chunks
            .try_reserve_exact(chunks)
            .and_then(|()| pool.next.try_reserve_exact(pages))
            .map_err(|_| SetupError::OutOfMemory)?;
        for _ in 0..chunks {
            pool.chunks.push(domain.share(domain.pages(CHUNK)?, peer)?);
        }
        pool.next.extend(1..pages as Page);
        pool.next.push(NONE);
        Ok(pool)
    }

    pub(crate) fn pages(&self) -> usize {
        self.next.len()
    }

    pub(crate) fn available(&self) -> usize {
        self.available
    }

    /// Takes a chain of so many pages, of which there must be as many.
    pub(crate) fn take(&mut self, count: usize) -> Page {
        debug_assert!(count <= self.available);
        if count == 0 {
            return NONE;
        }
        let first = self.free;
        let mut last = first;
        for _ in 1..count {
            last = self.next(last);
        }
        self.free = core::mem::replace(&mut self.next[usize::from(last)], NONE);
        self.available -= count;
        first
    }

    /// Gives a whole chain back.
    pub(crate) fn give(&mut self, first: Page) {
        let mut page = first;
        while page != NONE {
            let next = core::mem::replace(&mut self.next[usize::from(page)], self.free);
            self.free = page;
            self.available += 1;
            page = next;
        }
    }

    /// The page that follows in a chain.
    #[inline]
    pub(crate) fn next(&self, page: Page) -> Page {
        self.next[usize::from(page)]
    }

    pub(crate) fn grant(&self, page: Page) -> u32 {
        let (chunk, index) = (usize::from(page) / CHUNK, usize::from(page) % CHUNK);
        self.chunks[chunk].grants()[index].0
    }

    /// Where a page lies: its share, and its offset there.
    #[inline]
    pub(crate) fn at(&self, page: Page) -> (&Shared, usize) {
        let (chunk, index) = (usize::from(page) / CHUNK, usize::from(page) % CHUNK);
        (&self.chunks[chunk], index * PAGE_SIZE)
    }

    /// Copies `bytes` into a page; they must fit.
    #[inline]
    pub(crate) fn write(&self, page: Page, offset: usize, bytes: &[u8]) {
        let (memory, at) = self.at(page);
        // Within a page of our own: it cannot fail.
        let written = memory.write(at + offset, bytes);
        debug_assert!(written.is_ok() && offset + bytes.len() <= PAGE_SIZE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use minios::host::Hypervisor;
    use proptest::prelude::*;

    fn pool(pages: usize) -> (Hypervisor, Pool) {
        let hypervisor = Hypervisor::new();
        let domain = hypervisor.domain(DomId(1));
        let pool = Pool::new(&domain, DomId::ZERO, pages).expect("a pool");
        (hypervisor, pool)
    }

    fn chain(pool: &Pool, first: Page) -> Vec<Page> {
        let next = |page: &Page| Some(pool.next(*page)).filter(|page| *page != NONE);
        core::iter::successors(Some(first).filter(|page| *page != NONE), next).collect()
    }

    #[test]
    fn each_page_has_a_grant_and_a_place_of_its_own() {
        let (hypervisor, mut pool) = pool(100);
        assert_eq!(pool.pages(), 112);
        assert_eq!(hypervisor.grants(DomId(1)), 112);
        let first = pool.take(112);
        let pages = chain(&pool, first);
        let grants: BTreeSet<u32> = pages.iter().map(|page| pool.grant(*page)).collect();
        assert_eq!(grants.len(), 112);
        for page in &pages {
            pool.write(*page, 4094, &page.to_le_bytes());
        }
        for page in &pages {
            let (memory, at) = pool.at(*page);
            let mut bytes = [0; 2];
            memory.read(at + 4094, &mut bytes).expect("within the page");
            assert_eq!(Page::from_le_bytes(bytes), *page);
        }
        pool.give(first);
        drop(pool);
        assert_eq!(hypervisor.grants(DomId(1)), 0);
    }

    #[test]
    fn what_was_given_back_last_is_taken_first() {
        let (_hypervisor, mut pool) = pool(64);
        let (a, b) = (pool.take(3), pool.take(2));
        let mut last = chain(&pool, a);
        pool.give(b);
        pool.give(a);
        let again = pool.take(3);
        last.reverse();
        assert_eq!(chain(&pool, again), last);
    }

    proptest! {
        #[test]
        fn no_page_is_lost_or_taken_twice(steps in proptest::collection::vec((any::<bool>(), 0..40usize), 0..60)) {
            let (_hypervisor, mut pool) = pool(96);
            let mut taken: Vec<Page> = Vec::new();
            for (take, number) in steps {
                if take && number <= pool.available() {
                    let chain = pool.take(number);
                    prop_assert_eq!(self::chain(&pool, chain).len(), number);
                    taken.push(chain);
                } else if !taken.is_empty() {
                    pool.give(taken.swap_remove(number % taken.len()));
                }
                let pages: Vec<Page> = taken.iter().flat_map(|first| chain(&pool, *first)).collect();
                let distinct: BTreeSet<Page> = pages.iter().copied().collect();
                prop_assert_eq!(distinct.len(), pages.len());
                prop_assert_eq!(pages.len() + pool.available(), 96);
            }
        }
    }
}
