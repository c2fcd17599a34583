//! Event channels. Events coalesce: one that is taken stands for all that were raised before it.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use crate::{Domain, PortNumber};

/// Why an event channel could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventError {
    /// This domain has no port left.
    NoPorts,
    /// The peer, or the peer's port, does not exist or is not for us.
    Refused,
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EventError::NoPorts => "no event channel is left",
            EventError::Refused => "the event channel was refused",
        })
    }
}

/// One end of an event channel, closed when dropped.
///
/// One task at a time may wait on a port: the last one that polled is woken.
pub struct Port {
    number: PortNumber,
    slot: Rc<Slot>,
    domain: Domain,
    /// Made by the toolstack, which would not make it again.
    keep: bool,
}

impl Port {
    pub(crate) fn adopt(domain: &Domain, number: PortNumber, keep: bool) -> Self {
        Port {
            number,
            slot: domain.ports().slot(number),
            domain: domain.clone(),
            keep,
        }
    }

    /// The number to tell the peer.
    pub fn number(&self) -> PortNumber {
        self.number
    }

    /// Raises an event at the peer's end.
    pub fn notify(&self) {
        self.domain.platform().port_notify(self.number.0);
    }

    /// Whether an event was raised since the last was taken; takes it. The main loop collects events,
    /// so one that was raised after its last turn is not seen yet.
    pub fn take(&self) -> bool {
        self.slot.raised.take()
    }

    /// Ready once for all events since the last was taken.
    pub fn poll_event(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.take() {
            return Poll::Ready(());
        }
        let waker = match self.slot.waker.take() {
            Some(waker) if waker.will_wake(cx.waker()) => waker,
            _ => cx.waker().clone(),
        };
        self.slot.waker.set(Some(waker));
        Poll::Pending
    }

    /// Waits for an event and takes it. Cancelling takes none.
    pub async fn event(&self) {
        poll_fn(|cx| self.poll_event(cx)).await
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if !self.keep {
            self.domain.ports().remove(self.number);
            self.domain.platform().port_close(self.number.0);
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.number)
    }
}

#[derive(Default)]
struct Slot {
    raised: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// The ports of a domain, by number.
#[derive(Default)]
pub(crate) struct Ports(RefCell<Vec<Option<Rc<Slot>>>>);

impl Ports {
    fn slot(&self, number: PortNumber) -> Rc<Slot> {
        let mut slots = self.0.borrow_mut();
        let index = number.0 as usize;
        if slots.len() <= index {
            slots.resize_with(index + 1, || None);
        }
        slots[index].get_or_insert_default().clone()
    }

    fn remove(&self, number: PortNumber) {
        if let Some(slot) = self.0.borrow_mut().get_mut(number.0 as usize) {
            *slot = None;
        }
    }

    /// Marks an event on `number` and wakes whoever waits; false if nobody holds that port.
    pub(crate) fn raise(&self, number: u32) -> bool {
        let waker = match self.0.borrow().get(number as usize) {
            Some(Some(slot)) => {
                slot.raised.set(true);
                slot.waker.take()
            }
            _ => return false,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}
