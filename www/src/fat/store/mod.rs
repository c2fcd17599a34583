//! A site on two FAT volumes, one with the static files and one with the rendered pages.
//!
//! What it promises: what a manifest speaks of is answered as the pack of the same site answers,
//! byte for byte. Other files are served under their names. What is broken on a volume costs the
//! paths that it is about, and no others. A part that is away answers 503 for what the other part
//! does not have, since nobody can say that it is not there. Volumes come and go while answers are
//! under way: an answer keeps its volume for as long as it takes.
//!
//! It may be told lies by everything on the volumes, the manifests included.

mod answer;
mod content;
mod errors;
mod plain;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use super::{Limits, MountError, Volume};
use crate::cache::{Cache, heap_has};
use crate::encoding::Accept;
use crate::pack::names::Part;
use crate::seam::Clock;
use crate::sectors::Sectors;
use crate::store::{Lookup, Store, StoreError};

pub use answer::{FatAnswer, FatChunk};
use content::{Content, Found};
use errors::Errors;

/// Problems of a volume that are logged one by one.
const PROBLEMS_LOGGED: usize = 20;

/// Memory that has to be free for an answer of which no manifest speaks: for names, heads and the
/// hash of its content.
const FOR_PLAIN: usize = 16 << 10;

/// A site on FAT volumes. Cloning it gives another handle to the same site.
pub struct FatStore<S: Sectors + 'static>(Rc<Inner<S>>);

struct Inner<S: Sectors + 'static> {
    cache: Rc<Cache>,
    clock: Rc<dyn Clock>,
    parts: [Slot<S>; 2],
}

/// Where the volume of one part is put.
struct Slot<S: Sectors + 'static> {
    state: RefCell<State<S>>,
    /// Counts what was begun, and says which of these the state is from: a mount that took long
    /// is not wanted any more if the state is from something later.
    begun: Cell<u64>,
    shown: Cell<u64>,
    errors: Rc<Errors>,
}

enum State<S: Sectors + 'static> {
    /// The site has no such part.
    Unused,
    /// It has one, which is not there.
    Away(String),
    Ready(Rc<Content<S>>),
}

/// Why a part is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartError {
    /// There is no volume that can be used.
    Mount(MountError),
    /// The part was given another volume, or taken away, in the meantime.
    Superseded,
}

impl fmt::Display for PartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mount(error) => error.fmt(f),
            Self::Superseded => f.write_str("it was taken away before it was ready"),
        }
    }
}

impl core::error::Error for PartError {}

impl<S: Sectors + 'static> Clone for FatStore<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Sectors + 'static> FatStore<S> {
    /// A site without parts, whose volumes are read through `cache`.
    pub fn new(cache: &Rc<Cache>, clock: impl Clock + 'static) -> Self {
        let clock: Rc<dyn Clock> = Rc::new(clock);
        let slot = |part| Slot {
            state: RefCell::new(State::Unused),
            begun: Cell::new(0),
            shown: Cell::new(0),
            errors: Rc::new(Errors::new(part, clock.clone())),
        };
        Self(Rc::new(Inner {
            cache: cache.clone(),
            parts: Part::ALL.map(slot),
            clock,
        }))
    }

    /// Says that the site has this part, and why it is not there: now, or as yet. Answers that
    /// are under way keep its volume until they end or fail.
    pub fn away(&self, part: Part, why: impl fmt::Display) {
        let slot = self.slot(part);
        slot.set(State::Away(why.to_string()), slot.begin());
    }

    /// Mounts a volume and makes it this part of the site, in the place of the one that was there.
    /// What cannot be used leaves the part away. All this is logged. Cancelling it changes
    /// nothing.
    pub async fn mount(&self, part: Part, sectors: S, limits: Limits) -> Result<(), PartError> {
        let slot = self.slot(part);
        let turn = slot.begin();
        let mounted = match Volume::mount(sectors, &self.0.cache, limits).await {
            Ok(volume) => Content::load(part, volume, &limits, &slot.errors, &self.0.clock).await,
            Err(error) => Err(error),
        };
        if slot.shown.get() > turn {
            return Err(PartError::Superseded);
        }
        match mounted {
            Ok(content) => {
                content.log(PROBLEMS_LOGGED);
                slot.set(State::Ready(Rc::new(content)), turn);
                Ok(())
            }
            Err(error) => {
                log::error!(target: "fat", "{}: {error}", part.name());
                slot.set(State::Away(error.to_string()), turn);
                Err(PartError::Mount(error))
            }
        }
    }

    /// Whether a volume is there for this part.
    pub fn is_ready(&self, part: Part) -> bool {
        self.ready(part).is_some()
    }

    /// The cache that volumes are read through.
    pub fn cache(&self) -> &Rc<Cache> {
        &self.0.cache
    }

    fn slot(&self, part: Part) -> &Slot<S> {
        &self.0.parts[part as usize]
    }

