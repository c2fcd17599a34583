//! Xen's ring of requests and responses, which share its slots.
//!
//! Both ends work in batches: [`push`](Front::push) fills slots that the peer does not see yet,
//! `publish` shows them all at once and says whether to notify; `pop` takes what was published,
//! and when it gives nothing, `rearm` asks for an event and says whether something came meanwhile.

use core::marker::PhantomData;
use core::ops::Deref;

use super::Broken;
use crate::abi::ring::{REQ_EVENT, REQ_PROD, RSP_EVENT, RSP_PROD, SLOTS};
use crate::shared::{Shared, full_barrier, read_barrier, write_barrier};

/// What a ring carries.
pub trait Protocol {
    /// Bytes in a slot: the size of the larger of request and response.
    const SLOT: usize;
    /// What the front end asks.
    type Request: Record;
    /// What the back end answers.
    type Response: Record;
}

/// Something that goes into a slot.
pub trait Record {
    /// A byte array, not larger than the slot.
    type Bytes: Bytes;
    /// What to write into the slot.
    fn encode(&self) -> Self::Bytes;
    /// What a slot's copy says. Anything may be in there.
    fn decode(bytes: &Self::Bytes) -> Self;
}

/// Byte arrays, of any length.
pub trait Bytes: sealed::Sealed + AsRef<[u8]> + AsMut<[u8]> {
    /// All zero.
    fn zeroed() -> Self;
}

impl<const N: usize> Bytes for [u8; N] {
    fn zeroed() -> Self {
        [0; N]
    }
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for [u8; N] {}
}

/// Slots whose meaning depends on the one before are records of bare bytes.
impl<const N: usize> Record for [u8; N] {
    type Bytes = [u8; N];
    fn encode(&self) -> [u8; N] {
        *self
    }
    fn decode(bytes: &[u8; N]) -> Self {
        *bytes
    }
}

/// The end that asks. `M` owns the ring's memory, such as a [`Share`](crate::Share).
pub struct Front<P, M> {
    slots: Slots<M>,
    /// Requests pushed, and those of them that the peer has been shown.
    pushed: u32,
    published: u32,
    /// Responses popped, and those that the peer is known to have published.
    popped: u32,
    seen: u32,
    protocol: PhantomData<P>,
}

impl<P: Protocol, M: Deref<Target = Shared>> Front<P, M> {
    /// Sets up a new ring in `memory`, with as many slots as fit it, rounded down to a power of two.
    pub fn new(memory: M) -> Result<Self, Broken> {
        Self::starting_at(memory, 0)
    }

    /// As [`new`](Self::new), with all indices at `index`: tests begin near where they wrap.
    pub fn starting_at(memory: M, index: u32) -> Result<Self, Broken> {
        let slots = Slots::new::<P>(memory)?;
        slots.memory.store_u32(REQ_PROD, index)?;
        slots.memory.store_u32(RSP_PROD, index)?;
        slots.memory.store_u32(REQ_EVENT, index.wrapping_add(1))?;
        slots.memory.store_u32(RSP_EVENT, index.wrapping_add(1))?;
        Ok(Front {
            slots,
            pushed: index,
            published: index,
            popped: index,
            seen: index,
            protocol: PhantomData,
        })
    }

    /// How many slots there are.
    pub fn size(&self) -> u32 {
        self.slots.size
    }

    /// How many requests can be pushed now.
    #[inline]
    pub fn free(&self) -> u32 {
        self.slots.size - self.pushed.wrapping_sub(self.popped)
    }

    /// How many requests have no response yet that was popped.
    pub fn outstanding(&self) -> u32 {
        self.pushed.wrapping_sub(self.popped)
    }

    /// Fills the next slot and gives its number, from 0 to [`size`](Self::size) - 1; `None` if there
    /// is no free one. The peer does not see it before [`publish`](Self::publish).
    #[inline]
    pub fn push(&mut self, request: &P::Request) -> Result<Option<u32>, Broken> {
        if self.free() == 0 {
            return Ok(None);
        }
        let slot = self.slots.store::<P, _>(self.pushed, request)?;
        self.pushed = self.pushed.wrapping_add(1);
        Ok(Some(slot))
    }

