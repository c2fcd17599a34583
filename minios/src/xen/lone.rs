//! Statics of a machine with one thread and no interrupts.

use core::cell::{Cell, UnsafeCell};

/// A static that one piece of code uses at a time.
pub(super) struct Lone<T> {
    value: UnsafeCell<T>,
    busy: Cell<bool>,
}

// SAFETY: the guest has one vCPU, event upcalls are masked for ever, and traps never return, so
// there is one thread of execution; `with` refuses re-entry, also from a trap handler.
unsafe impl<T> Sync for Lone<T> {}

impl<T> Lone<T> {
    pub(super) const fn new(value: T) -> Self {
        Lone {
            value: UnsafeCell::new(value),
            busy: Cell::new(false),
        }
    }

    /// Runs `f` on the value; `None` if the value is being used further up the stack.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        if self.busy.replace(true) {
            return None;
        }
        // SAFETY: `busy` says that no other reference exists; there is one thread.
        let result = f(unsafe { &mut *self.value.get() });
        self.busy.set(false);
        Some(result)
    }
}
