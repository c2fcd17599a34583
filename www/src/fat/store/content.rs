//! One volume as a part of a site: what its manifest says, and what else is there.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;

use super::answer::FatAnswer;
use super::errors::Errors;
use super::plain::{Hashes, Plain};
use crate::encoding::{Accept, Encoding};
use crate::fat::{File, Limits, MountError, ReadError, Volume, index};
use crate::media;
use crate::pack::names::{self, Part};
use crate::pack::{self, Body, Manifest, PackError};
use crate::seam::Clock;
use crate::sectors::{Sectors, SectorsError};
use crate::store::StoreError;
use crate::turn::pass;

/// The page for missing paths on a volume without a manifest.
const MISSING: &str = "404.html";

/// Files that are looked for before others get their turn.
const PLACES_A_TURN: usize = 1024;

/// A mounted volume.
pub(super) struct Content<S: Sectors + 'static> {
    part: Part,
    pub(super) volume: Rc<Volume<S>>,
    pub(super) manifest: Option<Manifest>,
    /// Where the bodies of the manifest's variants are, in their order.
    bodies: Vec<Place>,
    /// The numbers of the files that are the manifest's, itself included, sorted.
    listed: Vec<u32>,
    pub(super) hashes: Hashes,
    pub(super) errors: Rc<Errors>,
    pub(super) clock: Rc<dyn Clock>,
}

/// Where a body is that a manifest speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the manifest.
    Here,
    /// In this file, as the manifest has it.
    File(File),
    /// In this file, which is not as the manifest has it.
    Other(File),
    /// In a file that cannot be read, or perhaps in a directory that cannot.
    Broken,
    /// The file is not there.
    Gone,
}

/// What there is at a path.
pub(super) enum Found<S: Sectors + 'static> {
    Nothing,
    Answer(FatAnswer<S>),
    /// A file of which no manifest speaks.
    Plain(Plain<S>),
    NotAcceptable,
    Failed(StoreError),
}

