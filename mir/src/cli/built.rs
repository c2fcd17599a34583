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
