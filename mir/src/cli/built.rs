//! What was built, so that `mir clean` removes that and nothing else.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::{Failed, report};
use crate::output;

/// The list, in the folder for what is built: a name a line.
const LIST: &str = ".mir-built";

/// The longest list that is read.
const MOST: usize = 1 << 16;

/// Every name that there may be in a list.
pub(super) const NAMES: [&str; 6] = [
    "mir-www",
    "mir-www.xen",
    "www.xl",
    "www.libvirt.xml",
    "files.img",
    "pages.img",
];

/// Adds files to the list.
pub(super) fn add(dist: &Path, names: &[&str]) -> Result<(), Failed> {
    let refused = |error| Failed::say(format!("{}: {error}", dist.join(LIST).display()));
    let mut list = read(dist).map_err(refused)?;
    list.extend(NAMES.into_iter().filter(|name| names.contains(name)));
    let lines: String = list.iter().map(|name| format!("{name}\n")).collect();
    output::write(&dist.join(LIST), &[lines.as_bytes()], false).map_err(refused)
}

/// The names in the list that may be there: it may have been changed by whomever.
fn read(dist: &Path) -> io::Result<BTreeSet<&'static str>> {
    let text = match std::fs::read(dist.join(LIST)) {
        Ok(bytes) => String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let names = NAMES
        .into_iter()
        .filter(|name| text.lines().any(|line| line == *name));
    Ok(names.collect())
}

/// Removes what was built, and the folder if nothing else is in it.
pub(super) fn clean(dist: &Path) -> Result<(), Failed> {
    let shown = dist.display();
    let refused = |path: &Path, error| Failed::say(format!("{}: {error}", path.display()));
    let list = read(dist).map_err(|error| refused(&dist.join(LIST), error))?;
    let mut removed = Vec::new();
    for name in list.iter().copied().chain([LIST]) {
        let path = dist.join(name);
        match std::fs::remove_file(&path) {
            Ok(()) if name == LIST => {}
            Ok(()) => removed.push(name),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(&path, error)),
        }
    }
    // What else is in it is not ours.
    let left = std::fs::remove_dir(dist).is_err() && dist.exists();
    match (removed.is_empty(), left) {
        (true, _) => report(format_args!("{shown}: nothing that mir build made")),
        (false, true) => report(format_args!("{shown}: removed {}", removed.join(", "))),
        (false, false) => report(format_args!(
            "{shown}: removed, with {}",
            removed.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_built_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let dist = folder.path().join("dist");
        let put = |name: &str| std::fs::write(dist.join(name), "x").unwrap();
        std::fs::create_dir(&dist).unwrap();
        std::fs::write(folder.path().join("outside"), "x").unwrap();
        for name in ["mir-www", "www.xl", "mine", "pages.img"] {
            put(name);
        }
        assert!(add(&dist, &["mir-www"]).is_ok());
        assert!(add(&dist, &["www.xl"]).is_ok());
        // Whoever else writes to the list cannot have anything removed.
        let list = "mir-www\nwww.xl\n../outside\nmine\n\0\n/\n..\n";
        std::fs::write(dist.join(LIST), list).unwrap();
        assert!(clean(&dist).is_ok());
        let mut left: Vec<_> = std::fs::read_dir(&dist)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["mine", "pages.img"]);
        assert!(folder.path().join("outside").exists());
        std::fs::remove_file(dist.join("mine")).unwrap();
        assert!(add(&dist, &["pages.img"]).is_ok());
        assert!(clean(&dist).is_ok());
        assert!(!dist.exists());
    }
}