impl<S: Sectors + 'static> Content<S> {
    /// Reads the manifest, if there is one, and looks for the files that it speaks of. One that
    /// is no manifest is logged, and the volume served without it.
    pub(super) async fn load(
        part: Part,
        volume: Volume<S>,
        limits: &Limits,
        errors: &Rc<Errors>,
        clock: &Rc<dyn Clock>,
    ) -> Result<Self, MountError> {
        let mut content = Self {
            part,
            volume: Rc::new(volume),
            manifest: None,
            bodies: Vec::new(),
            listed: Vec::new(),
            hashes: Hashes::default(),
            errors: errors.clone(),
            clock: clock.clone(),
        };
        let found = content.volume.find(names::MANIFEST.as_bytes());
        let Some(file) = found.and_then(|entry| entry.file()) else {
            return Ok(content);
        };
        let why = match content.read(file, limits).await {
            Ok(manifest) => {
                content.places(file, manifest).await?;
                return Ok(content);
            }
            Err(why) => why,
        };
        match why {
            Unread::Device(error) => return Err(error),
            Unread::Large => log_unread(part, &"it is larger than is allowed"),
            Unread::Broken => log_unread(part, &"it is broken on the volume"),
            Unread::Pack(error) => log_unread(part, &error),
        }
        // Nobody wants to see it.
        content.listed = list([file.number].into_iter())?;
        Ok(content)
    }

    async fn read(&self, file: File, limits: &Limits) -> Result<Manifest, Unread> {
        let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
        let left = limits.memory.saturating_sub(self.volume.memory());
        if size > left {
            return Err(Unread::Large);
        }
        let mut bytes = Vec::new();
        let room = bytes.try_reserve_exact(size);
        room.map_err(|_| Unread::Device(MountError::OutOfMemory))?;
        let mut reader = self.volume.open(file);
        loop {
            match reader.chunk().await {
                Ok(Some(chunk)) if chunk.len() <= bytes.capacity() - bytes.len() => {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Err(Unread::Broken),
                Ok(None) => break,
                Err(error) => return Err(Unread::of(error)),
            }
        }
        drop(reader);
        Manifest::load(bytes).map_err(Unread::Pack)
    }

    /// Finds the files that the manifest speaks of.
    async fn places(&mut self, file: File, manifest: Manifest) -> Result<(), MountError> {
        let pack = manifest.pack();
        let variants = pack.variants();
        let mut bodies = Vec::new();
        let room = bodies.try_reserve_exact(variants.len());
        room.map_err(|_| MountError::OutOfMemory)?;
        // Make's rule: what is younger than what was made of it is something else.
        let made = file.modified().unwrap_or(u64::MAX);
        for (at, variant) in variants.enumerate() {
            if at % PLACES_A_TURN == PLACES_A_TURN - 1 {
                pass().await;
            }
            bodies.push(self.find(variant.body, made));
        }
        let files = bodies.iter().filter_map(|place| match place {
            Place::File(file) | Place::Other(file) => Some(file.number),
            Place::Here | Place::Broken | Place::Gone => None,
        });
        self.listed = list(files.chain([file.number]))?;
        self.bodies = bodies;
        self.manifest = Some(manifest);
        Ok(())
    }

    /// Where a body is; its file is to be as old as `made` or older.
    fn find(&self, body: Body<'_>, made: u64) -> Place {
        let Body::File { name, len } = body else {
            return Place::Here;
        };
        let Some(entry) = self.volume.find(name.as_bytes()) else {
            return Place::Gone;
        };
        match entry.file() {
            None if entry.is_broken() => Place::Broken,
            None => Place::Gone,
            Some(file) if file.is_broken() => Place::Broken,
            Some(file) => {
                let old = file.modified().is_none_or(|at| at <= made);
                if old && file.size() == u64::from(len) {
                    Place::File(file)
                } else {
                    Place::Other(file)
                }
            }
        }
    }

    /// What the manifest has at a path.
    pub(super) fn listed(self: &Rc<Self>, path: &[u8], accept: Accept) -> Found<S> {
        let pack = self.manifest.as_ref().map(Manifest::pack);
        match pack.and_then(|pack| pack.find(path)) {
            Some(entry) => self.entry(&entry, accept),
            None => Found::Nothing,
        }
    }

    /// The manifest's page for missing paths.
    pub(super) fn listed_missing(self: &Rc<Self>, accept: Accept) -> Found<S> {
        let pack = self.manifest.as_ref().map(Manifest::pack);
        match pack.and_then(|pack| pack.not_found()) {
            Some(entry) => self.entry(&entry, accept),
            None => Found::Nothing,
        }
    }

    fn entry(self: &Rc<Self>, entry: &pack::Entry<'_>, accept: Accept) -> Found<S> {
        let first = entry.first();
        match self.place(first) {
            Place::Here | Place::File(_) => {}
            Place::Other(file) => return self.changed(entry, file),
            Place::Broken => {
                let name = entry.variants().next().map(|variant| variant.body);
                if let Some(Body::File { name, .. }) = name {
                    self.errors
                        .report(&format_args!("/{name}"), &ReadError::Broken);
                }
                return Found::Failed(StoreError::Failed);
            }
            Place::Gone => return Found::Nothing,
        }
        // A redirect has no content that could be encoded.
        let accept = match entry.status() / 100 {
            3 => Accept::IDENTITY,
            _ => accept,
        };
        // An encoding that is not as it was is one that there is not.
        let usable = |index| matches!(self.place(index), Place::Here | Place::File(_));
        match entry.pick_where(accept, usable) {
            Some(variant) => {
                let file = match self.place(variant) {
                    Place::File(file) => Some(file),
                    _ => None,
                };
                let (status, modified) = (entry.status(), entry.modified());
                Found::Answer(FatAnswer::listed(self, variant, file, status, modified))
            }
            None => Found::NotAcceptable,
        }
    }

    /// An entry whose file has changed since: it is served by what it is now.
    fn changed(self: &Rc<Self>, entry: &pack::Entry<'_>, file: File) -> Found<S> {
        let mut encoded = [None; 2];
        for (index, variant) in (entry.first()..).zip(entry.variants()) {
            if let (Place::File(file) | Place::Other(file), Some(at)) =
                (self.place(index), encoded_at(variant.encoding))
            {
                encoded[at] = Some(file);
            }
        }
        let media_type = entry.media_type();
        let known = media::known(media_type);
        Found::Plain(Plain::new(self, file, encoded, known, entry.status()))
    }

    fn place(&self, variant: u32) -> Place {
        let place = self.bodies.get(variant as usize);
        place.copied().unwrap_or(Place::Gone)
    }

    /// What there is at a path by the names of files alone.
    pub(super) fn named(self: &Rc<Self>, path: &[u8]) -> Found<S> {
        let path = core::str::from_utf8(path).ok();
        let Some(path) = path.filter(|path| pack::is_canonical(path)) else {
            return Found::Nothing;
        };
        if !crate::cache::heap_has(2 * pack::MAX_PATH + 64) {
            return Found::Failed(StoreError::OutOfMemory);
        }
        for name in names::candidates(self.part, path).into_iter().flatten() {
            if name == MISSING && self.part == Part::Pages {
                continue;
            }
            match self.file(&name) {
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }

    /// The page for missing paths, by its name.
    pub(super) fn named_missing(self: &Rc<Self>) -> Found<S> {
        match self.file(MISSING) {
            Found::Plain(plain) => Found::Plain(plain.with_status(404)),
            _ => Found::Nothing,
        }
    }

    /// A file of which the manifest does not speak.
    fn file(self: &Rc<Self>, name: &str) -> Found<S> {
        let Some(entry) = self.volume.find(name.as_bytes()) else {
            return Found::Nothing;
        };
        let file = match entry.file() {
            Some(file) if self.is_listed(&file) => return Found::Nothing,
            Some(file) if !file.is_broken() => file,
            None if !entry.is_broken() => return Found::Nothing,
            _ => {
                self.errors.report(&entry.path(), &ReadError::Broken);
                return Found::Failed(StoreError::Failed);
            }
        };
        let encoded = [Encoding::Gzip, Encoding::Br].map(|encoding| {
            let name = alloc::format!("{name}{}", names::suffix(encoding));
            let file = self.volume.find(name.as_bytes())?.file()?;
            (!self.is_listed(&file)).then_some(file)
        });
        Found::Plain(Plain::new(self, file, encoded, media::of(name), 200))
    }

    fn is_listed(&self, file: &File) -> bool {
        self.listed.binary_search(&file.number).is_ok()
    }

    /// Says that a file could not be read, and what this means for who asked.
    pub(super) fn failed(&self, file: File, error: ReadError) -> StoreError {
        self.errors.report(&Named(self, file), &error);
        match error {
            ReadError::Away => StoreError::Away,
            ReadError::OutOfMemory => StoreError::OutOfMemory,
            ReadError::Broken | ReadError::Failed { .. } | ReadError::OutOfRange { .. } => {
                StoreError::Failed
            }
        }
    }

    /// Logs what was mounted, and what is wrong with it.
    pub(super) fn log(&self, most: usize) {
        let part = self.part.name();
        log::info!(target: "fat", "{part}: {self}");
        for problem in self.volume.problems().take(most) {
            log::warn!(target: "fat", "{part}: {problem}");
        }
        let all = self.volume.problems().len() + self.volume.more_problems();
        if let Some(more @ 1..) = all.checked_sub(most) {
            log::warn!(target: "fat", "{part}: {more} more problems");
        }
        let stale = |place: &&Place| matches!(place, Place::Other(_) | Place::Gone);
        match self.bodies.iter().filter(stale).count() {
            0 => {}
            n => log::warn!(
                target: "fat",
                "{part}: {n} files changed after the manifest was made; they are served as they are"
            ),
        }
    }
}

impl<S: Sectors + 'static> fmt::Display for Content<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let geometry = self.volume.geometry();
        let entries = self.volume.entries().len();
        write!(f, "{} with {entries} files and folders, ", geometry.kind)?;
        match &self.manifest {
            Some(manifest) => write!(
                f,
                "{} paths in its manifest",
                manifest.pack().entries().len()
            ),
            None => f.write_str("no manifest"),
        }
    }
}