    /// Shows the peer all requests that were pushed; says whether it wants to be notified.
    #[inline]
    pub fn publish(&mut self) -> Result<bool, Broken> {
        let before = core::mem::replace(&mut self.published, self.pushed);
        self.slots.publish(before, self.pushed, REQ_PROD, REQ_EVENT)
    }

    /// Takes the next response and the number of its slot.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<(u32, P::Response)>, Broken> {
        if self.popped == self.seen && self.available()? == 0 {
            return Ok(None);
        }
        let response = self.slots.load::<P, _>(self.popped)?;
        self.popped = self.popped.wrapping_add(1);
        Ok(Some(response))
    }

    /// How many responses can be popped now.
    #[inline]
    pub fn available(&mut self) -> Result<u32, Broken> {
        let produced = self.slots.memory.load_u32(RSP_PROD)?;
        // Slots are read after the index that shows them.
        read_barrier();
        let available = produced.wrapping_sub(self.popped);
        if available > self.published.wrapping_sub(self.popped) {
            let consumed = self.popped;
            return Err(Broken::Indices { produced, consumed });
        }
        self.seen = produced;
        Ok(available)
    }

    /// Asks for an event with the next response; says whether there is one already. To be called
    /// before waiting, when `pop` gives nothing.
    #[inline]
    pub fn rearm(&mut self) -> Result<bool, Broken> {
        self.rearm_after(1)
    }

    /// Asks for an event once `responses` more can be popped; says whether they can already.
    #[inline]
    pub fn rearm_after(&mut self, responses: u32) -> Result<bool, Broken> {
        let event = self.popped.wrapping_add(responses);
        self.slots.memory.store_u32(RSP_EVENT, event)?;
        // The peer looks at the event index after it has published: either it sees ours, or we see
        // what it published.
        full_barrier();
        Ok(self.available()? >= responses)
    }

    /// The ring's memory.
    pub fn memory(&self) -> &M {
        &self.slots.memory
    }

    /// The ring's memory, to give it back.
    pub fn into_memory(self) -> M {
        self.slots.memory
    }
}

/// The end that answers. `M` owns the ring's memory, such as a mapping.
pub struct Back<P, M> {
    slots: Slots<M>,
    /// Responses pushed, and those of them that the peer has been shown.
    pushed: u32,
    published: u32,
    /// Requests popped, and those that the peer is known to have published.
    popped: u32,
    seen: u32,
    protocol: PhantomData<P>,
}

impl<P: Protocol, M: Deref<Target = Shared>> Back<P, M> {
    /// Joins the ring that a front end has set up in `memory`.
    pub fn new(memory: M) -> Result<Self, Broken> {
        let slots = Slots::new::<P>(memory)?;
        let index = slots.memory.load_u32(RSP_PROD)?;
        let mut back = Back {
            slots,
            pushed: index,
            published: index,
            popped: index,
            seen: index,
            protocol: PhantomData,
        };
        back.available()?;
        Ok(back)
    }

    /// How many slots there are.
    pub fn size(&self) -> u32 {
        self.slots.size
    }

    /// How many requests were popped and have no response yet that was pushed.
    pub fn unanswered(&self) -> u32 {
        self.popped.wrapping_sub(self.pushed)
    }

    /// Takes the next request and the number of its slot.
    #[inline]
    pub fn pop(&mut self) -> Result<Option<(u32, P::Request)>, Broken> {
        if self.popped == self.seen && self.available()? == 0 {
            return Ok(None);
        }
        let request = self.slots.load::<P, _>(self.popped)?;
        self.popped = self.popped.wrapping_add(1);
        Ok(Some(request))
    }

