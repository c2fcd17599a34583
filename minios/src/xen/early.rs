//! The console without an executor: boot, traps and panics.
//!
//! Writes straight into the PV console's ring, and to Xen's own console for builds of Xen that
//! show it. Allocates nothing, takes no lock, and never waits for ever: where nobody empties the
//! ring, the rest is dropped.

use core::fmt;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};

use super::hypercall;
use crate::abi::console as abi;

/// How often to give the processor away before what does not fit is dropped: xenconsoled has a
/// few hundred milliseconds then.
const PATIENCE: usize = 20_000;

static RING: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static PORT: AtomicU32 = AtomicU32::new(0);

/// Nobody took anything while we waited last: do not wait so long for each word of a report.
static DEAF: AtomicBool = AtomicBool::new(false);

/// # Safety
/// `ring` is the console's page, mapped for ever, or null.
pub(super) unsafe fn attach(ring: *mut u8, port: u32) {
    PORT.store(port, Ordering::Relaxed);
    RING.store(ring, Ordering::Release);
}

/// The console, for `write!`.
pub(super) struct Early;

impl fmt::Write for Early {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for line in text.split_inclusive('\n') {
            match line.strip_suffix('\n') {
                Some(line) => {
                    write(line.as_bytes());
                    write(b"\r\n");
                }
                None => write(line.as_bytes()),
            }
        }
        Ok(())
    }
}

fn write(mut bytes: &[u8]) {
    hypercall::console_write(bytes);
    let ring = RING.load(Ordering::Acquire);
    if ring.is_null() {
        return;
    }
    // SAFETY: `attach` promised the page; both are aligned words in it that the backend shares.
    let (consumed, produced) = unsafe {
        (
            AtomicU32::from_ptr(ring.add(abi::OUT_CONS).cast()),
            AtomicU32::from_ptr(ring.add(abi::OUT_PROD).cast()),
        )
    };
    let size = abi::OUT.len() as u32;
    let mut patience = match DEAF.load(Ordering::Relaxed) {
        true => 0,
        false => PATIENCE,
    };
    while !bytes.is_empty() {
        let at = produced.load(Ordering::Relaxed);
        let room = size.saturating_sub(at.wrapping_sub(consumed.load(Ordering::Acquire)));
        if room == 0 {
            if patience == 0 {
                DEAF.store(true, Ordering::Relaxed);
                return;
            }
            patience -= 1;
            notify();
            hypercall::sched_yield();
            continue;
        }
        let count = bytes.len().min(room as usize);
        for (offset, byte) in (0u32..).zip(&bytes[..count]) {
            let index = at.wrapping_add(offset) % size;
            // SAFETY: `index` is inside the out ring.
            unsafe {
                ring.add(abi::OUT.start + index as usize)
                    .write_volatile(*byte)
            };
        }
        fence(Ordering::Release);
        produced.store(at.wrapping_add(count as u32), Ordering::Release);
        bytes = &bytes[count..];
        patience = PATIENCE;
        DEAF.store(false, Ordering::Relaxed);
    }
    notify();
}

fn notify() {
    let _ = hypercall::evtchn_send(PORT.load(Ordering::Relaxed));
}

/// Writes what the console could not write yet.
pub(super) fn backlog() {
    crate::console::take_backlog(write);
}

/// The last call of a guest that ends in good order.
pub(super) fn finish() {
    backlog();
    flush();
}

/// Waits until the backend has taken what was written, within reason.
pub(super) fn flush() {
    let ring = RING.load(Ordering::Acquire);
    if ring.is_null() {
        return;
    }
    for _ in 0..PATIENCE {
        // SAFETY: as in `write`.
        let (consumed, produced) = unsafe {
            (
                AtomicU32::from_ptr(ring.add(abi::OUT_CONS).cast()).load(Ordering::Acquire),
                AtomicU32::from_ptr(ring.add(abi::OUT_PROD).cast()).load(Ordering::Relaxed),
            )
        };
        if consumed == produced {
            return;
        }
        hypercall::sched_yield();
    }
}
