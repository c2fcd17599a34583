//! The guest's address space.
//!
//! Virtual addresses are pseudo-physical ones: page frame `n` is mapped at `n << 12`, all RAM of it.
//! The domain builder maps the image and a little more, everything writable and executable; this
//! module replaces that with leaf tables of its own: text R-X, constants and the payload R--, all
//! else RW-, page 0 and the guard below the stack not at all. Above RAM, after a gap, one leaf table (the
//! *window*) maps what belongs to Xen: the shared info page and the grant table.
//!
//! A PV guest's page tables must not be mapped writable anywhere while they are in use, so each new
//! table is written first, then mapped read-only, then hooked in: two hypercalls for 2 MiB.

use core::ops::Range;

use super::hypercall::{self, Errno};
use crate::PAGE_SIZE;
use crate::abi::hypercall::MmuUpdate;
use crate::abi::start_info::StartInfo;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const NO_EXECUTE: u64 = 1 << 63;

const TEXT: u64 = PRESENT | USER | ACCESSED;
const CONSTANT: u64 = TEXT | NO_EXECUTE;
const DATA: u64 = CONSTANT | WRITE | DIRTY;
/// Xen demands of a guest's inner entries only that they do not take rights away.
const TABLE: u64 = PRESENT | WRITE | USER | ACCESSED | DIRTY;

const ENTRIES: usize = 512;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Where Xen maps its machine-to-physical table for 64-bit PV guests: `MACH2PHYS_VIRT_START`.
const MACH2PHYS: usize = 0xffff_8000_0000_0000;

/// Entries of the window.
const WINDOW_SHARED_INFO: usize = 0;
const WINDOW_GRANTS: usize = 1;

unsafe extern "C" {
    static __text_start: u8;
    static __text_end: u8;
    static __rodata_start: u8;
    static __rodata_end: u8;
    static __guard_start: u8;
    static __guard_end: u8;
}

/// What the address space looks like after [`map_all`].
pub(super) struct Layout {
    /// Free memory, page-aligned.
    pub(super) free: [Range<usize>; 2],
    window: usize,
    p2m: *const u64,
    frames: usize,
}

