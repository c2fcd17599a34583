//! The grant table, version 1.

use core::cell::{Cell, RefCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering, fence};

use super::hypercall;
use super::paging::{GRANT_FRAMES, Layout};
use crate::abi::grant as abi;
use crate::share::{NoGrants, StillMapped};
use crate::{Access, DomId, Grant, PAGE_SIZE};

const PER_FRAME: u32 = (PAGE_SIZE / abi::ENTRY) as u32;

/// Frames that the table starts with: 2048 grants, which is two network interfaces and two disks.
const FRAMES: usize = 4;

pub(super) struct Table {
    entries: *mut u8,
    count: u32,
    /// The next entry that was never used.
    fresh: Cell<u32>,
    /// Entries that were used and are free again.
    freed: RefCell<alloc::vec::Vec<u32>>,
}

impl Table {
    /// Asks Xen for the table and maps it.
    pub(super) fn new(layout: &Layout) -> Result<Self, hypercall::Errno> {
        let most = (hypercall::gnttab_max_frames()? as usize).min(GRANT_FRAMES);
        let mut frames = [0; FRAMES];
        let frames = &mut frames[..most.min(FRAMES)];
        hypercall::gnttab_setup_table(frames)?;
        // SAFETY: these frames are the grant table's, few enough for the window.
        let entries = unsafe { layout.map_grants(frames) }?;
        Ok(Table {
            entries,
            count: frames.len() as u32 * PER_FRAME,
            fresh: Cell::new(abi::RESERVED),
            freed: RefCell::default(),
        })
    }

    fn entry(&self, index: u32) -> *mut u8 {
        self.entries.wrapping_add(index as usize * abi::ENTRY)
    }

    fn flags(&self, index: u32) -> &AtomicU16 {
        // SAFETY: an aligned u16 of a mapped entry, which Xen too changes atomically only.
        unsafe { AtomicU16::from_ptr(self.entry(index).add(abi::FLAGS).cast()) }
    }

    pub(super) fn grant(&self, mfn: u64, peer: DomId, access: Access) -> Result<Grant, NoGrants> {
        let mfn = u32::try_from(mfn).map_err(|_| NoGrants)?;
        let reused = self.freed.borrow_mut().pop();
        let index = match reused {
            Some(index) => index,
            None if self.fresh.get() < self.count => self.fresh.replace(self.fresh.get() + 1),
            None => return Err(NoGrants),
        };
        let entry = self.entry(index);
        // SAFETY: inside the mapped table; the entry's flags are 0, so Xen does not look at it yet.
        unsafe {
            entry.add(abi::FRAME).cast::<u32>().write_volatile(mfn);
            entry.add(abi::DOMID).cast::<u16>().write_volatile(peer.0);
        }
        fence(Ordering::Release);
        let flags = match access {
            Access::ReadWrite => abi::GTF_PERMIT_ACCESS,
            Access::ReadOnly => abi::GTF_PERMIT_ACCESS | abi::GTF_READONLY,
        };
        self.flags(index).store(flags, Ordering::Release);
        Ok(Grant(index))
    }

    pub(super) fn end(&self, grant: Grant) -> Result<(), StillMapped> {
        let flags = self.flags(grant.0);
        let mut seen = flags.load(Ordering::Acquire);
        loop {
            if seen & (abi::GTF_READING | abi::GTF_WRITING) != 0 {
                return Err(StillMapped);
            }
            match flags.compare_exchange_weak(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // Without memory to remember it the entry is lost, not misused.
        let mut freed = self.freed.borrow_mut();
        if freed.try_reserve(1).is_ok() {
            freed.push(grant.0);
        }
        Ok(())
    }
}

/// The address of a page, as a number.
pub(super) fn address(page: NonNull<u8>) -> usize {
    page.as_ptr() as usize
}
