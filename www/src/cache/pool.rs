//! The blocks: which there are, where they are, and which is the next to go.

use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;

use super::job::Job;
use super::{BLOCK, Page, heap_has};

/// What a block takes besides its bytes: its slot and its places in the lists, twice, since these
/// grow by doubling; its `Rc`, and what the heap keeps for itself.
const OVERHEAD: usize = 2 * (size_of::<Slot>() + 2 * size_of::<u32>()) + 128;

/// No slot.
const NONE: u32 = u32::MAX;

/// A device's number, and a block's number on it.
pub(super) type Key = (u32, u64);

/// A place for a block.
struct Slot {
    key: Key,
    /// The next one in its chain.
    next: u32,
    state: State,
    /// Asked for since the hand last passed.
    used: bool,
}

enum State {
    /// Nothing, or memory that is ready for a block.
    Free(Option<Rc<Page>>),
    Loading(Weak<Job>),
    Ready(Rc<Page>),
}

/// What is known of a block.
pub(super) enum Look {
    Ready(Rc<Page>),
    Loading(Rc<Job>),
    Absent,
}

/// A block on its way: the memory that a device reads into.
pub(super) struct Buffer {
    page: Rc<Page>,
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // Nobody else has it before it is in the pool.
        Rc::get_mut(&mut self.page).map_or(&mut [], |page| &mut page.0)
    }
}

/// All blocks.
pub(super) struct Pool {
    capacity: usize,
    /// The first slot of each chain; keys with the same hash are in one. There are as many as
    /// slots may be, at the least, so that chains are short. It is made with the first slot.
    chains: Vec<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The next slot to be looked at when room is needed.
    hand: usize,
    devices: u32,
}

impl Pool {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            capacity: (limit / (BLOCK + OVERHEAD)).min(1 << 24),
            chains: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            devices: 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn blocks(&self) -> usize {
        let empty = |slot: &&Slot| !matches!(slot.state, State::Free(None));
        self.slots.iter().filter(empty).count()
    }

    pub(super) fn held(&self) -> usize {
        let held = |slot: &&Slot| match &slot.state {
            State::Free(_) => false,
            State::Loading(_) => true,
            State::Ready(page) => Rc::strong_count(page) > 1,
        };
        self.slots.iter().filter(held).count()
    }

    /// A number for a device that no other one has. It is by number, so that a disk that comes
    /// back is not taken for the one that went.
    pub(super) fn attach(&mut self) -> u32 {
        self.devices = self.devices.wrapping_add(1);
        self.devices
    }

    /// Forgets what was on a device, but for what somebody holds: that counts until it is let go.
    pub(super) fn detach(&mut self, device: u32) {
        for number in 0..self.slots.len() {
            let slot = &self.slots[number];
            if slot.key.0 == device
                && let State::Ready(page) = &slot.state
                && Rc::strong_count(page) == 1
            {
                self.vacate(number);
                self.free.push(number as u32);
            }
        }
    }

