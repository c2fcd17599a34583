//! Memory that another domain may write at any moment.
//!
//! Bytes are copied in and out by instructions that the compiler cannot look into, and words are
//! read and written once, atomically; no reference to such memory is ever made.

use core::arch::asm;
use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

/// Why shared memory was not touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Some of it is not there, or a word is not aligned.
    OutOfBounds,
    /// It may only be read.
    ReadOnly,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::OutOfBounds => "outside the shared memory",
            Fault::ReadOnly => "shared memory that may only be read",
        })
    }
}

/// Keeps loads after it from being done before loads ahead of it.
#[inline(always)]
pub fn read_barrier() {
    fence(Ordering::Acquire);
}

/// Keeps stores after it from being seen before stores ahead of it.
#[inline(always)]
pub fn write_barrier() {
    fence(Ordering::Release);
}

/// Keeps loads after it from being done before stores ahead of it are seen.
#[inline(always)]
pub fn full_barrier() {
    fence(Ordering::SeqCst);
}

/// A view of shared memory, lent by what owns it: a share, a mapping, a page that Xen made.
#[derive(Debug)]
pub struct Shared {
    at: NonNull<u8>,
    len: usize,
    /// `len`, or 0 where only reading is allowed.
    writable: usize,
}

impl Shared {
    /// # Safety
    ///
    /// `at` is page-aligned, and `len` bytes from there are mapped for as long as this exists, for
    /// writing too if `writable`; no reference to them is used while this is.
    pub(crate) unsafe fn new(at: NonNull<u8>, len: usize, writable: bool) -> Self {
        Shared {
            at,
            len,
            writable: if writable { len } else { 0 },
        }
    }

