//! A client by script, and a clock that stands still until told.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::net::SocketAddr;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::super::{Limits, Service};
use crate::pack::{Pack, Page, Writer};
use crate::seam::{Clock, Conn, ConnError};
use crate::stats::Stats;

/// 1994-11-06 08:49:37.
pub(super) const NOW: u64 = 784_111_777;

pub(super) struct Now(pub(super) u64);

impl Clock for Now {
    fn unix_time(&self) -> u64 {
        self.0
    }
}

pub(super) type Site = Rc<Service<Pack<'static>, Now>>;

pub(super) fn site(limits: Limits) -> Site {
    static PACK: std::sync::OnceLock<Pack<'static>> = std::sync::OnceLock::new();
    let pack = *PACK.get_or_init(|| Pack::load(written().leak()).unwrap());
    Rc::new(Service::new(
        pack,
        Now(NOW),
        limits,
        Rc::new(Stats::default()),
    ))
}

fn written() -> Vec<u8> {
    let page = |media_type: &str, body: &[u8]| Page {
        media_type: media_type.into(),
        body: body.to_vec(),
        ..Page::default()
    };
    let mut writer = Writer::new();
    let index = Page {
        modified: Some(757_382_400),
        gzip: Some(b"gz.".to_vec()),
        br: Some(b"br".to_vec()),
        ..page("text/html", &[b'x'; 300])
    };
    writer.page("/", index).unwrap();
    writer.page("/a b", page("text/plain", b"space")).unwrap();
    writer
        .page("/huge", page("text/plain", &[b'z'; 2_000_000]))
        .unwrap();
    writer
        .page("/large", page("text/plain", &[b'y'; 100_000]))
        .unwrap();
    writer
        .page("/app/index.html", page("text/html", b"app"))
        .unwrap();
    writer.redirect("/old", 301, "/new", &[]).unwrap();
    writer.redirect("/kept", 308, "/new", &[]).unwrap();
    writer
        .not_found(page("text/plain", b"the site says no\n"))
        .unwrap();
    writer.finish(|_| [0; 32]).unwrap()
}

/// The client's end of a connection.
#[derive(Clone, Default)]
pub(super) struct Client(Rc<RefCell<Wire>>);

struct Wire {
    /// What a read gives, one element each.
    sent: VecDeque<Vec<u8>>,
    finished: bool,
    received: Vec<u8>,
    window: usize,
    deaf: bool,
    closing: bool,
    aborted: bool,
    reset: bool,
    now: Duration,
    deadline: Option<Duration>,
    waker: Option<Waker>,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            sent: VecDeque::new(),
            finished: false,
            received: Vec::new(),
            window: usize::MAX,
            deaf: false,
            closing: false,
            aborted: false,
            reset: false,
            now: Duration::ZERO,
            deadline: None,
            waker: None,
        }
    }
}

impl Client {
    pub(super) fn conn(&self) -> Script {
        Script(self.clone())
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        self.with(|w| w.sent.push_back(bytes.to_vec()));
    }

    /// Sends no more.
    pub(super) fn finish(&self) {
        self.with(|w| w.finished = true);
    }

    pub(super) fn window(&self, n: usize) {
        self.with(|w| w.window = n);
    }

    /// Never acknowledges the end.
    pub(super) fn deaf(&self) {
        self.with(|w| w.deaf = true);
    }

    pub(super) fn reset(&self) {
        self.with(|w| w.reset = true);
    }

    /// Lets time pass, and tells nobody.
    pub(super) fn later(&self, time: Duration) {
        self.0.borrow_mut().now += time;
    }

    pub(super) fn received(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow().received).into_owned()
    }

    pub(super) fn closing(&self) -> bool {
        self.0.borrow().closing
    }

    pub(super) fn aborted(&self) -> bool {
        self.0.borrow().aborted
    }

    fn with(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = self.0.borrow_mut();
        change(&mut wire);
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
    }
}

/// The service's end.
pub(super) struct Script(Client);

impl Script {
    fn poll<O>(
        &self,
        cx: &Context<'_>,
        operation: impl FnOnce(&mut Wire) -> Option<O>,
    ) -> Poll<Result<O, ConnError>> {
        let wire = &mut *self.0.0.borrow_mut();
        assert!(!wire.aborted, "used after abort");
        if wire.reset {
            return Poll::Ready(Err(ConnError::Reset));
        }
        if wire.deadline.is_some_and(|d| d <= wire.now) {
            return Poll::Ready(Err(ConnError::TimedOut));
        }
        match operation(wire) {
            Some(output) => Poll::Ready(Ok(output)),
            None => {
                wire.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Conn for Script {
    fn peer(&self) -> SocketAddr {
        ([127, 0, 0, 1], 1).into()
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<Result<usize, ConnError>> {
        assert!(!buf.is_empty());
        self.poll(cx, |wire| {
            let Some(mut bytes) = wire.sent.pop_front() else {
                return wire.finished.then_some(0);
            };
            let n = bytes.len().min(buf.len());
            buf[..n].copy_from_slice(&bytes[..n]);
            if n < bytes.len() {
                wire.sent.push_front(bytes.split_off(n));
            }
            Some(n)
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        parts: &[&[u8]],
    ) -> Poll<Result<usize, ConnError>> {
        self.poll(cx, |wire| {
            assert!(!wire.closing, "written after close");
            let mut n = 0;
            for part in parts {
                let here = part.len().min(wire.window);
                wire.received.extend_from_slice(&part[..here]);
                wire.window -= here;
                n += here;
            }
            (n > 0).then_some(n)
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnError>> {
        self.poll(cx, |wire| {
            wire.closing = true;
            (!wire.deaf).then_some(())
        })
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        let mut wire = self.0.0.borrow_mut();
        wire.deadline = after.map(|a| wire.now + a);
    }

    fn abort(&mut self) {
        self.0.0.borrow_mut().aborted = true;
    }
}

/// A future, polled whenever it was woken.
pub(super) struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    flag: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Task {
    pub(super) fn new(future: Pin<Box<dyn Future<Output = ()>>>) -> Self {
        Self {
            future: Some(future),
            flag: Arc::new(Flag(AtomicBool::new(true))),
        }
    }

    pub(super) fn woken(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }

    /// Polls once.
    fn turn(&mut self) {
        self.flag.0.store(false, Ordering::Relaxed);
        let waker = self.flag.clone().into();
        if let Some(future) = &mut self.future
            && future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
        {
            self.future = None;
        }
    }

    pub(super) fn run(&mut self) {
        let waker = self.flag.clone().into();
        while self.flag.0.swap(false, Ordering::Relaxed) {
            let Some(future) = &mut self.future else {
                return;
            };
            if future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                self.future = None;
            }
        }
    }

    pub(super) fn over(&self) -> bool {
        self.future.is_none()
    }
}

/// A conversation.
pub(super) struct Talk {
    pub(super) client: Client,
    pub(super) site: Site,
    task: Task,
}

impl Talk {
    pub(super) fn new(site: &Site) -> Self {
        let client = Client::default();
        let (served, conn) = (site.clone(), client.conn());
        let task = Task::new(Box::pin(async move { served.serve(conn).await }));
        Self {
            client,
            site: site.clone(),
            task,
        }
    }

    /// Runs until it waits, or is over.
    pub(super) fn run(&mut self) {
        self.task.run();
    }

    /// Runs for one turn.
    pub(super) fn turn(&mut self) {
        self.task.turn();
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        self.client.with(|wire| wire.now += time);
        self.run();
    }

    pub(super) fn over(&self) -> bool {
        self.task.over()
    }
}
