//! Keeps what was compressed, so that a site whose pages stayed the same is packed at once.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::hex;
use crate::output;

/// Part of every key: changes with whatever changes the compressors' output.
const VERSION: &str = concat!("1 ", env!("CARGO_PKG_VERSION"));
/// The digest that each file begins with, of what follows.
const DIGEST: usize = 32;

/// A folder of compressed bodies, each named by what it was made of. Nothing in it is needed:
/// a file that is missing or damaged is made again, and a folder that cannot be written is not
/// used.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    /// A cache in `folder`, which need not exist.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
        }
    }

    /// No cache: everything is made anew.
    pub fn none() -> Self {
        Self { folder: None }
    }

    /// What `make` makes of `body`, or made of it before.
    pub(super) fn get_or(
        &self,
        how: &str,
        body: &[u8],
        make: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let Some(folder) = &self.folder else {
            return make(body);
        };
        let mut hash = Sha256::new();
        hash.update(format!("{VERSION} {how}\n"));
        hash.update(body);
        let key = hex(&hash.finalize());
        let path = folder.join(&key[..2]).join(&key[2..]);
        if let Some(made) = read(&path) {
            return Some(made).filter(|made| !made.is_empty());
        }
        let made = make(body);
        let content = made.as_deref().unwrap_or_default();
        // Not being able to keep it makes the next run slower, no more.
        let _ = output::write(&path, &[Sha256::digest(content).as_slice(), content], false);
        made
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut file = fs::read(path).ok()?;
    let (digest, content) = file.split_at_checked(DIGEST)?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    Some(file.split_off(DIGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_once_unless_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let never = |_: &[u8]| -> Option<Vec<u8>> { panic!("made twice") };
        assert_eq!(
            cache.get_or("x", b"in", |_| Some(b"out".to_vec())).unwrap(),
            b"out"
        );
        assert_eq!(cache.get_or("x", b"in", never).unwrap(), b"out");
        assert_eq!(cache.get_or("y", b"in", |_| None), None);
        assert_eq!(cache.get_or("y", b"in", never), None);

        for shard in fs::read_dir(folder.path()).unwrap() {
            for file in fs::read_dir(shard.unwrap().path()).unwrap() {
                fs::write(file.unwrap().path(), b"damaged").unwrap();
            }
        }
        assert_eq!(
            cache.get_or("x", b"in", |_| Some(b"new".to_vec())).unwrap(),
            b"new"
        );
    }

    #[test]
    fn works_where_nothing_can_be_written() {
        let cache = Cache::new(Path::new("/proc/none"));
        assert_eq!(
            cache.get_or("x", b"in", |_| Some(b"out".to_vec())).unwrap(),
            b"out"
        );
    }
}