    pub(super) fn look(&mut self, key: Key) -> Look {
        let Some(slot) = self.place(key).map(|number| &mut self.slots[number]) else {
            return Look::Absent;
        };
        match &slot.state {
            State::Ready(page) => {
                slot.used = true;
                Look::Ready(page.clone())
            }
            State::Loading(job) => job.upgrade().map_or(Look::Absent, Look::Loading),
            State::Free(_) => Look::Absent,
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The read that is under way whose first block is in this slot.
    pub(super) fn job(&self, slot: usize) -> Option<Rc<Job>> {
        let slot = self.slots.get(slot)?;
        match &slot.state {
            State::Loading(job) => job.upgrade().filter(|job| job.first == slot.key),
            _ => None,
        }
    }

    /// Whether it is there, or on its way.
    pub(super) fn has(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    /// The slot of a key.
    fn place(&self, key: Key) -> Option<usize> {
        let mut next = *self.chains.get(self.chain(key))?;
        loop {
            let slot = self.slots.get(next as usize)?;
            if slot.key == key {
                return Some(next as usize);
            }
            next = slot.next;
        }
    }

    /// The chain that a key is in. Blocks are mostly numbered in a row: so are their chains.
    fn chain(&self, (device, block): Key) -> usize {
        let hash = block.wrapping_add(u64::from(device).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (hash ^ hash >> 32) as usize & self.chains.len().wrapping_sub(1)
    }

    /// Puts a slot into the chain of its key.
    fn link(&mut self, number: usize, key: Key) {
        let chain = self.chain(key);
        self.slots[number].key = key;
        self.slots[number].next = core::mem::replace(&mut self.chains[chain], number as u32);
    }

    /// Takes the slot of a key out of its chain.
    fn unlink(&mut self, key: Key) -> Option<usize> {
        let number = self.place(key)?;
        let after = self.slots[number].next;
        let chain = self.chain(key);
        let mut at = self.chains[chain] as usize;
        if at == number {
            self.chains[chain] = after;
        } else {
            while self.slots[at].next as usize != number {
                at = self.slots[at].next as usize;
            }
            self.slots[at].next = after;
        }
        Some(number)
    }

    /// Takes room for a block of `len` bytes that is absent. Says whether another one had to go
    /// for it; fails if there is no room.
    pub(super) fn reserve(
        &mut self,
        key: Key,
        len: usize,
        job: &Weak<Job>,
    ) -> Option<(Buffer, bool)> {
        let (number, evicted) = match self.free.pop() {
            Some(number) => (number as usize, false),
            None => match self.grow() {
                Some(number) => (number, false),
                None => (self.evict()?, true),
            },
        };
        let state = &mut self.slots[number].state;
        let page = match core::mem::replace(state, State::Free(None)) {
            State::Free(Some(page)) => Some(page),
            // Where the heap has none, another block's memory is as good.
            _ => page().or_else(|| self.take()),
        };
        let resized = page.and_then(|mut page| {
            let bytes = &mut Rc::get_mut(&mut page)?.0;
            bytes.try_reserve(len.saturating_sub(bytes.len())).ok()?;
            bytes.resize(len, 0);
            Some(page)
        });
        let Some(page) = resized else {
            self.free.push(number as u32);
            return None;
        };
        let slot = &mut self.slots[number];
        slot.state = State::Loading(job.clone());
        slot.used = true;
        self.link(number, key);
        Some((Buffer { page }, evicted))
    }

    /// Keeps a block that was read.
    pub(super) fn fill(&mut self, key: Key, buffer: Buffer) {
        if let Some(number) = self.place(key) {
            self.slots[number].state = State::Ready(buffer.page);
        }
    }

    /// Gives up a block that was to be read; its memory may be used for another.
    pub(super) fn release(&mut self, key: Key, buffer: Option<Buffer>) {
        if let Some(number) = self.unlink(key) {
            self.slots[number].state = State::Free(buffer.map(|buffer| buffer.page));
            self.free.push(number as u32);
        }
    }

    /// A slot more, if the limit allows it. The lists that name slots grow with them.
    fn grow(&mut self) -> Option<usize> {
        if self.slots.len() >= self.capacity {
            return None;
        }
        if self.chains.is_empty() {
            let chains = self.capacity.next_power_of_two();
            self.chains.try_reserve_exact(chains).ok()?;
            self.chains.resize(chains, NONE);
        }
        self.slots.try_reserve(1).ok()?;
        let wanted = self.slots.len() + 1;
        self.free.try_reserve(wanted - self.free.len()).ok()?;
        let page = page()?;
        self.slots.push(Slot {
            key: (0, 0),
            next: NONE,
            state: State::Free(Some(page)),
            used: false,
        });
        Some(self.slots.len() - 1)
    }

    /// The memory of a block that nobody holds.
    fn take(&mut self) -> Option<Rc<Page>> {
        let number = self.evict()?;
        self.free.push(number as u32);
        match core::mem::replace(&mut self.slots[number].state, State::Free(None)) {
            State::Free(page) => page,
            _ => None,
        }
    }

    /// Frees the slot of a block that nobody holds and that was not asked for of late: the clock
    /// algorithm.
    fn evict(&mut self) -> Option<usize> {
        for _ in 0..2 * self.slots.len() {
            let number = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let slot = &mut self.slots[number];
            let State::Ready(page) = &slot.state else {
                continue;
            };
            if Rc::strong_count(page) > 1 {
                continue;
            }
            if !core::mem::replace(&mut slot.used, false) {
                self.vacate(number);
                return Some(number);
            }
        }
        None
    }

    /// Takes the block, which nobody holds, out of a slot and keeps its memory.
    fn vacate(&mut self, number: usize) {
        self.unlink(self.slots[number].key);
        let slot = &mut self.slots[number];
        slot.state = match core::mem::replace(&mut slot.state, State::Free(None)) {
            State::Ready(page) => State::Free(Some(page)),
            state => state,
        };
    }
}

/// Memory for a block.
fn page() -> Option<Rc<Page>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(BLOCK).ok()?;
    heap_has(size_of::<Page>() + 2 * size_of::<usize>()).then(|| Rc::new(Page(bytes)))
}
