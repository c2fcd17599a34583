//! Readers beside each other on a disk that takes its time, and whose driver holds pages for what is
//! done until it is looked at, as blkfront does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tests::disk::Bell;
use tests::fat::{NOW, volume};
use www::cache::Cache;
use www::fat::{Limits, Volume};
use www::{Sector, Sectors, SectorsError};

/// A disk with a pool of pages: a read takes its pages when there are as many, keeps them while it is
/// under way and until it is polled once it is done, and then copies. It wakes whoever polled last.
#[derive(Clone)]
struct Driver(Rc<Pool>);

struct Pool {
    bytes: Vec<u8>,
    best: usize,
    free: Cell<usize>,
    next: Cell<u64>,
    queue: RefCell<VecDeque<Rc<Call>>>,
    working: RefCell<VecDeque<Rc<Call>>>,
}

struct Call {
    id: u64,
    pages: usize,
    done: Cell<bool>,
    begun: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Driver {
    fn new(bytes: Vec<u8>, best: usize, pages: usize) -> Self {
        Self(Rc::new(Pool {
            bytes,
            best,
            free: Cell::new(pages),
            next: Cell::new(0),
            queue: RefCell::default(),
            working: RefCell::default(),
        }))
    }

    /// The disk does one read. Says whether there was one.
    fn work(&self) -> bool {
        let Some(call) = self.0.working.borrow_mut().pop_front() else {
            return false;
        };
        call.done.set(true);
        if let Some(waker) = call.waker.take() {
            waker.wake();
        }
        true
    }
}

impl Pool {
    fn advance(&self) {
        let mut queue = self.queue.borrow_mut();
        while let Some(call) = queue.pop_front_if(|call| call.pages <= self.free.get()) {
            self.free.set(self.free.get() - call.pages);
            call.begun.set(true);
            self.working.borrow_mut().push_back(call);
        }
    }
}

/// Gives the pages back.
struct Ends<'a>(&'a Pool, Rc<Call>);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let Ends(pool, call) = self;
        pool.queue.borrow_mut().retain(|other| other.id != call.id);
        pool.working
            .borrow_mut()
            .retain(|other| other.id != call.id);
        if call.begun.get() {
            pool.free.set(pool.free.get() + call.pages);
        }
        pool.advance();
    }
}

impl Sectors for Driver {
    fn sector_size(&self) -> u32 {
        512
    }

    fn sectors(&self) -> u64 {
        (self.0.bytes.len() / 512) as u64
    }

    fn best_read(&self) -> usize {
        self.0.best
    }

    async fn read<B: AsMut<[u8]>>(
        &self,
        first: Sector,
        into: &mut [B],
    ) -> Result<(), SectorsError> {
        let pool = &*self.0;
        let id = pool.next.replace(pool.next.get() + 1);
        let bytes: usize = into.iter_mut().map(|part| part.as_mut().len()).sum();
        let call = Rc::new(Call {
            id,
            pages: bytes / 4096,
            done: Cell::new(false),
            begun: Cell::new(false),
            waker: RefCell::default(),
        });
        let _ends = Ends(pool, call.clone());
        pool.queue.borrow_mut().push_back(call.clone());
        pool.advance();
        std::future::poll_fn(|cx| {
            if call.done.get() {
                return Poll::Ready(());
            }
            *call.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        let mut at = first.0 as usize * 512;
        for part in into {
            let part = part.as_mut();
            part.copy_from_slice(&pool.bytes[at..][..part.len()]);
            at += part.len();
        }
        Ok(())
    }
}

/// A task, which is polled when it was woken.
struct Task<'a> {
    future: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    bell: Arc<Bell>,
    seen: u64,
}

impl<'a> Task<'a> {
    fn new(future: impl Future<Output = ()> + 'a) -> Self {
        Self {
            future: Some(Box::pin(future)),
            bell: Arc::default(),
            seen: u64::MAX,
        }
    }

    fn turn(&mut self) -> bool {
        let rings = self.bell.rings();
        let Some(future) = self.future.as_mut().filter(|_| rings != self.seen) else {
            return false;
        };
        self.seen = rings;
        let waker = Waker::from(self.bell.clone());
        if future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.future = None;
        }
        true
    }
}