    /// How many requests can be popped now.
    #[inline]
    pub fn available(&mut self) -> Result<u32, Broken> {
        let produced = self.slots.memory.load_u32(REQ_PROD)?;
        // Slots are read after the index that shows them.
        read_barrier();
        let available = produced.wrapping_sub(self.popped);
        if available > self.slots.size - self.unanswered() {
            let consumed = self.popped;
            return Err(Broken::Indices { produced, consumed });
        }
        self.seen = produced;
        Ok(available)
    }

    /// Fills the next slot with a response and gives its number; `None` if every request that was
    /// popped has one.
    #[inline]
    pub fn push(&mut self, response: &P::Response) -> Result<Option<u32>, Broken> {
        if self.unanswered() == 0 {
            return Ok(None);
        }
        let slot = self.slots.store::<P, _>(self.pushed, response)?;
        self.pushed = self.pushed.wrapping_add(1);
        Ok(Some(slot))
    }

    /// Shows the peer all responses that were pushed; says whether it wants to be notified.
    #[inline]
    pub fn publish(&mut self) -> Result<bool, Broken> {
        let before = core::mem::replace(&mut self.published, self.pushed);
        self.slots.publish(before, self.pushed, RSP_PROD, RSP_EVENT)
    }

    /// Asks for an event with the next request; says whether there is one already. To be called
    /// before waiting, when `pop` gives nothing.
    #[inline]
    pub fn rearm(&mut self) -> Result<bool, Broken> {
        let event = self.popped.wrapping_add(1);
        self.slots.memory.store_u32(REQ_EVENT, event)?;
        // As in `Front::rearm_after`.
        full_barrier();
        Ok(self.available()? > 0)
    }

    /// The ring's memory.
    pub fn memory(&self) -> &M {
        &self.slots.memory
    }

    /// The ring's memory, to give it back.
    pub fn into_memory(self) -> M {
        self.slots.memory
    }
}

struct Slots<M> {
    memory: M,
    size: u32,
}

impl<M: Deref<Target = Shared>> Slots<M> {
    fn new<P: Protocol>(memory: M) -> Result<Self, Broken> {
        let fit = memory.len().saturating_sub(SLOTS) / P::SLOT;
        let size = match fit.checked_ilog2() {
            Some(log) => 1 << log.min(31),
            None => return Err(Broken::Memory(crate::shared::Fault::OutOfBounds)),
        };
        Ok(Slots { memory, size })
    }

    fn offset<P: Protocol, R: Record>(&self, index: u32) -> (u32, usize) {
        const {
            assert!(
                size_of::<R::Bytes>() <= P::SLOT,
                "the record does not fit its slot"
            );
            assert!(P::SLOT.is_multiple_of(4), "slots are whole words");
        }
        let slot = index & (self.size - 1);
        (slot, SLOTS + slot as usize * P::SLOT)
    }

    #[inline(always)]
    fn load<P: Protocol, R: Record>(&self, index: u32) -> Result<(u32, R), Broken> {
        let (slot, offset) = self.offset::<P, R>(index);
        let mut bytes = R::Bytes::zeroed();
        self.memory.read(offset, bytes.as_mut())?;
        Ok((slot, R::decode(&bytes)))
    }

    #[inline(always)]
    fn store<P: Protocol, R: Record>(&self, index: u32, record: &R) -> Result<u32, Broken> {
        let (slot, offset) = self.offset::<P, R>(index);
        self.memory.write(offset, record.encode().as_ref())?;
        Ok(slot)
    }

    /// Moves the index at `prod`; says whether it passes the one at `event`.
    #[inline(always)]
    fn publish(&self, before: u32, now: u32, prod: usize, event: usize) -> Result<bool, Broken> {
        if before == now {
            return Ok(false);
        }
        // Slots are written before the index that shows them.
        write_barrier();
        self.memory.store_u32(prod, now)?;
        // The peer sets its event index, then looks for more: as in `Front::rearm_after`.
        full_barrier();
        let wanted = self.memory.load_u32(event)?;
        Ok(now.wrapping_sub(wanted) < now.wrapping_sub(before))
    }
}

#[cfg(test)]
mod tests;
