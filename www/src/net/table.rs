//! Connections by address and port, in the order of their last activity.
//!
//! A hash keyed by the configuration's seed finds them, so that a client cannot choose addresses
//! that collide. Lists run through the slots, so that the oldest is always at hand.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash, Hasher};
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

/// The part of a connection's 4-tuple that varies: we serve one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The peer's address; IPv4 as `::ffff:a.b.c.d`.
    pub(super) remote: [u8; 16],
    pub(super) port: u16,
    /// Which of our addresses.
    pub(super) local: u8,
}

impl Key {
    pub(super) fn bytes(&self) -> [u8; 19] {
        let mut bytes = [0; 19];
        bytes[..16].copy_from_slice(&self.remote);
        bytes[16..18].copy_from_slice(&self.port.to_be_bytes());
        bytes[18] = self.local;
        bytes
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.bytes());
    }
}

/// SipHash-1-3 with a key of our own.
#[derive(Clone, Copy)]
pub(super) struct Keyed(pub(super) u64, pub(super) u64);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// A slot that may have been given to another since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle {
    pub(super) index: u32,
    generation: u32,
}

const NONE: u32 = u32::MAX;

struct Slot<V> {
    content: Option<(Key, V)>,
    generation: u32,
    prev: u32,
    next: u32,
    /// Which list it is in; `LISTS` if none.
    list: u8,
}

#[derive(Clone, Copy)]
struct List {
    head: u32,
    tail: u32,
}

const LISTS: usize = 3;

/// Bytes that one value takes, with its place in the hash.
pub(super) const fn slot_size<V>() -> usize {
    size_of::<Slot<V>>() + size_of::<(Key, u32)>() + 1
}

pub(super) struct Table<V> {
    map: HashMap<Key, u32, Keyed>,
    slots: Vec<Slot<V>>,
    free: u32,
    lists: [List; LISTS],
    limit: usize,
}

impl<V> Table<V> {
    pub(super) fn new(limit: usize, keyed: Keyed) -> Self {
        let empty = List {
            head: NONE,
            tail: NONE,
        };
        Table {
            map: HashMap::with_hasher(keyed),
            slots: Vec::new(),
            free: NONE,
            lists: [empty; LISTS],
            limit: limit.clamp(1, NONE as usize - 1),
        }
    }