/// Runs tasks and the disk until nothing moves, the disk only when no task does.
fn run(tasks: &mut [Task<'_>], disk: &Driver) {
    for _ in 0..200_000 {
        let mut moved = false;
        for task in &mut *tasks {
            moved |= task.turn();
        }
        if !moved && !disk.work() {
            return;
        }
    }
    panic!("it does not come to rest");
}

/// A volume with files of this length, `/0` and so on.
fn image(files: usize, len: usize) -> Vec<u8> {
    let contents: Vec<(String, Vec<u8>)> = (0..files)
        .map(|file| (file.to_string(), content(file, len)))
        .collect();
    let files: Vec<_> = contents
        .iter()
        .map(|(name, content)| (name.as_str(), NOW, content.as_slice()))
        .collect();
    volume(files.len() * (len + 8192) + (1 << 20), &files)
}

fn content(file: usize, len: usize) -> Vec<u8> {
    let mut content = vec![0; len];
    for (number, sector) in content.chunks_mut(512).enumerate() {
        sector.fill((number + file * 7) as u8);
    }
    content
}

/// Reads a file to its end, and checks it.
async fn read(volume: &Rc<Volume<Driver>>, file: usize, len: usize) {
    let found = volume.find(file.to_string().as_bytes()).expect("an entry");
    let mut reader = volume.open(found.file().expect("a file"));
    let mut whole = Vec::new();
    while let Some(chunk) = reader.chunk().await.expect("room") {
        whole.extend_from_slice(&chunk);
    }
    assert!(whole == content(file, len), "{file}");
}

fn mount(image: Vec<u8>, cache: &Rc<Cache>, best: usize) -> (Driver, Rc<Volume<Driver>>) {
    // Nobody waits for pages.
    let disk = Driver::new(image, best, 1 << 20);
    let volume = RefCell::new(None);
    let mounting = Task::new(async {
        let mounted = Volume::mount(disk.clone(), cache, Limits::default()).await;
        *volume.borrow_mut() = Some(mounted.expect("a volume"));
    });
    run(&mut [mounting], &disk);
    disk.0.free.set(272);
    (disk, Rc::new(volume.take().expect("mounted")))
}

/// Sixty-four clients at once, each with another file of a mebibyte, and the cache of a guest of
/// 32 MiB, or a small one: each gets its file.
#[test]
fn a_crowd_with_a_file_each_waits_for_room() {
    const LEN: usize = 1 << 20;
    const CLIENTS: usize = 64;
    let image = image(CLIENTS, LEN);
    for (clients, cache, best) in [
        (CLIENTS, 6 << 20, 1 << 20),
        (CLIENTS, 6 << 20, 44 << 10),
        (40, 1 << 20, 1 << 20),
    ] {
        let cache = Cache::new(cache);
        let (disk, volume) = mount(image.clone(), &cache, best);
        let finished = Cell::new(0);
        let mut tasks = vec![Task::new(cache.drive())];
        tasks.extend((0..clients).map(|client| {
            let (volume, finished) = (&volume, &finished);
            Task::new(async move {
                read(volume, client, LEN).await;
                finished.set(finished.get() + 1);
            })
        }));
        run(&mut tasks, &disk);
        assert_eq!(finished.get(), clients, "{:?}", cache.counters());
        drop(tasks);
        assert_eq!(cache.counters().held, 0);
    }
}

/// What was read ahead for a client that takes nothing more is looked at by nobody, and has all of
/// the driver's pages: others get theirs all the same.
#[test]
fn one_who_sleeps_keeps_no_pages_from_others() {
    const LEN: usize = 4 << 20;
    let cache = Cache::new(16 << 20);
    let (disk, volume) = mount(image(2, LEN), &cache, 1 << 20);
    let finished = Cell::new(false);
    let mut tasks = [
        Task::new(cache.drive()),
        Task::new(async {
            let file = volume.find(b"0").and_then(|entry| entry.file());
            let mut reader = volume.open(file.expect("a file"));
            // The first may have come with the root directory.
            for _ in 0..2 {
                reader.chunk().await.expect("room");
            }
            std::future::pending::<()>().await;
        }),
        Task::new(async {
            read(&volume, 1, LEN).await;
            finished.set(true);
        }),
    ];
    run(&mut tasks, &disk);
    assert!(finished.get(), "{:?}", cache.counters());
}