    fn ready(&self, part: Part) -> Option<Rc<Content<S>>> {
        match &*self.slot(part).state.borrow() {
            State::Ready(content) => Some(content.clone()),
            State::Unused | State::Away(_) => None,
        }
    }

    /// Asks both parts what they have, the manifests first.
    fn look(&self, asked: impl Fn(&Rc<Content<S>>, Source) -> Found<S>) -> Found<S> {
        let parts = Part::ALL.map(|part| self.ready(part));
        let mut failed = None;
        for source in [Source::Manifest, Source::Names] {
            for content in parts.iter().flatten() {
                match asked(content, source) {
                    Found::Nothing => {}
                    // Where a directory is broken, nobody knows what is in it: the other part may
                    // have it.
                    Found::Failed(error) if source == Source::Names => {
                        failed.get_or_insert(error);
                    }
                    found => return found,
                }
            }
        }
        failed.map_or(Found::Nothing, Found::Failed)
    }

    pub(crate) fn start_find(&self, path: &[u8], accept: Accept) -> Finding<S> {
        let found = self.look(|content, source| match source {
            Source::Manifest => content.listed(path, accept),
            Source::Names => content.named(path),
        });
        self.finish(found, accept)
    }

    pub(crate) fn start_not_found(&self, accept: Accept) -> Finding<S> {
        let found = self.look(|content, source| match source {
            Source::Manifest => content.listed_missing(accept),
            Source::Names => content.named_missing(),
        });
        self.finish(found, accept)
    }

    fn finish(&self, found: Found<S>, accept: Accept) -> Finding<S> {
        let result = match found {
            Found::Answer(answer) => Ok(Lookup::Found(answer)),
            Found::NotAcceptable => Ok(Lookup::NotAcceptable),
            Found::Failed(error) => Err(error),
            Found::Plain(plain) => {
                if heap_has(FOR_PLAIN) {
                    return Finding::Waiting(Box::pin(plain.answer(accept)));
                }
                Err(StoreError::OutOfMemory)
            }
            Found::Nothing => {
                let away = |slot: &Slot<S>| matches!(*slot.state.borrow(), State::Away(_));
                if self.0.parts.iter().any(away) {
                    Err(StoreError::Away)
                } else {
                    Ok(Lookup::Missing)
                }
            }
        };
        Finding::Ready(result)
    }
}

/// A look-up that was begun. What has to be waited for is on the heap, so that connections that
/// never ask for it need no room for it.
pub(crate) enum Finding<S: Sectors + 'static> {
    Ready(FindResult<S>),
    Waiting(Waiting<S>),
}

pub(crate) type Waiting<S> = Pin<Box<dyn Future<Output = FindResult<S>>>>;
type FindResult<S> = Result<Lookup<FatAnswer<S>>, StoreError>;

impl<S: Sectors + 'static> Finding<S> {
    async fn done(self) -> FindResult<S> {
        match self {
            Self::Ready(result) => result,
            Self::Waiting(waiting) => waiting.await,
        }
    }
}

/// What says that there is something at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Manifest,
    Names,
}

impl<S: Sectors + 'static> Slot<S> {
    /// The number of what begins now.
    fn begin(&self) -> u64 {
        self.begun.set(self.begun.get() + 1);
        self.begun.get()
    }

    fn set(&self, state: State<S>, turn: u64) {
        self.shown.set(turn);
        // Dropped after the borrow: it may be a whole volume.
        let before = self.state.replace(state);
        drop(before);
    }
}

impl<S: Sectors + 'static> Store for FatStore<S> {
    type Answer<'s> = FatAnswer<S>;

    fn find(&self, path: &[u8], accept: Accept) -> impl Future<Output = FindResult<S>> {
        self.start_find(path, accept).done()
    }

    fn not_found(&self, accept: Accept) -> impl Future<Output = FindResult<S>> {
        self.start_not_found(accept).done()
    }

    fn report(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; {self}")
    }
}

/// The state of the parts and what the cache did, in one line.
impl<S: Sectors + 'static> fmt::Display for FatStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in Part::ALL {
            let slot = self.slot(part);
            write!(f, "{} ", part.name())?;
            match &*slot.state.borrow() {
                State::Unused => f.write_str("unused")?,
                State::Away(why) => write!(f, "away ({why})")?,
                State::Ready(content) => content.fmt(f)?,
            }
            write!(f, ", {} errors; ", slot.errors.count())?;
        }
        let cache = self.0.cache.counters();
        write!(
            f,
            "cache: {} hits, {} misses, {} bytes in {} reads, {} failed; {} of {} blocks, {} held, \
             {} evicted, {} refused",
            cache.hits,
            cache.misses,
            cache.bytes,
            cache.reads,
            cache.failed,
            cache.blocks,
            cache.capacity,
            cache.held,
            cache.evictions,
            cache.refused
        )
    }
}