    /// Bytes that can be reached.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Copies the bytes from `offset` on.
    #[inline]
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<(), Fault> {
        let from = self.readable(offset, to.len())?;
        // SAFETY: `readable` found all of the source mapped; `to` is a slice, and no slice overlaps
        // shared memory.
        unsafe { copy(from, to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on.
    #[inline]
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<(), Fault> {
        let to = self.writable(offset, from.len())?;
        // SAFETY: `writable` found all of the destination mapped for writing; `from` is a slice, and
        // no slice overlaps shared memory.
        unsafe { copy(from.as_ptr(), to, from.len()) };
        Ok(())
    }

    /// Loads the aligned word at `offset`, once.
    #[inline]
    pub fn load_u32(&self, offset: usize) -> Result<u32, Fault> {
        let at = aligned(self.readable(offset, 4)?.cast::<u32>())?;
        // SAFETY: mapped, aligned, and shared words of this size are only touched atomically.
        Ok(unsafe { AtomicU32::from_ptr(at) }.load(Ordering::Relaxed))
    }

    /// Stores the aligned word at `offset`, once.
    #[inline]
    pub fn store_u32(&self, offset: usize, value: u32) -> Result<(), Fault> {
        let at = aligned(self.writable(offset, 4)?.cast::<u32>())?;
        // SAFETY: mapped for writing, aligned, and shared words of this size are only touched
        // atomically.
        unsafe { AtomicU32::from_ptr(at) }.store(value, Ordering::Relaxed);
        Ok(())
    }

    /// Loads the aligned half word at `offset`, once.
    #[inline]
    pub fn load_u16(&self, offset: usize) -> Result<u16, Fault> {
        let at = aligned(self.readable(offset, 2)?.cast::<u16>())?;
        // SAFETY: as in `load_u32`.
        Ok(unsafe { AtomicU16::from_ptr(at) }.load(Ordering::Relaxed))
    }

    /// Stores the aligned half word at `offset`, once.
    #[inline]
    pub fn store_u16(&self, offset: usize, value: u16) -> Result<(), Fault> {
        let at = aligned(self.writable(offset, 2)?.cast::<u16>())?;
        // SAFETY: as in `store_u32`.
        unsafe { AtomicU16::from_ptr(at) }.store(value, Ordering::Relaxed);
        Ok(())
    }

    #[inline]
    fn readable(&self, offset: usize, len: usize) -> Result<*mut u8, Fault> {
        if offset > self.len || len > self.len - offset {
            return Err(Fault::OutOfBounds);
        }
        // SAFETY: `offset <= self.len`, so this stays in the mapped bytes or just past their end.
        Ok(unsafe { self.at.as_ptr().add(offset) })
    }

    #[inline]
    fn writable(&self, offset: usize, len: usize) -> Result<*mut u8, Fault> {
        if offset > self.writable || len > self.writable - offset {
            return Err(if self.writable == 0 {
                Fault::ReadOnly
            } else {
                Fault::OutOfBounds
            });
        }
        // SAFETY: `offset <= self.writable <= self.len`, as in `readable`.
        Ok(unsafe { self.at.as_ptr().add(offset) })
    }
}

#[inline(always)]
fn aligned<T>(at: *mut T) -> Result<*mut T, Fault> {
    if at.is_aligned() {
        Ok(at)
    } else {
        Err(Fault::OutOfBounds)
    }
}

/// Copies `len` bytes. A byte may be fetched twice, but only the last fetch is kept.
///
/// Not `rep movsb`: 16-byte moves take fewer instructions at any length, and are as fast.
///
/// # Safety
///
/// `from` and `to` are valid for `len` bytes and do not overlap. Either may be changed or looked at
/// by other domains meanwhile.
#[inline(always)]
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    // A length of more than one move is covered by two that may overlap.
    // SAFETY: each move begins at 0 or ends at `len`, and is no longer than `len`.
    unsafe {
        if len > 16 {
            copy_long(from, to, len);
        } else if len == 16 {
            copy16(from, to);
        } else if len >= 8 {
            copy8(from, to);
            if len > 8 {
                copy8(from.add(len - 8), to.add(len - 8));
            }
        } else if len >= 4 {
            copy4(from, to);
            if len > 4 {
                copy4(from.add(len - 4), to.add(len - 4));
            }
        } else {
            for at in 0..len {
                to.add(at).write_volatile(from.add(at).read_volatile());
            }
        }
    }
}

/// # Safety
///
/// As `copy`, and `len` is more than 16.
#[inline(never)]
unsafe fn copy_long(mut from: *const u8, mut to: *mut u8, len: usize) {
    let mut left = len;
    while left > 128 {
        // SAFETY: more than 128 bytes are left at both ends, by the caller's promise.
        unsafe {
            asm!(
                "movups {a}, [{from}]", "movups {b}, [{from} + 16]",
                "movups {c}, [{from} + 32]", "movups {d}, [{from} + 48]",
                "movups {e}, [{from} + 64]", "movups {f}, [{from} + 80]",
                "movups {g}, [{from} + 96]", "movups {h}, [{from} + 112]",
                "movups [{to}], {a}", "movups [{to} + 16], {b}",
                "movups [{to} + 32], {c}", "movups [{to} + 48], {d}",
                "movups [{to} + 64], {e}", "movups [{to} + 80], {f}",
                "movups [{to} + 96], {g}", "movups [{to} + 112], {h}",
                from = in(reg) from, to = in(reg) to,
                a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                e = out(xmm_reg) _, f = out(xmm_reg) _, g = out(xmm_reg) _, h = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
            from = from.add(128);
            to = to.add(128);
        }
        left -= 128;
    }
    while left > 16 {
        // SAFETY: more than 16 bytes are left at both ends.
        unsafe {
            copy16(from, to);
            from = from.add(16);
            to = to.add(16);
        }
        left -= 16;
    }
    // SAFETY: the last 16 bytes at both ends, which begin where bytes were copied already: `len` is
    // more than 16, and 1 to 16 are left.
    unsafe {
        from = from.add(left).sub(16);
        to = to.add(left).sub(16);
        copy16(from, to);
    }
}

macro_rules! copy_one {
    ($name:ident, $class:ident, $move:literal $(, $modifier:literal)?) => {
        /// # Safety
        ///
        /// As `copy`, for as many bytes as the name says.
        #[inline(always)]
        unsafe fn $name(from: *const u8, to: *mut u8) {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    concat!($move, " {x", $($modifier,)? "}, [{from}]"),
                    concat!($move, " [{to}], {x", $($modifier,)? "}"),
                    from = in(reg) from, to = in(reg) to, x = out($class) _,
                    options(nostack, preserves_flags),
                );
            }
        }
    };
}

copy_one!(copy16, xmm_reg, "movups");
copy_one!(copy8, reg, "mov");
copy_one!(copy4, reg, "mov", ":e");

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;
    use crate::host::Hypervisor;
    use crate::{DomId, PAGE_SIZE, Share};

