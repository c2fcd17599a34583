//! Whole pages, owned by whoever holds them.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use crate::Domain;

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// No memory is left for this; less may be asked for, or later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")
    }
}

/// Pages that are virtually contiguous, zeroed when they were taken, and freed when dropped.
pub struct Pages {
    at: NonNull<u8>,
    count: usize,
    domain: Domain,
}

impl Pages {
    pub(crate) fn take(domain: &Domain, count: usize) -> Result<Self, OutOfMemory> {
        if count == 0 || count > isize::MAX as usize / PAGE_SIZE {
            return Err(OutOfMemory);
        }
        let at = domain.platform().alloc_pages(count).ok_or(OutOfMemory)?;
        Ok(Pages {
            at,
            count,
            domain: domain.clone(),
        })
    }

    /// How many pages these are.
    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.at
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The start of page `index`, which must be below `count`.
    pub(crate) fn page(&self, index: usize) -> NonNull<u8> {
        debug_assert!(index < self.count);
        // Wrapping, so that no caller's mistake makes this undefined: the pointer is only named here.
        NonNull::new(self.at.as_ptr().wrapping_add(index * PAGE_SIZE)).unwrap_or(self.at)
    }

    /// Never frees these pages, and counts them as leaked.
    pub(crate) fn leak(self) {
        let mut pages = ManuallyDrop::new(self);
        pages.domain.count_leaked(pages.count);
        // SAFETY: `pages` is never dropped nor used again, so its handle is dropped once, here.
        unsafe { core::ptr::drop_in_place(&mut pages.domain) };
    }
}

impl Deref for Pages {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `alloc_pages` gave `count` pages, mapped, initialised to zero and ours alone until
        // `drop`; a grant on them would have moved `self` into a share.
        unsafe { core::slice::from_raw_parts(self.at.as_ptr(), self.count * PAGE_SIZE) }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes this the only reference.
        unsafe { core::slice::from_raw_parts_mut(self.at.as_ptr(), self.count * PAGE_SIZE) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `at` and `count` are what `alloc_pages` gave, and nothing borrows `self` any more.
        unsafe { self.domain.platform().free_pages(self.at, self.count) };
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({})", self.count)
    }
}
