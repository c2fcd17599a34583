//! A site's two images, each as large as FAT needs it and a little larger.

use std::collections::BTreeMap;

use www::pack::{NewFile, NewVolume};

use super::boot::{Boot, Kind, SLOT};
use super::edit::{EditError, Editor, Serial, Times};
use super::format::{LayoutError, Wanted, layout_for};
use super::gather::{Item, Source};
use super::name::Shorts;
use super::record::PIECE;

/// The largest sectors of devices: of one that is not whole at the end of an image nothing is seen.
const DEVICE_SECTOR: u64 = 4096;

/// Slots that are left free in the root directory of FAT12 and FAT16.
const FREE_SLOTS: u32 = 64;

/// Bytes that an image leaves free: a 32nd of what is in it, 64 KiB at least.
pub fn free_for(volume: &NewVolume) -> u64 {
    let bytes: u64 = files(volume).map(|file| file.body.len() as u64).sum();
    (bytes / 32).max(64 << 10)
}

/// Why a site's image cannot be made.
#[derive(Debug)]
pub enum SiteError {
    /// There is no such layout.
    Layout(LayoutError),
    /// Its files cannot be put into it.
    Edit(EditError),
}

impl std::fmt::Display for SiteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layout(why) => write!(f, "{why}"),
            Self::Edit(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for SiteError {}

/// Plans an image with all files of a volume, the manifest included, and at least `free` bytes in
/// free clusters. Files keep their times; the serial number comes from the content.
pub fn image(volume: NewVolume, wanted: &Wanted, free: u64) -> Result<Editor, SiteError> {
    let boot = layout(&volume, wanted, free).map_err(SiteError::Layout)?;
    let mut editor = Editor::create(boot, Times::Real, newest(&volume));
    editor.set_serial(Serial::Content);
    editor.set_unit(DEVICE_SECTOR);
    editor.add(items(volume)).map_err(SiteError::Edit)?;
    editor.check_space().map_err(SiteError::Edit)?;
    Ok(editor)
}

/// The smallest layout for a volume.
pub fn layout(volume: &NewVolume, wanted: &Wanted, free: u64) -> Result<Boot, LayoutError> {
    let folders = folders(volume);
    let root = folders.get("").copied().unwrap_or(0) + u64::from(wanted.label.is_some());
    let spare = if free == 0 { 0 } else { FREE_SLOTS };
    let wanted = Wanted {
        root_slots: u32::try_from(root).unwrap_or(u32::MAX - spare) + spare,
        ..*wanted
    };
    if root > super::problem::MAX_SLOTS as u64 - 1 - u64::from(spare) {
        return Err(LayoutError::TooLarge);
    }
    let clusters = |kind: Kind, size: u32| {
        let size = u64::from(size);
        let slots = |slots: u64| (slots * u64::from(SLOT)).div_ceil(size).max(1);
        // `.` and `..` are in all folders but the root, which FAT12 and FAT16 have apart.
        let inner = folders.iter().filter(|(path, _)| !path.is_empty());
        let inner: u64 = inner.map(|(_, count)| slots(count + 2)).sum();
        let root = if kind == Kind::Fat32 { slots(root) } else { 0 };
        let bodies = files(volume).map(|file| (file.body.len() as u64).div_ceil(size));
        root + inner + bodies.sum::<u64>() + free.div_ceil(size)
    };
    let bytes: u64 = files(volume).map(|file| file.body.len() as u64).sum();
    layout_for(clusters, bytes + free, &wanted)
}

fn files(volume: &NewVolume) -> impl Iterator<Item = &NewFile> {
    volume.files.iter().chain([&volume.manifest])
}

/// All folders by their paths, the root's is empty, and how many slots what is in them takes.
fn folders(volume: &NewVolume) -> BTreeMap<&str, u64> {
    let mut folders = BTreeMap::from([("", 0)]);
    for file in files(volume) {
        let mut path = file.name.as_str();
        loop {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            let known = folders.contains_key(above);
            *folders.entry(above).or_default() += slots(name);
            // A folder that is known has been counted in the one above it.
            if known {
                break;
            }
            path = above;
        }
    }
    folders
}

/// Slots that a name takes in its folder.
fn slots(name: &str) -> u64 {
    match Shorts::exact(name) {
        Some(_) => 1,
        None => 1 + name.encode_utf16().count().div_ceil(PIECE) as u64,
    }
}

/// When anything was last written: the manifest is as young as the youngest file.
fn newest(volume: &NewVolume) -> i64 {
    volume.manifest.modified.unwrap_or(0) as i64
}

/// The files and their folders, as young as the manifest, each folder before what is in it.
fn items(volume: NewVolume) -> Vec<Item> {
    let newest = newest(&volume);
    let mut items = BTreeMap::new();
    for file in volume.files.into_iter().chain([volume.manifest]) {
        let path: Vec<String> = file.name.split('/').map(str::to_owned).collect();
        for end in 1..path.len() {
            let path = path[..end].to_vec();
            items.entry(path.clone()).or_insert_with(|| Item {
                path,
                source: None,
                modified: newest,
            });
        }
        let item = Item {
            path: path.clone(),
            source: Some(Source::Bytes(file.body)),
            modified: file.modified.unwrap_or(0) as i64,
        };
        items.insert(path, item);
    }
    items.into_values().collect()
}
