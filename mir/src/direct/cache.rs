//! Answers that were made, as many as there is room for.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use www::pack::Made;

/// Bytes of bodies that are kept.
const ROOM: usize = 64 << 20;

/// Answers by their paths. What is too large to be kept is known for as long as somebody is sent it,
/// so that many who ask for it at once are sent the same bytes.
#[derive(Default)]
pub(super) struct Cache {
    by_path: HashMap<String, Entry>,
    /// Paths of those that are kept, by when they were last asked for.
    by_age: BTreeMap<u64, String>,
    bytes: usize,
    now: u64,
}

struct Entry {
    made: Kept,
    generation: u64,
    age: u64,
}

enum Kept {
    Here(Arc<Made>),
    Elsewhere(Weak<Made>),
}

impl Cache {
    /// What was last made for a path, and of which generation of the site.
    pub(super) fn get(&mut self, path: &str) -> Option<(Arc<Made>, u64)> {
        let entry = self.by_path.get_mut(path)?;
        let made = match &entry.made {
            Kept::Here(made) => made.clone(),
            Kept::Elsewhere(made) => made.upgrade()?,
        };
        self.now += 1;
        if let Some(path) = self.by_age.remove(&entry.age) {
            self.by_age.insert(self.now, path);
            entry.age = self.now;
        }
        Some((made, entry.generation))
    }

    /// Keeps what was made for a path.
    pub(super) fn put(&mut self, path: &str, made: &Arc<Made>, generation: u64) {
        self.remove(path);
        let size = size(made);
        self.now += 1;
        let kept = if size <= ROOM / 4 {
            while self.bytes + size > ROOM {
                let Some((_, oldest)) = self.by_age.pop_first() else {
                    break;
                };
                self.remove(&oldest);
            }
            self.bytes += size;
            self.by_age.insert(self.now, path.to_owned());
            Kept::Here(made.clone())
        } else {
            self.by_path.retain(|_, entry| match &entry.made {
                Kept::Here(_) => true,
                Kept::Elsewhere(made) => made.strong_count() > 0,
            });
            Kept::Elsewhere(Arc::downgrade(made))
        };
        let entry = Entry {
            made: kept,
            generation,
            age: self.now,
        };
        self.by_path.insert(path.to_owned(), entry);
    }

    fn remove(&mut self, path: &str) {
        if let Some(entry) = self.by_path.remove(path) {
            self.by_age.remove(&entry.age);
            if let Kept::Here(made) = entry.made {
                self.bytes -= size(&made);
            }
        }
    }
}

/// What an answer takes, roughly: small ones too have heads and places.
fn size(made: &Made) -> usize {
    let variants = made.variants.iter();
    variants.map(|variant| variant.body.len() + 1024).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use www::pack::Page;

    fn made(len: usize) -> Arc<Made> {
        let page = Page {
            media_type: "text/plain".to_owned(),
            body: vec![0; len],
            ..Page::default()
        };
        Arc::new(Made::page(200, page).unwrap())
    }

    #[test]
    fn the_oldest_goes() {
        let mut cache = Cache::default();
        let large = made(ROOM / 4 - 1024);
        for path in ["/a", "/b", "/c", "/d"] {
            cache.put(path, &large, 1);
        }
        assert!(cache.get("/a").is_some());
        cache.put("/e", &large, 2);
        assert!(cache.get("/b").is_none() && cache.get("/c").is_some());
        assert_eq!(cache.get("/a").map(|(_, generation)| generation), Some(1));
        assert_eq!(cache.get("/e").map(|(_, generation)| generation), Some(2));
        assert_eq!((cache.bytes, cache.by_age.len()), (ROOM, 4));
        cache.put("/e", &made(10), 3);
        assert_eq!(cache.bytes, ROOM / 4 * 3 + 1034);
        assert_eq!((cache.by_path.len(), cache.by_age.len()), (4, 4));
    }

    #[test]
    fn what_is_too_large_is_shared_while_it_is_in_use() {
        let mut cache = Cache::default();
        let large = made(ROOM / 4);
        cache.put("/a", &large, 1);
        let (same, _) = cache.get("/a").unwrap();
        assert!(Arc::ptr_eq(&same, &large));
        drop((same, large));
        assert!(cache.get("/a").is_none());
        assert_eq!(cache.bytes, 0);
        cache.put("/b", &made(ROOM / 4), 1);
        assert_eq!(cache.by_path.len(), 1);
    }
}
