//! The blocks: which there are, where they are, and which is the next to go.

use alloc::rc::{Rc, Weak};
use alloc::vec::Vec;

use hashbrown::HashMap;

use super::job::Job;
use super::{BLOCK, Page, heap_has};

/// What a block takes besides its bytes: its slot, its place in the map (at a load of one half,
/// which is the worst after it grew), its `Rc`, and what the heap keeps for itself.
const OVERHEAD: usize = size_of::<Slot>() * 2 + size_of::<(Key, u32)>() * 4 + 128;

/// A device's number, and a block's number on it.
pub(super) type Key = (u32, u64);

/// A place for a block.
struct Slot {
    key: Key,
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
    map: HashMap<Key, u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The next slot to be looked at when room is needed.
    hand: usize,
    devices: u32,
}

impl Pool {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            capacity: (limit / (BLOCK + OVERHEAD)).min(u32::MAX as usize),
            map: HashMap::new(),
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

    /// Forgets what a device held.
    pub(super) fn detach(&mut self, device: u32) {
        for number in 0..self.slots.len() {
            if self.slots[number].key.0 == device
                && matches!(self.slots[number].state, State::Ready(_))
            {
                self.vacate(number);
                self.free.push(number as u32);
            }
        }
    }

    pub(super) fn look(&mut self, key: Key) -> Look {
        let Some(slot) = self.map.get(&key).copied() else {
            return Look::Absent;
        };
        let slot = &mut self.slots[slot as usize];
        match &slot.state {
            State::Ready(page) => {
                slot.used = true;
                Look::Ready(page.clone())
            }
            State::Loading(job) => job.upgrade().map_or(Look::Absent, Look::Loading),
            State::Free(_) => Look::Absent,
        }
    }

    /// Whether it is there, or on its way.
    pub(super) fn has(&self, key: Key) -> bool {
        self.map.contains_key(&key)
    }

    /// Takes room for a block of `len` bytes that is absent. Says whether another one had to go
    /// for it; fails if there is no room.
    pub(super) fn reserve(
        &mut self,
        key: Key,
        len: usize,
        job: &Weak<Job>,
    ) -> Option<(Buffer, bool)> {
        self.map.try_reserve(1).ok()?;
        let (number, evicted) = match self.free.pop() {
            Some(number) => (number as usize, false),
            None => match self.grow() {
                Some(number) => (number, false),
                None => (self.evict()?, true),
            },
        };
        let slot = &mut self.slots[number];
        let page = match core::mem::replace(&mut slot.state, State::Free(None)) {
            State::Free(Some(page)) => Some(page),
            _ => page(),
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
        slot.key = key;
        slot.state = State::Loading(job.clone());
        slot.used = true;
        self.map.insert(key, number as u32);
        Some((Buffer { page }, evicted))
    }

    /// Keeps a block that was read.
    pub(super) fn fill(&mut self, key: Key, buffer: Buffer) {
        if let Some(number) = self.map.get(&key)
            && let Some(slot) = self.slots.get_mut(*number as usize)
        {
            slot.state = State::Ready(buffer.page);
        }
    }

    /// Gives up a block that was to be read; its memory may be used for another.
    pub(super) fn release(&mut self, key: Key, buffer: Option<Buffer>) {
        if let Some(number) = self.map.remove(&key) {
            self.slots[number as usize].state = State::Free(buffer.map(|buffer| buffer.page));
            self.free.push(number);
        }
    }

    /// A slot more, if the limit allows it. The lists that name slots grow with them.
    fn grow(&mut self) -> Option<usize> {
        if self.slots.len() >= self.capacity {
            return None;
        }
        self.slots.try_reserve(1).ok()?;
        let wanted = self.slots.len() + 1;
        self.free.try_reserve(wanted - self.free.len()).ok()?;
        let page = page()?;
        self.slots.push(Slot {
            key: (0, 0),
            state: State::Free(Some(page)),
            used: false,
        });
        Some(self.slots.len() - 1)
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

    /// Takes the block out of a slot and keeps its memory, unless somebody holds it.
    fn vacate(&mut self, number: usize) {
        let slot = &mut self.slots[number];
        self.map.remove(&slot.key);
        let state = core::mem::replace(&mut slot.state, State::Free(None));
        if let State::Ready(page) = state
            && Rc::strong_count(&page) == 1
        {
            slot.state = State::Free(Some(page));
        }
    }
}

/// Memory for a block.
fn page() -> Option<Rc<Page>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(BLOCK).ok()?;
    heap_has(size_of::<Page>() + 2 * size_of::<usize>()).then(|| Rc::new(Page(bytes)))
}
