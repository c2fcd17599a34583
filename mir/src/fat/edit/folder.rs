//! A folder in memory, while it is changed.

use std::collections::HashMap;

use crate::fat::boot::SLOT;
use crate::fat::directory::{DOT, DOT_DOT, Directory, Entry};
use crate::fat::name::{self, Shorts};
use crate::fat::record::{self, DELETED, Record, Stamp, attributes, checksum};
use crate::fat::table::Run;

type Slot = [u8; SLOT as usize];

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: String,
    /// Its clusters; none for the root of FAT12 and FAT16.
    pub(super) runs: Vec<Run>,
    /// Whether it must be written.
    pub(super) dirty: bool,
    /// The folders in it that are in memory, by their entries' numbers.
    pub(super) inner: HashMap<usize, usize>,
    slots: Vec<Slot>,
    /// Those behind have never been in use, or are free again.
    used: usize,
    /// Whether there are free slots before.
    holes: bool,
    entries: Vec<Option<Entry>>,
    by_name: HashMap<String, usize>,
    by_short: HashMap<[u8; 11], usize>,
    shorts: Shorts,
}

impl Folder {
    /// A folder as it stands in the volume.
    pub(super) fn read(path: String, runs: Vec<Run>, bytes: Vec<u8>, wide: bool) -> Self {
        let parsed = Directory::parse(&bytes, wide);
        let mut slots = bytes.as_chunks().0.to_vec();
        // What lies behind the mark may be anything, and would come back to life.
        slots[parsed.used..].fill([0; SLOT as usize]);
        let mut folder = Self {
            path,
            runs,
            dirty: false,
            inner: HashMap::new(),
            holes: slots[..parsed.used].iter().any(|slot| slot[0] == DELETED),
            slots,
            used: parsed.used,
            entries: Vec::new(),
            by_name: HashMap::new(),
            by_short: HashMap::new(),
            shorts: Shorts::default(),
        };
        for entry in parsed.entries {
            folder.shorts.take(entry.record.short);
            folder.note(entry);
        }
        folder
    }

    /// A new folder: `up` is where the one above begins, 0 for the root.
    pub(super) fn new(path: String, runs: Vec<Run>, len: usize, up: u32, stamp: Stamp) -> Self {
        let start = runs.first().map_or(0, |run| run.first);
        let mut folder = Self::read(path, runs, vec![0; len], false);
        for (short, cluster) in [(DOT, start), (DOT_DOT, up)] {
            folder.append(&Record {
                short,
                attributes: attributes::DIRECTORY,
                lower: 0,
                modified: stamp,
                cluster,
                size: 0,
            });
        }
        folder.dirty = true;
        folder
    }

    /// Puts a slot without a long name behind the others, where there is room.
    pub(super) fn append(&mut self, record: &Record) {
        self.slots[self.used] = record.encode();
        self.used += 1;
    }

    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.slots.as_flattened()
    }

    /// Where it begins: 0 for the fixed root.
    pub(super) fn start(&self) -> u32 {
        self.runs.first().map_or(0, |run| run.first)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "/" => format!("/{name}"),
            path => format!("{path}/{name}"),
        }
    }

    /// The entry with this name, whatever its case.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name::fold(name)).copied()
    }

    /// An entry that [`Folder::find`] or [`Folder::all`] has found.
    pub(super) fn entry(&self, at: usize) -> &Entry {
        self.entries[at].as_ref().expect("an entry that is there")
    }

    pub(super) fn all(&self) -> Vec<usize> {
        (0..self.entries.len())
            .filter(|at| self.entries[*at].is_some())
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Changes an entry's cluster, size, attributes and time; what else is in its slot stays.
    pub(super) fn update(&mut self, at: usize, change: impl FnOnce(&mut Record)) {
        let Some(entry) = &mut self.entries[at] else {
            return;
        };
        change(&mut entry.record);
        let (old, new) = (&mut self.slots[entry.at], entry.record.encode());
        for range in [11..12, 18..28, 28..32] {
            old[range.clone()].copy_from_slice(&new[range]);
        }
        self.dirty = true;
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, at: usize) {
        let Some(entry) = self.entries[at].take() else {
            return;
        };
        for slot in &mut self.slots[entry.first..=entry.at] {
            slot[0] = DELETED;
        }
        self.by_name.remove(&name::fold(&entry.name));
        self.by_short.remove(&entry.record.short);
        self.shorts.free(&entry.record.short);
        self.inner.remove(&at);
        self.holes = true;
        while self.used > 0 && self.slots[self.used - 1][0] == DELETED {
            self.used -= 1;
            self.slots[self.used] = [0; SLOT as usize];
        }
        self.dirty = true;
    }

    /// Finds a short name and a place for a new entry: the first slot, which may lie behind the
    /// last one there is, and the slots.
    pub(super) fn prepare(&mut self, name: &str, mut record: Record) -> (usize, Vec<Slot>) {
        // Another's short name may be just this name: it gets another one.
        if let Some(other) = Shorts::exact(name).and_then(|short| self.by_short.get(&short)) {
            self.rename_short(*other);
        }
        let short = self.shorts.find(name);
        record.short = short.bytes;
        let slots = record::slots(&record, short.long.then_some(name));
        (self.place(slots.len()), slots)
    }

    fn place(&self, count: usize) -> usize {
        let mut free = 0;
        if self.holes {
            for (at, slot) in self.slots[..self.used].iter().enumerate() {
                free = if slot[0] == DELETED { free + 1 } else { 0 };
                if free == count {
                    return at + 1 - count;
                }
            }
        }
        self.used - free
    }

    /// Makes it longer by free slots in these clusters.
    pub(super) fn grow(&mut self, runs: &[Run], bytes: usize) {
        self.runs.extend_from_slice(runs);
        let slots = self.slots.len() + bytes / SLOT as usize;
        self.slots.resize(slots, [0; SLOT as usize]);
    }

    /// Writes the slots of [`Folder::prepare`]; the new entry's number.
    pub(super) fn insert(&mut self, name: &str, first: usize, slots: Vec<Slot>) -> usize {
        let at = first + slots.len() - 1;
        let entry = Entry {
            name: name.to_owned(),
            long: slots.len() > 1,
            record: Record::decode(&slots[slots.len() - 1], true),
            first,
            at,
        };
        self.slots[first..=at].copy_from_slice(&slots);
        self.used = self.used.max(at + 1);
        self.dirty = true;
        self.note(entry)
    }

    fn note(&mut self, entry: Entry) -> usize {
        let number = self.entries.len();
        self.by_name.insert(name::fold(&entry.name), number);
        self.by_short.insert(entry.record.short, number);
        self.entries.push(Some(entry));
        number
    }

    /// Gives an entry with a long name another short one, which its long one's pieces sum up.
    fn rename_short(&mut self, at: usize) {
        let Some(entry) = self.entries[at].as_mut().filter(|entry| entry.long) else {
            return;
        };
        let old = entry.record.short;
        // Not free yet, so that another one is found.
        let short = self.shorts.find(&entry.name).bytes;
        entry.record.short = short;
        for slot in &mut self.slots[entry.first..entry.at] {
            slot[13] = checksum(&short);
        }
        self.slots[entry.at][..11].copy_from_slice(&short);
        self.shorts.free(&old);
        self.by_short.remove(&old);
        self.by_short.insert(short, at);
        self.dirty = true;
    }
}
