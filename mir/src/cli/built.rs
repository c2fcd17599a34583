//! What is built comes all at once, and `mir clean` removes that and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Failed, note, report};
use crate::{input, output};

/// The list, in the folder for what is built: a name a line, with a digest where people may change
/// the file; and `.` if the folder was made for it.
const LIST: &str = ".mir-built";

/// What folders are called in which there is what is not yet all there.
const NEW: &str = ".mir-new-";

/// Every name that there may be in a list.
pub(super) const NAMES: [&str; 6] = [
    "files.img",
    "pages.img",
    "mir-www",
    "mir-www.xen",
    "www.xl",
    "www.libvirt.xml",
];

/// Those that people are invited to change.
const CHANGEABLE: [&str; 2] = ["www.xl", "www.libvirt.xml"];

/// What was built. It may have been written by whomever, so nothing but known names is in it.
#[derive(Default)]
struct Built {
    /// Whether the folder was made for it.
    folder: bool,
    names: BTreeMap<&'static str, Option<String>>,
}

/// What is being built: in a folder of its own, until all of it is there.
pub(super) struct Stage {
    // Dropped in this order: what is in it, the folder, the lock.
    new: Option<TempDir>,
    folder: Folder,
    _lock: Option<File>,
}

/// The folder for what is built.
struct Folder {
    path: PathBuf,
    made: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If there is something in it, it is wanted, and this does nothing.
        if self.made {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

impl Stage {
    /// Makes room in the folder for what is built, as soon as nobody else builds there.
    pub(super) fn new(dist: &Path) -> Result<Self, Failed> {
        let refused = |error| wrong(dist, error);
        let made = dist.symlink_metadata().is_err();
        if !made && !dist.is_dir() {
            return Err(
                Failed::say(format!("{}: this is not a folder", dist.display()))
                    .help("--dist DIR names one for what is built"),
            );
        }
        fs::create_dir_all(dist).map_err(refused)?;
        let path = dist.to_owned();
        let folder = Folder { path, made };
        let lock = lock(dist).map_err(refused)?;
        left_over(dist);
        let new = tempfile::Builder::new()
            .prefix(NEW)
            .permissions(mode(0o777))
            .tempdir_in(dist);
        Ok(Self {
            new: Some(new.map_err(|error| refused(error.kind().into()))?),
            folder,
            _lock: lock,
        })
    }

    /// Where it is until it is all there.
    pub(super) fn place(&self) -> &Path {
        let new = self.new.as_ref().map(TempDir::path);
        new.unwrap_or(&self.folder.path)
    }

    pub(super) fn write(
        &self,
        name: &str,
        parts: &[&[u8]],
        executable: bool,
    ) -> Result<(), Failed> {
        let written = output::write(&self.place().join(name), parts, executable);
        written.map_err(|error| wrong(&self.folder.path.join(name), error))
    }

    /// Everything is there: it gets its names.
    pub(super) fn finish(mut self, names: &[&str]) -> Result<(), Failed> {
        let Some(new) = self.new.take() else {
            return Ok(());
        };
        let dist = &self.folder.path;
        let mut built = Built::read(dist).map_err(|error| wrong(&dist.join(LIST), error))?;
        built.folder |= self.folder.made;
        let names = || NAMES.into_iter().filter(|name| names.contains(name));
        let mut paths = names().map(|name| dist.join(name));
        if let Some(path) = paths.find(|path| path.is_dir() && !path.is_symlink()) {
            return Err(Failed::say(format!("{}: this is a folder", path.display())));
        }
        for name in names() {
            let path = dist.join(name);
            built.keep(dist, name)?;
            let digest = digest(&new.path().join(name)).map_err(|error| wrong(&path, error))?;
            let digest = Some(digest).filter(|_| CHANGEABLE.contains(&name));
            built.names.insert(name, digest);
        }
        // First the list: whatever happens then, `mir clean` knows what may be there.
        built
            .write(dist)
            .map_err(|error| wrong(&dist.join(LIST), error))?;
        self.folder.made = false;
        for name in names() {
            let path = dist.join(name);
            fs::rename(new.path().join(name), &path).map_err(|error| wrong(&path, error))?;
        }
        Ok(())
    }
}

fn wrong(path: &Path, error: io::Error) -> Failed {
    Failed::say(format!("{}: {error}", path.display()))
}

#[cfg(unix)]
fn mode(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// Waits until nobody else builds there. Some file systems know no locks.
fn lock(dist: &Path) -> io::Result<Option<File>> {
    let folder = File::open(dist)?;
    let locked = match folder.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let dist = dist.display();
            note(format_args!(
                "{dist}: another mir is at work there: waiting"
            ));
            folder.lock()
        }
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(()),
    };
    Ok(locked.is_ok().then_some(folder))
}

/// Removes what was left by whoever was ended in the middle. The lock says that it is nobody's.
fn left_over(dist: &Path) {
    let entries = fs::read_dir(dist).into_iter().flatten().flatten();
    for entry in entries {
        let ours = entry.file_name().to_string_lossy().starts_with(NEW);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let known = NAMES.iter().map(|name| entry.path().join(name));
            known.for_each(|path| drop(fs::remove_file(path)));
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// That of a file, as far as people change such a file.
fn digest(path: &Path) -> io::Result<String> {
    let named = path.file_name().is_some_and(|name| {
        let known = CHANGEABLE.iter();
        known.clone().any(|known| name == *known)
    });
    if !named {
        return Ok(String::new());
    }
    let digest = Sha256::digest(input::read(path, input::TEXT)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Built {
    fn read(dist: &Path) -> io::Result<Self> {
        let bytes = match input::read(&dist.join(LIST), input::TEXT) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut built = Self::default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let mut words = line.split(' ');
            let (name, digest) = (words.next().unwrap_or_default(), words.next());
            built.folder |= line == ".";
            if let Some(known) = NAMES.iter().find(|known| **known == name) {
                built.names.insert(known, digest.map(str::to_owned));
            }
        }
        Ok(built)
    }

    fn write(&self, dist: &Path) -> io::Result<()> {
        let mut text = String::from(if self.folder { ".\n" } else { "" });
        for (name, digest) in &self.names {
            let words: Vec<_> = [*name].into_iter().chain(digest.as_deref()).collect();
            text.push_str(&words.join(" "));
            text.push('\n');
        }
        output::write(&dist.join(LIST), &[text.as_bytes()], false)
    }

    /// Whether somebody has changed this file since it was built.
    fn changed(&self, dist: &Path, name: &str) -> bool {
        let then = self.names.get(name).and_then(Option::as_ref);
        then.is_some_and(|then| digest(&dist.join(name)).is_ok_and(|now| now != *then))
    }

    /// Keeps what somebody has changed under another name.
    fn keep(&self, dist: &Path, name: &str) -> Result<(), Failed> {
        if self.changed(dist, name) {
            let path = dist.join(name);
            let old = dist.join(format!("{name}.old"));
            fs::rename(&path, &old).map_err(|error| wrong(&old, error))?;
            let (path, old) = (path.display(), old.display());
            note(format_args!(
                "{path} was changed by hand: that is now {old}"
            ));
        }
        Ok(())
    }
}

/// Removes what was built, and the folder if it was made for that and nothing else is in it.
pub(super) fn clean(dist: &Path) -> Result<(), Failed> {
    let shown = dist.display();
    let nothing = || report(format_args!("{shown}: nothing that mir build made"));
    if !dist.is_dir() {
        return nothing();
    }
    let _lock = lock(dist).map_err(|error| wrong(dist, error))?;
    left_over(dist);
    let built = Built::read(dist).map_err(|error| wrong(&dist.join(LIST), error))?;
    let mut removed = Vec::new();
    for name in built.names.keys().copied().chain([LIST]) {
        let path = dist.join(name);
        if built.changed(dist, name) {
            let path = path.display();
            note(format_args!("{path} was changed by hand, and stays"));
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) if name == LIST => {}
            Ok(()) => removed.push(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(wrong(&path, error)),
        }
    }
    // What else is in it is not ours.
    let gone = built.folder && fs::remove_dir(dist).is_ok();
    match (removed.is_empty(), gone) {
        (true, _) => nothing(),
        (false, false) => report(format_args!("{shown}: removed {}", removed.join(", "))),
        (false, true) => report(format_args!(
            "{shown}: removed, with {}",
            removed.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(dist: &Path, files: &[(&str, &str)]) -> bool {
        let Ok(stage) = Stage::new(dist) else {
            return false;
        };
        let written = files
            .iter()
            .all(|(name, text)| stage.write(name, &[text.as_bytes()], false).is_ok());
        let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
        written && stage.finish(&names).is_ok()
    }

    fn names(dist: &Path) -> Vec<String> {
        let entries = fs::read_dir(dist).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_was_built_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        fs::create_dir(&dist).unwrap();
        fs::write(folder.path().join("outside"), "x").unwrap();
        fs::write(dist.join("mine"), "x").unwrap();
        fs::write(dist.join("pages.img"), "x").unwrap();
        assert!(build(&dist, &[("mir-www", "x")]));
        assert!(build(&dist, &[("www.xl", "x")]));
        // Whoever else writes to the list cannot have anything removed.
        let mut list = fs::read_to_string(dist.join(LIST)).unwrap();
        list.push_str("../outside\nmine\n\0\n/\n..\n");
        fs::write(dist.join(LIST), list).unwrap();
        assert!(clean(&dist).is_ok());
        assert_eq!(names(&dist), ["mine", "pages.img"]);
        assert!(folder.path().join("outside").exists());
        fs::remove_file(dist.join("mine")).unwrap();
        // A folder that somebody made stays, empty or not.
        assert!(build(&dist, &[("pages.img", "x")]) && clean(&dist).is_ok());
        assert_eq!(names(&dist), [""; 0]);
        assert!(clean(&dist).is_ok() && dist.exists());
        fs::remove_dir(&dist).unwrap();
        assert!(build(&dist, &[("pages.img", "x")]) && build(&dist, &[("mir-www", "x")]));
        assert!(clean(&dist).is_ok() && !dist.exists());
        assert!(clean(&dist).is_ok() && !dist.exists());
    }

    #[test]
    fn what_was_changed_by_hand_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path();
        assert!(build(dist, &[("www.xl", "one"), ("mir-www.xen", "x")]));
        assert!(build(dist, &[("www.xl", "two"), ("mir-www.xen", "y")]));
        fs::write(dist.join("www.xl"), "mine").unwrap();
        assert!(build(dist, &[("www.xl", "three"), ("mir-www.xen", "z")]));
        let text = |name: &str| fs::read_to_string(dist.join(name)).unwrap();
        assert_eq!((&*text("www.xl"), &*text("www.xl.old")), ("three", "mine"));
        fs::write(dist.join("www.xl"), "mine again").unwrap();
        assert!(clean(dist).is_ok());
        assert_eq!(names(dist), ["www.xl", "www.xl.old"]);
        assert_eq!(text("www.xl"), "mine again");
    }

    #[test]
    fn it_comes_all_at_once_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        let stage = Stage::new(&dist).ok().unwrap();
        assert!(stage.write("mir-www", &[b"x"], true).is_ok());
        assert!(!dist.join("mir-www").exists());
        drop(stage);
        assert!(!dist.exists());
        // As if somebody had ended us in the middle.
        let stage = Stage::new(&dist).ok().unwrap();
        assert!(stage.write("mir-www", &[b"x"], true).is_ok());
        std::mem::forget(stage.new.unwrap().keep());
        assert_eq!(names(&dist).len(), 1);
        drop((stage.folder, stage._lock));
        assert!(build(&dist, &[("www.xl", "one")]));
        assert_eq!(names(&dist), [LIST, "www.xl"]);
        fs::create_dir_all(dist.join("mir-www.xen")).unwrap();
        assert!(!build(&dist, &[("www.xl", "two"), ("mir-www.xen", "x")]));
        assert_eq!(fs::read_to_string(dist.join("www.xl")).unwrap(), "one");
        assert_eq!(names(&dist), [LIST, "mir-www.xen", "www.xl"]);
    }

    #[test]
    fn one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path();
        let stage = Stage::new(dist).ok().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(build(dist, &[("mir-www", "second")]));
                tell.send(()).unwrap();
            });
            assert!(stage.write("mir-www", &[b"first"], true).is_ok());
            assert!(told.try_recv().is_err());
            assert!(stage.finish(&["mir-www"]).is_ok());
            told.recv().unwrap();
        });
        assert_eq!(names(dist), [LIST, "mir-www"]);
        assert_eq!(fs::read_to_string(dist.join("mir-www")).unwrap(), "second");
    }
}