/// Why the address space could not be made.
#[derive(Clone, Copy, Debug)]
pub(super) enum MapError {
    /// The builder's tables are not where start_info says.
    BadTables,
    /// A page of this domain has no machine frame behind it.
    Hole,
    /// Not enough memory for the tables.
    NoRoom,
    /// Xen refused; its errno.
    Refused(#[allow(dead_code, reason = "read by Debug, in the boot's last words")] Errno),
}

impl From<Errno> for MapError {
    fn from(errno: Errno) -> Self {
        MapError::Refused(errno)
    }
}

/// The pseudo-physical frame of a machine frame.
///
/// # Safety
/// `mfn` must be a frame of this machine: Xen's table has an entry for each.
pub(super) unsafe fn mfn_to_pfn(mfn: u64) -> u64 {
    let at = (MACH2PHYS as *const u64).wrapping_add(mfn as usize);
    // SAFETY: Xen maps the table readable for every guest, and `mfn` has an entry.
    unsafe { at.read_volatile() }
}

fn linked(start: *const u8, end: *const u8) -> Range<usize> {
    start as usize / PAGE_SIZE..end as usize / PAGE_SIZE
}

/// Replaces the builder's leaf tables. `payload` is the byte range of the image's payload.
///
/// # Safety
/// To be called once, at boot, before any memory outside the image is used.
pub(super) unsafe fn map_all(
    start_info: &StartInfo,
    payload: &Range<usize>,
) -> Result<Layout, MapError> {
    let frames = start_info.nr_pages as usize;
    let p2m = start_info.mfn_list as *const u64;
    let text = linked(&raw const __text_start, &raw const __text_end);
    let rodata = linked(&raw const __rodata_start, &raw const __rodata_end);
    let guard = linked(&raw const __guard_start, &raw const __guard_end);
    let payload = payload.start / PAGE_SIZE..payload.end.div_ceil(PAGE_SIZE);
    let pt_first = start_info.pt_base as usize / PAGE_SIZE;
    let tables = pt_first..pt_first + start_info.nr_pt_frames as usize;
    let p2m_first = start_info.mfn_list as usize / PAGE_SIZE;
    let p2m_pages = p2m_first..p2m_first + (frames * 8).div_ceil(PAGE_SIZE);

    // The builder lays out image, p2m, start_info, xenstore, console, page tables, stack, and pads
    // its mapping by at least 512 KiB. One page of stack follows the tables; nothing after it.
    let boot_end = tables.end + 1;
    let mut builder = Builder {
        p2m,
        frames,
        l3: 0,
        next: boot_end,
        first: boot_end,
    };
    // SAFETY: the builder's tables are mapped, readable, at their pseudo-physical addresses.
    builder.l3 = unsafe { child(start_info.pt_base as usize, 0) }.ok_or(MapError::BadTables)?;

    let chunks = frames.div_ceil(ENTRIES);
    let window = (chunks + 1) * ENTRIES * PAGE_SIZE;
    // The tables' own 2 MiB first, upwards, and what lies below last: each table that is hooked in
    // maps more than the next ones take. From 0 upwards, the tables for a large image would not
    // all fit the builder's padding.
    let own = boot_end / ENTRIES;
    for chunk in (own..chunks).chain(0..own) {
        let leaf = builder.take()?;
        for index in 0..ENTRIES {
            let pfn = chunk * ENTRIES + index;
            let flags = if pfn == 0 || pfn >= frames || guard.contains(&pfn) {
                0
            } else if text.contains(&pfn) {
                TEXT
            } else if rodata.contains(&pfn)
                || payload.contains(&pfn)
                || tables.contains(&pfn)
                || p2m_pages.contains(&pfn)
                || (builder.first..builder.next).contains(&pfn)
            {
                CONSTANT
            } else {
                DATA
            };
            let entry = if flags == 0 {
                0
            } else {
                builder.entry(pfn, flags)?
            };
            // SAFETY: `leaf` is a fresh page of ours, mapped writable until it is hooked in.
            unsafe { (leaf as *mut u64).add(index).write(entry) };
        }
        // SAFETY: the new table maps the same frames at the same addresses as the builder's, with
        // at least the rights that each needs.
        unsafe { builder.hook(leaf, chunk) }?;
    }
    let leaf = builder.take()?;
    // SAFETY: a fresh page, as above.
    unsafe {
        (leaf as *mut u8).write_bytes(0, PAGE_SIZE);
        let shared_info = (start_info.shared_info & ADDRESS) | DATA;
        (leaf as *mut u64)
            .add(WINDOW_SHARED_INFO)
            .write(shared_info);
        builder.hook(leaf, chunks + 1)?;
    }
    hypercall::flush_tlb();

    let image = text.start * PAGE_SIZE;
    Ok(Layout {
        free: [
            PAGE_SIZE..image,
            builder.next * PAGE_SIZE..frames * PAGE_SIZE,
        ],
        window,
        p2m,
        frames,
    })
}

impl Layout {
    /// The shared info page.
    pub(super) fn shared_info(&self) -> *mut u8 {
        (self.window + WINDOW_SHARED_INFO * PAGE_SIZE) as *mut u8
    }

    /// The machine frame behind an address in RAM.
    pub(super) fn machine_frame(&self, address: usize) -> Option<u64> {
        let pfn = address / PAGE_SIZE;
        // SAFETY: the list has `frames` entries, stays mapped and is never written.
        (pfn < self.frames).then(|| unsafe { self.p2m.add(pfn).read() })
    }

