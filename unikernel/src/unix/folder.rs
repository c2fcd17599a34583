//! The site's folder itself as a store: rendered by threads of its own, watched by another.
//!
//! The event loop only hands questions over and is woken when there is an answer, so whoever asks
//! for something else is served meanwhile.

#[path = "folder/pool.rs"]
mod pool;
#[path = "folder/watch.rs"]
mod watch;

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use mio::{Registry, Token};
use www::encoding::Accept;
use www::pack::Made;
use www::store::{Lookup, MadeAnswer, Store, StoreError};

use pool::Pool;
use watch::Watch;

/// What wakes the event loop.
pub(crate) const WAKE: Token = Token(usize::MAX - 1);

/// How long a page that asks for changes waits for one. Short enough for whatever is in between.
const EVENT_WAIT: Duration = Duration::from_secs(20);

/// Looks at the folder one after the other: folders that are new may be filled before they are
/// watched, and then there is more to see.
const LOOKS: u32 = 3;

/// The folder, and who works on it.
pub(crate) struct Folder {
    shared: Arc<Shared>,
    pool: Pool,
}

/// What all threads have.
struct Shared {
    site: mir::direct::Direct,
    watch: Mutex<Watch>,
    /// Those who wait for a change, and until when.
    waiting: Mutex<Vec<(Instant, Waker)>>,
    stopping: AtomicBool,
    wake: mio::Waker,
}

impl Folder {
    /// Serves the site in `folder`, right or wrong.
    pub(crate) fn open(folder: &str, reload: bool, registry: &Registry) -> io::Result<Self> {
        // One that is there and goes may come back; one that never was has a name with a mistake.
        if let Err(why) = std::fs::read_dir(folder) {
            return Err(io::Error::new(why.kind(), format!("{folder}: {why}")));
        }
        let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let run = run.map_or(0, |since| since.as_nanos() as u64);
        let options = mir::site::Options::default();
        // What changes while it is read for the first time is noticed, too.
        let mut watch = Watch::new(Path::new(folder));
        watch.cover(&[folder.into()]);
        let site = mir::direct::Direct::open(Path::new(folder), options, reload, run);
        let shared = Arc::new(Shared {
            site,
            watch: Mutex::new(watch),
            waiting: Mutex::default(),
            stopping: AtomicBool::new(false),
            wake: mio::Waker::new(registry, WAKE)?,
        });
        shared.refresh();
        watch::start(&shared)?;
        let pool = Pool::start(&shared)?;
        Ok(Self { shared, pool })
    }

    /// Lets nobody wait for changes any longer.
    pub(crate) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.tell(|_| true);
    }

    /// Waits for a change after the generation `since`.
    async fn event(&self, since: &str) -> Made {
        let until = Instant::now() + EVENT_WAIT;
        let shared = &self.shared;
        let change = poll_fn(|cx| {
            let mut waiting = held(&shared.waiting);
            if let Some(made) = shared.site.event(since) {
                return Poll::Ready(Some(made));
            }
            if shared.stopping.load(Ordering::Relaxed) || until <= Instant::now() {
                return Poll::Ready(None);
            }
            // One that was dropped is woken in vain once, and forgotten.
            waiting.push((until, cx.waker().clone()));
            Poll::Pending
        });
        change.await.unwrap_or_else(|| shared.site.no_event())
    }
}

impl Shared {
    /// Sees to it that what is answered from now on is what stands in the folder now.
    fn refresh(&self) {
        let mut watch = held(&self.watch);
        let mut changed = false;
        for _ in 0..LOOKS {
            if !watch.changed() {
                break;
            }
            changed |= self.site.look();
            watch.cover(&self.site.folders());
        }
        drop(watch);
        if changed {
            self.tell(|_| true);
        }
    }

    /// Wakes those who wait for a change and for whom it is time.
    fn tell(&self, time: impl Fn(Instant) -> bool) {
        let mut waiting = held(&self.waiting);
        let (told, left) = waiting.drain(..).partition(|(until, _)| time(*until));
        *waiting = left;
        drop(waiting);
        let told: Vec<(Instant, Waker)> = told;
        if !told.is_empty() {
            told.into_iter().for_each(|(_, waker)| waker.wake());
            self.wake();
        }
    }

    /// Makes the event loop run whoever was woken.
    fn wake(&self) {
        if let Err(error) = self.wake.wake() {
            log::error!(target: "site", "cannot wake the server: {error}");
        }
    }
}

impl Store for Folder {
    type Answer<'s> = MadeAnswer;

    async fn find(&self, path: &[u8], accept: Accept) -> Result<Lookup<MadeAnswer>, StoreError> {
        // All paths of a site are text.
        let Ok(path) = str::from_utf8(path) else {
            return Ok(Lookup::Missing);
        };
        if self.shared.site.reloads()
            && path != mir::direct::SCRIPT
            && let Some(since) = path.strip_prefix(mir::direct::EVENTS)
        {
            let made = Arc::new(self.event(since).await);
            return Ok(MadeAnswer::of(made, Accept::IDENTITY));
        }
        let made = self.pool.ask(Some(path.to_owned())).await?;
        Ok(made.map_or(Lookup::Missing, |made| MadeAnswer::of(made, accept)))
    }

    async fn not_found(&self, accept: Accept) -> Result<Lookup<MadeAnswer>, StoreError> {
        let made = self.pool.ask(None).await?;
        Ok(made.map_or(Lookup::Missing, |made| MadeAnswer::of(made, accept)))
    }
}

/// What a lock guards. Nobody leaves it half changed.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
