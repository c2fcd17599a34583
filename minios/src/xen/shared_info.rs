//! The shared info page: pending events and time.
//!
//! Xen writes it while we read: every access is a volatile or an atomic one, through raw pointers.

use core::arch::x86_64::{_mm_lfence, _rdtsc};
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use crate::abi::shared_info as abi;

/// The page, mapped for ever.
#[derive(Clone, Copy)]
pub(super) struct SharedInfo(*mut u8);

impl SharedInfo {
    /// # Safety
    /// `at` is the shared info page, mapped writable for as long as the guest runs.
    pub(super) unsafe fn new(at: *mut u8) -> Self {
        SharedInfo(at)
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        debug_assert!(offset.is_multiple_of(8) && offset < 4096);
        // SAFETY: an aligned word of the page, which Xen changes atomically too.
        unsafe { AtomicU64::from_ptr(self.0.add(offset).cast()) }
    }

    fn u32(&self, offset: usize) -> u32 {
        // SAFETY: an aligned field of the page.
        unsafe { self.0.add(offset).cast::<u32>().read_volatile() }
    }

    /// Masks upcalls, which they are at boot already, and every channel.
    pub(super) fn mask_all(&self) {
        // SAFETY: a byte of the page.
        unsafe { self.0.add(abi::UPCALL_MASK).write_volatile(1) };
        for word in 0..64 {
            self.word(abi::EVTCHN_MASK + word * 8)
                .store(!0, Ordering::Relaxed);
        }
    }

    fn bit(base: usize, port: u32) -> (usize, u64) {
        (base + port as usize / 64 * 8, 1 << (port % 64))
    }

    /// Lets a port show up in [`take_pending`](Self::take_pending), with what is pending on it.
    pub(super) fn unmask(&self, port: u32) {
        let (mask, bit) = Self::bit(abi::EVTCHN_MASK, port);
        self.word(mask).fetch_and(!bit, Ordering::SeqCst);
        let (pending, bit) = Self::bit(abi::EVTCHN_PENDING, port);
        // Xen sets the selector only for ports that are not masked when the event comes.
        if self.word(pending).load(Ordering::SeqCst) & bit != 0 {
            self.word(abi::PENDING_SEL)
                .fetch_or(1 << (port / 64), Ordering::SeqCst);
        }
    }

    /// Hides a port and forgets what is pending on it.
    pub(super) fn mask(&self, port: u32) {
        let (mask, bit) = Self::bit(abi::EVTCHN_MASK, port);
        self.word(mask).fetch_or(bit, Ordering::SeqCst);
        let (pending, bit) = Self::bit(abi::EVTCHN_PENDING, port);
        self.word(pending).fetch_and(!bit, Ordering::SeqCst);
    }

    /// Takes every pending event of a port that is not masked.
    pub(super) fn take_pending(&self, each: &mut dyn FnMut(u32)) {
        // SAFETY: a byte of the page. Cleared before the look, so that a later event sets it anew.
        unsafe { self.0.add(abi::UPCALL_PENDING).write_volatile(0) };
        if self.word(abi::PENDING_SEL).load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut selected = self.word(abi::PENDING_SEL).swap(0, Ordering::SeqCst);
        while selected != 0 {
            let word = selected.trailing_zeros();
            selected &= selected - 1;
            let masked = self
                .word(abi::EVTCHN_MASK + word as usize * 8)
                .load(Ordering::Relaxed);
            let pending = self.word(abi::EVTCHN_PENDING + word as usize * 8);
            let mut ports = pending.fetch_and(masked, Ordering::SeqCst) & !masked;
            while ports != 0 {
                each(word * 64 + ports.trailing_zeros());
                ports &= ports - 1;
            }
        }
    }

    /// Whether [`take_pending`](Self::take_pending) would find something.
    pub(super) fn any_pending(&self) -> bool {
        self.word(abi::PENDING_SEL).load(Ordering::SeqCst) != 0
    }

    /// The address that the last page fault was about.
    pub(super) fn fault_address(&self) -> u64 {
        self.word(abi::CR2).load(Ordering::Relaxed)
    }

    /// Nanoseconds since Xen booted.
    pub(super) fn system_time(&self) -> u64 {
        self.system_time_at(now_tsc())
    }

    /// The same, for a reading of the TSC not long ago.
    pub(super) fn system_time_at(&self, tsc: u64) -> u64 {
        let time = abi::TIME;
        loop {
            let version = self.u32(time + abi::time::VERSION);
            fence(Ordering::Acquire);
            let stamp = self
                .word(time + abi::time::TSC_TIMESTAMP)
                .load(Ordering::Relaxed);
            let base = self
                .word(time + abi::time::SYSTEM_TIME)
                .load(Ordering::Relaxed);
            let factor = self.u32(time + abi::time::TSC_TO_SYSTEM_MUL);
            // SAFETY: a byte of the page.
            let shift = unsafe {
                self.0
                    .add(time + abi::time::TSC_SHIFT)
                    .cast::<i8>()
                    .read_volatile()
            };
            fence(Ordering::Acquire);
            if version & 1 != 0 || version != self.u32(time + abi::time::VERSION) {
                spin_loop();
                continue;
            }
            // Modulo 2^64: the stamp of a domain whose TSC runs behind the machine's may lie before
            // 0. A reading from before the stamp counts backwards from it.
            let ticks = tsc.wrapping_sub(stamp).cast_signed();
            let (ticks, early) = (ticks.unsigned_abs(), ticks < 0);
            let ticks = if shift < 0 {
                ticks.checked_shr(shift.unsigned_abs().into()).unwrap_or(0)
            } else {
                ticks.checked_shl(shift.unsigned_abs().into()).unwrap_or(0)
            };
            let delta = ((u128::from(ticks) * u128::from(factor)) >> 32) as u64;
            return if early {
                base.saturating_sub(delta)
            } else {
                base.wrapping_add(delta)
            };
        }
    }

    /// Seconds and nanoseconds since 1970 at which the system time was 0.
    pub(super) fn wall_base(&self) -> (u64, u32) {
        loop {
            let version = self.u32(abi::WC_VERSION);
            fence(Ordering::Acquire);
            let low = self.u32(abi::WC_SEC);
            let nanoseconds = self.u32(abi::WC_NSEC);
            let high = self.u32(abi::WC_SEC_HI);
            fence(Ordering::Acquire);
            if version & 1 == 0 && version == self.u32(abi::WC_VERSION) {
                return (u64::from(high) << 32 | u64::from(low), nanoseconds);
            }
            spin_loop();
        }
    }
}

/// The time-stamp counter, not read ahead of earlier loads.
pub(super) fn now_tsc() -> u64 {
    // SAFETY: LFENCE and RDTSC are in every x86-64; Xen lets PV guests read the TSC or emulates it.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}