    /// Maps the frames of the grant table; returns where.
    ///
    /// # Safety
    /// `frames` are the grant table's, and at most [`GRANT_FRAMES`] of them.
    pub(super) unsafe fn map_grants(&self, frames: &[u64]) -> Result<*mut u8, Errno> {
        let at = self.window + WINDOW_GRANTS * PAGE_SIZE;
        for (index, mfn) in frames.iter().enumerate() {
            // SAFETY: the window's addresses are used by nothing but this.
            unsafe { hypercall::update_va_mapping(at + index * PAGE_SIZE, mfn << 12 | DATA) }?;
        }
        Ok(at as *mut u8)
    }
}

/// The most frames of grant table that the window has room for.
pub(super) const GRANT_FRAMES: usize = 64;

struct Builder {
    p2m: *const u64,
    frames: usize,
    /// The third-level table.
    l3: usize,
    /// Pages from `first` to `next` are page tables.
    first: usize,
    next: usize,
}

impl Builder {
    fn entry(&self, pfn: usize, flags: u64) -> Result<u64, MapError> {
        // SAFETY: the list has an entry for each frame.
        let mfn = unsafe { self.p2m.add(pfn).read() };
        // The builder populates all of a PV domain; what it had not would be all ones.
        if mfn & (ADDRESS >> 12) == mfn {
            Ok(mfn << 12 | flags)
        } else {
            Err(MapError::Hole)
        }
    }

    /// The address of the next page for a table. It is mapped: by the builder's padding, which has
    /// room for 128 tables, and then by those that were hooked in, of 512 pages each.
    fn take(&mut self) -> Result<usize, MapError> {
        if self.next >= self.frames {
            return Err(MapError::NoRoom);
        }
        self.next += 1;
        Ok((self.next - 1) * PAGE_SIZE)
    }

    /// Makes `table` the leaf table of 2 MiB number `chunk`.
    ///
    /// # Safety
    /// The table is complete and keeps what Rust code relies on.
    unsafe fn hook(&mut self, table: usize, chunk: usize) -> Result<(), MapError> {
        // SAFETY: the third level is mapped; its entries lead to tables of this domain.
        let mut l2 = unsafe { child(self.l3, chunk / ENTRIES) };
        if l2.is_none() {
            let fresh = self.take()?;
            // SAFETY: a fresh page of ours.
            unsafe { (fresh as *mut u8).write_bytes(0, PAGE_SIZE) };
            // SAFETY: an empty table for a range that had none.
            unsafe { self.attach(fresh, self.l3, chunk / ENTRIES) }?;
            l2 = Some(fresh);
        }
        let l2 = l2.ok_or(MapError::BadTables)?;
        // SAFETY: the caller's promise.
        unsafe { self.attach(table, l2, chunk % ENTRIES) }
    }

    /// # Safety
    /// As [`hook`](Self::hook).
    unsafe fn attach(&self, table: usize, parent: usize, index: usize) -> Result<(), MapError> {
        let constant = self.entry(table / PAGE_SIZE, CONSTANT)?;
        let update = MmuUpdate {
            ptr: self.entry(parent / PAGE_SIZE, 0)? + index as u64 * 8,
            val: self.entry(table / PAGE_SIZE, TABLE)?,
        };
        // SAFETY: nothing writes to the table any more; the rest is the caller's promise.
        unsafe {
            hypercall::update_va_mapping(table, constant)?;
            hypercall::mmu_update(&[update])?;
        }
        Ok(())
    }
}

/// The address of the table that entry `index` of `table` leads to.
///
/// # Safety
/// `table` is the address of a mapped page table, and its children lie in this domain's memory.
unsafe fn child(table: usize, index: usize) -> Option<usize> {
    // SAFETY: a table has 512 entries.
    let entry = unsafe { (table as *const u64).add(index).read_volatile() };
    // SAFETY: the entry is present, so its frame exists.
    (entry & PRESENT != 0)
        .then(|| unsafe { mfn_to_pfn((entry & ADDRESS) >> 12) } as usize * PAGE_SIZE)
}