/// The path of a file on its volume. It is looked for only to be shown.
struct Named<'a, S: Sectors + 'static>(&'a Content<S>, File);

impl<S: Sectors + 'static> fmt::Display for Named<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.0.volume.entries();
        match entries.find(|entry| entry.file() == Some(self.1)) {
            Some(entry) => entry.path().fmt(f),
            None => f.write_str("a file"),
        }
    }
}

/// The place of an encoding among those that are encoded.
pub(super) fn encoded_at(encoding: Encoding) -> Option<usize> {
    (encoding as usize).checked_sub(1)
}

/// Why there is no manifest though there is a file of its name.
enum Unread {
    Device(MountError),
    Large,
    Broken,
    Pack(PackError),
}

impl Unread {
    fn of(error: ReadError) -> Self {
        let device = |at, error| Self::Device(MountError::Device { at, error });
        match error {
            ReadError::Broken => Self::Broken,
            ReadError::Failed { at, .. } => device(at, SectorsError::Failed),
            ReadError::OutOfRange { at, .. } => device(at, SectorsError::OutOfRange),
            ReadError::Away => device(0, SectorsError::Away),
            ReadError::OutOfMemory => Self::Device(MountError::OutOfMemory),
        }
    }
}

fn log_unread(part: Part, why: &dyn fmt::Display) {
    let (part, name) = (part.name(), names::MANIFEST);
    log::error!(target: "fat", "{part}: /{name}: {why}; files are served by their names");
}

/// Numbers, sorted.
fn list(numbers: impl Iterator<Item = u32>) -> Result<Vec<u32>, MountError> {
    let mut all = Vec::new();
    for number in numbers {
        all.try_reserve(1).map_err(|_| MountError::OutOfMemory)?;
        all.push(number);
    }
    index::sort(&mut all, |one, other| one < other);
    Ok(all)
}