    /// How many can be found.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Slots in use and free.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.map.len() >= self.limit
    }

    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.map.get(key).copied()
    }

    /// Puts `value` at the end of `list`; gives it back if there is no room or no memory.
    pub(super) fn insert(&mut self, key: Key, value: V, list: u8) -> Result<u32, V> {
        if self.is_full() || self.map.try_reserve(1).is_err() || self.map.contains_key(&key) {
            return Err(value);
        }
        let index = if self.free == NONE {
            if self.slots.try_reserve(1).is_err() {
                return Err(value);
            }
            self.slots.push(Slot {
                content: None,
                generation: 0,
                prev: NONE,
                next: NONE,
                list: LISTS as u8,
            });
            (self.slots.len() - 1) as u32
        } else {
            let index = self.free;
            self.free = self.slots[index as usize].next;
            index
        };
        self.slots[index as usize].content = Some((key, value));
        self.map.insert(key, index);
        self.append(index, list);
        Ok(index)
    }

    /// Makes it unfindable and takes it off its list; the slot stays.
    pub(super) fn detach(&mut self, index: u32) {
        let Some((key, _)) = &self.slots[index as usize].content else {
            return;
        };
        let key = *key;
        if self.map.get(&key) == Some(&index) {
            self.map.remove(&key);
        }
        self.unlink(index);
    }

    /// Detaches it and gives its slot back.
    #[inline(never)]
    pub(super) fn remove(&mut self, index: u32) -> Option<(Key, V)> {
        self.detach(index);
        let slot = &mut self.slots[index as usize];
        let content = slot.content.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.free;
        self.free = index;
        Some(content)
    }

    pub(super) fn get(&self, index: u32) -> Option<&V> {
        self.slots
            .get(index as usize)?
            .content
            .as_ref()
            .map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut V> {
        self.slots
            .get_mut(index as usize)?
            .content
            .as_mut()
            .map(|(_, value)| value)
    }

    pub(super) fn key(&self, index: u32) -> Option<Key> {
        self.slots
            .get(index as usize)?
            .content
            .as_ref()
            .map(|(key, _)| *key)
    }

    /// It can be found: it is in use, and not detached.
    pub(super) fn is_live(&self, index: u32) -> bool {
        let slot = self.slots.get(index as usize);
        slot.is_some_and(|slot| (slot.list as usize) < LISTS)
    }

    pub(super) fn handle(&self, index: u32) -> Handle {
        Handle {
            index,
            generation: self.slots[index as usize].generation,
        }
    }

    pub(super) fn resolve(&self, handle: Handle) -> Option<u32> {
        let slot = self.slots.get(handle.index as usize)?;
        (slot.generation == handle.generation && slot.content.is_some()).then_some(handle.index)
    }

    /// The one at the head of `list`: the longest without activity.
    pub(super) fn front(&self, list: u8) -> Option<u32> {
        let head = self.lists[list as usize].head;
        (head != NONE).then_some(head)
    }

    /// The next one on the same list.
    pub(super) fn after(&self, index: u32) -> Option<u32> {
        let next = self.slots[index as usize].next;
        (next != NONE).then_some(next)
    }

    /// Moves it to the end of its list.
    pub(super) fn touch(&mut self, index: u32) {
        let list = self.slots[index as usize].list;
        if (list as usize) < LISTS && self.lists[list as usize].tail != index {
            self.unlink(index);
            self.append(index, list);
        }
    }

    /// Moves it to the end of another list.
    pub(super) fn shift(&mut self, index: u32, list: u8) {
        if (self.slots[index as usize].list as usize) < LISTS {
            self.unlink(index);
            self.append(index, list);
        }
    }

    fn append(&mut self, index: u32, list: u8) {
        let tail = self.lists[list as usize].tail;
        let slot = &mut self.slots[index as usize];
        (slot.prev, slot.next, slot.list) = (tail, NONE, list);
        match tail {
            NONE => self.lists[list as usize].head = index,
            tail => self.slots[tail as usize].next = index,
        }
        self.lists[list as usize].tail = index;
    }

    fn unlink(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        let (prev, next, list) = (slot.prev, slot.next, slot.list as usize);
        if list >= LISTS {
            return;
        }
        (slot.prev, slot.next, slot.list) = (NONE, NONE, LISTS as u8);
        match prev {
            NONE => self.lists[list].head = next,
            prev => self.slots[prev as usize].next = next,
        }
        match next {
            NONE => self.lists[list].tail = prev,
            next => self.slots[next as usize].prev = prev,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u16) -> Key {
        Key {
            remote: [7; 16],
            port: n,
            local: 0,
        }
    }

    fn order(table: &Table<u16>, list: u8) -> Vec<u16> {
        let mut seen = Vec::new();
        let mut at = table.front(list);
        while let Some(index) = at {
            seen.push(*table.get(index).unwrap());
            at = table.after(index);
        }
        seen
    }

    #[test]
    fn lists_keep_the_order_of_activity() {
        let mut table = Table::new(10, Keyed(1, 2));
        let ids: Vec<u32> = (0..4)
            .map(|n| table.insert(key(n), n, 0).unwrap())
            .collect();
        table.touch(ids[0]);
        assert_eq!(order(&table, 0), [1, 2, 3, 0]);
        table.shift(ids[2], 1);
        assert_eq!(order(&table, 0), [1, 3, 0]);
        assert_eq!(order(&table, 1), [2]);
        table.remove(ids[3]);
        assert_eq!(order(&table, 0), [1, 0]);
        table.remove(ids[0]);
        table.remove(ids[1]);
        assert_eq!(order(&table, 0), []);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_slot_given_to_another_is_not_the_old_one() {
        let mut table = Table::new(10, Keyed(1, 2));
        let old = table.insert(key(1), 1, 0).unwrap();
        let handle = table.handle(old);
        table.detach(old);
        assert_eq!(table.find(&key(1)), None);
        assert_eq!(table.resolve(handle), Some(old));
        table.remove(old);
        let new = table.insert(key(2), 2, 0).unwrap();
        assert_eq!(new, old);
        assert_eq!(table.resolve(handle), None);
    }

    #[test]
    fn a_successor_with_the_same_key_survives_the_removal_of_the_first() {
        let mut table = Table::new(10, Keyed(1, 2));
        let first = table.insert(key(1), 1, 0).unwrap();
        table.detach(first);
        let second = table.insert(key(1), 2, 0).unwrap();
        table.remove(first);
        assert_eq!(table.find(&key(1)), Some(second));
    }

    #[test]
    fn the_limit_holds() {
        let mut table = Table::new(2, Keyed(1, 2));
        assert!(table.insert(key(1), 1, 0).is_ok());
        assert!(table.insert(key(2), 2, 0).is_ok());
        assert_eq!(table.insert(key(3), 3, 0), Err(3));
    }
}