    fn share() -> Share {
        let domain = Hypervisor::new().domain(DomId(1));
        domain.share(domain.pages(1).unwrap(), DomId::ZERO).unwrap()
    }

    #[test]
    fn copies_exactly_what_is_asked() {
        let share = share();
        let pattern: vec::Vec<u8> = (0..PAGE_SIZE).map(|at| (at % 251) as u8 | 1).collect();
        for len in (0..400).chain([1023, 1024, 4000]) {
            for offset in [0, 1, 7, 16, 63] {
                share.write(0, &[0; PAGE_SIZE]).unwrap();
                share.write(offset, &pattern[..len]).unwrap();
                let mut all = vec![0; PAGE_SIZE];
                share.read(0, &mut all).unwrap();
                assert!(all[..offset].iter().all(|byte| *byte == 0));
                assert_eq!(all[offset..offset + len], pattern[..len]);
                assert!(all[offset + len..].iter().all(|byte| *byte == 0));

                let mut some = vec![0xaa; len + 2];
                share.read(offset, &mut some[1..=len]).unwrap();
                assert_eq!(some[1..=len], pattern[..len]);
                assert_eq!((some[0], some[len + 1]), (0xaa, 0xaa));
            }
        }
    }

    #[test]
    fn nothing_beyond_the_end_is_reached() {
        let share = share();
        let fault = Err(Fault::OutOfBounds);
        assert_eq!(share.len(), PAGE_SIZE);
        assert_eq!(share.read(PAGE_SIZE, &mut []), Ok(()));
        assert_eq!(share.read(PAGE_SIZE + 1, &mut []), fault);
        assert_eq!(share.read(PAGE_SIZE - 3, &mut [0; 4]), fault);
        assert_eq!(share.write(PAGE_SIZE - 3, &[0; 4]), fault);
        assert_eq!(share.write(usize::MAX, &[0; 4]), fault);
        assert_eq!(share.load_u32(PAGE_SIZE - 3), Err(Fault::OutOfBounds));
        assert_eq!(share.store_u32(PAGE_SIZE, 0), fault);
        assert_eq!(share.load_u16(PAGE_SIZE - 1), Err(Fault::OutOfBounds));
        assert_eq!(share.store_u16(usize::MAX - 1, 0), fault);
    }

    #[test]
    fn words_are_aligned_and_little_endian() {
        let share = share();
        share.store_u32(8, 0x0403_0201).unwrap();
        share.store_u16(14, 0x0807).unwrap();
        let mut bytes = [0; 8];
        share.read(8, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 0, 0, 7, 8]);
        assert_eq!(share.load_u16(10), Ok(0x0403));
        assert_eq!(share.load_u32(12), Ok(0x0807_0000));
        assert_eq!(share.load_u32(10), Err(Fault::OutOfBounds));
        assert_eq!(share.store_u32(9, 1), Err(Fault::OutOfBounds));
        assert_eq!(share.load_u16(9), Err(Fault::OutOfBounds));
        assert_eq!(share.store_u16(15, 1), Err(Fault::OutOfBounds));
    }
}
