//! Notices that something happened in the site's folders, by inotify. What, it does not say: a look
//! at the files does.
//!
//! Where the system allows no more watches, each request looks at the files, if none did lately.
//!
//! Nobody tells that the site's path leads elsewhere: a folder above it was renamed, a symbolic link
//! replaced, a file system mounted over it. So each request asks where it leads.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{
    CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch,
};
use rustix::io::Errno;

use super::{Shared, held};

/// After something happened, it is awaited for so long whether there is more of it.
const QUIET: Duration = Duration::from_millis(4);
/// So long at most, and so long if a file is being written.
const SETTLE: Duration = Duration::from_millis(40);
const SETTLE_WRITES: Duration = Duration::from_millis(120);
/// Without watches, files are looked at no more often than this.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is seen to those who have waited long enough.
const TICK: Duration = Duration::from_secs(1);

/// Watches on folders.
pub(super) struct Watch {
    site: PathBuf,
    /// Device and inode that the path led to, if to any.
    led_to: Option<(u64, u64)>,
    /// `None`: the system has no inotify for us.
    inotify: Option<Arc<OwnedFd>>,
    watches: BTreeMap<PathBuf, i32>,
    /// Not all folders are watched.
    partial: bool,
    /// Somebody was told so.
    complained: bool,
    /// Something happened that nobody has looked at.
    pending: bool,
    looked: Instant,
    /// Files that were written to and are not closed, by watch and name.
    open: HashSet<(i32, Vec<u8>)>,
}

impl Watch {
    /// Without any folder. What it is asked first is whether something happened: so it may have.
    pub(super) fn new(site: &Path) -> Self {
        let mut watch = Self {
            site: site.to_owned(),
            led_to: None,
            inotify: None,
            watches: BTreeMap::new(),
            partial: true,
            complained: false,
            pending: true,
            looked: Instant::now(),
            open: HashSet::new(),
        };
        match init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC) {
            Ok(inotify) => watch.inotify = Some(Arc::new(inotify)),
            Err(error) => watch.complain(error),
        }
        watch
    }

    /// Watches these folders and no others.
    pub(super) fn cover(&mut self, folders: &[PathBuf]) {
        let Some(inotify) = self.inotify.clone() else {
            return;
        };
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        let mut now = BTreeMap::new();
        self.partial = folders.is_empty();
        for folder in folders {
            // A folder that is watched already keeps its watch, and its number.
            match add_watch(&inotify, folder, flags) {
                Ok(watch) => {
                    // One that took the place of another, or is new, may hold what nobody saw.
                    self.pending |= self.watches.get(folder) != Some(&watch);
                    now.insert(folder.clone(), watch);
                }
                Err(Errno::NOENT | Errno::NOTDIR) => self.partial = true,
                Err(error) => {
                    self.partial = true;
                    self.complain(error);
                    break;
                }
            }
        }
        let kept: BTreeSet<_> = now.values().collect();
        for watch in self.watches.values().filter(|watch| !kept.contains(watch)) {
            // One that is gone has taken its watch along.
            let _ = remove_watch(&inotify, *watch);
        }
        self.watches = now;
    }

    /// Whether something may have happened since the last call.
    pub(super) fn changed(&mut self) -> bool {
        self.read();
        let mut changed = std::mem::take(&mut self.pending);
        let folder = std::fs::metadata(&self.site).ok();
        let leads_to = folder.map(|folder| (folder.dev(), folder.ino()));
        changed |= std::mem::replace(&mut self.led_to, leads_to) != leads_to;
        if self.partial && self.looked.elapsed() >= LOOK {
            changed = true;
        }
        if changed {
            self.looked = Instant::now();
        }
        changed
    }

    /// Takes note of what happened; says whether anything did.
    fn read(&mut self) -> bool {
        let Some(inotify) = self.inotify.clone() else {
            return false;
        };
        let mut buffer = [const { MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(inotify.as_fd(), &mut buffer);
        let mut any = false;
        // Whatever else fails means that something happened of which nothing is known.
        loop {
            match reader.next() {
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => {
                    any = true;
                    break;
                }
                Ok(event) => {
                    // That a watch was removed is no news.
                    any |= event.events() != ReadFlags::IGNORED;
                    if let Some(name) = event.file_name() {
                        let file = (event.wd(), name.to_bytes().to_vec());
                        if event.events().contains(ReadFlags::MODIFY) {
                            self.open.insert(file);
                        } else {
                            self.open.remove(&file);
                        }
                    }
                }
            }
        }
        self.pending |= any;
        any
    }

    fn complain(&mut self, error: Errno) {
        if std::mem::replace(&mut self.complained, true) {
            return;
        }
        let limit = match error {
            Errno::NOSPC => "; sysctl fs.inotify.max_user_watches has the limit",
            Errno::MFILE => "; sysctl fs.inotify.max_user_instances has the limit",
            _ => "",
        };
        log::warn!(
            target: "site",
            "cannot watch all folders of the site ({error}{limit}): it is looked at when something \
             is asked for, and at most every {} ms",
            LOOK.as_millis()
        );
    }
}

/// Starts the thread that notices changes which nobody asks for.
pub(super) fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = shared.clone();
    let inotify = held(&shared.watch).inotify.clone();
    thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || {
            let mut ticked = Instant::now();
            loop {
                if wait(inotify.as_deref()) {
                    settle(&shared);
                    shared.refresh();
                }
                if ticked.elapsed() >= TICK {
                    ticked = Instant::now();
                    let waited = !held(&shared.waiting).is_empty();
                    if waited {
                        shared.refresh();
                    }
                    shared.tell(|until| until <= ticked);
                }
            }
        })?;
    Ok(())
}

/// Waits until something happens, and not for long; says whether it did.
fn wait(inotify: Option<&OwnedFd>) -> bool {
    let Some(inotify) = inotify else {
        thread::sleep(TICK);
        return false;
    };
    let tick = Timespec {
        tv_sec: TICK.as_secs() as i64,
        tv_nsec: 0,
    };
    match poll(&mut [PollFd::new(inotify, PollFlags::IN)], Some(&tick)) {
        Ok(ready) => ready > 0,
        Err(_) => false,
    }
}

/// Waits until whoever writes has written, in part for as long as that may take.
fn settle(shared: &Shared) {
    let start = Instant::now();
    loop {
        let mut watch = held(&shared.watch);
        let (more, writing) = (watch.read(), !watch.open.is_empty());
        if writing && start.elapsed() >= SETTLE_WRITES {
            // It writes on and on, or does not close the file: then as it is.
            watch.open.clear();
        }
        drop(watch);
        let most = if writing { SETTLE_WRITES } else { SETTLE };
        if !(more || writing) || start.elapsed() >= most {
            return;
        }
        thread::sleep(QUIET);
    }
}
