//! A small xenstored for tests: strict with its clients, and able to lie to them.
//!
//! It runs in domain 0: spawn [`Server::run`] there. A test acts for the toolstack and for back ends
//! with [`Server::write`] and its siblings, which need no permission; a domain that was
//! [attached](Server::attach) talks to it over its own ring, as it would to the real one, and may
//! write what libxl lets it write.

mod daemon;
mod tree;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell, RefMut};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use super::{GrantError, Hypervisor, Mapping};
use crate::abi::xenstore::RSP_PROD;
use crate::ring::{Broken, byte};
use crate::xenstore::Errno;
use crate::xenstore::codec::{self, Header, Kind};
use crate::{DomId, Domain, Port};

use daemon::{Daemon, Reply, Session};
use tree::View;

/// The server. Clones are the same one.
#[derive(Clone)]
pub struct Server(Rc<Inner>);

struct Inner {
    hypervisor: Hypervisor,
    domain: Domain,
    daemon: RefCell<Daemon>,
    clients: RefCell<Vec<Client>>,
    waker: Cell<Option<Waker>>,
    local_wakers: RefCell<Vec<Waker>>,
    last_local: Cell<u32>,
}

struct Client {
    domid: DomId,
    session: Session,
    ring: byte::Back<Mapping>,
    port: Port,
    out: VecDeque<u8>,
    misbehaviour: Misbehaviour,
    /// It sent what no client sends, and is not listened to any more.
    cut_off: bool,
}

/// How the server treats one domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misbehaviour {
    /// Told instead of the next reply.
    pub lie: Option<Lie>,
    /// Replies to requests that are read together go out last first.
    pub reverse: bool,
    /// At most so many bytes are written for one event, if not 0.
    pub chunk: usize,
    /// Each watch event is sent this many more times.
    pub repeat_events: usize,
    /// Requests are read and never answered.
    pub silent: bool,
}

/// A reply that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It carries the number of a request that was not made.
    WrongRequest,
    /// It has the type of another request.
    WrongType,
    /// It has a type that does not exist.
    UnknownType,
    /// It claims more than 4096 bytes.
    Oversized,
    /// It is a watch event without a token.
    BadEvent,
    /// It comes twice.
    Twice,
    /// It is not there, but the ring's index says that more bytes are than fit. No more replies
    /// follow.
    Indices,
}

impl Server {
    /// A server in domain 0 of `hypervisor`, with an empty tree.
    pub fn new(hypervisor: &Hypervisor) -> Self {
        Self(Rc::new(Inner {
            hypervisor: hypervisor.clone(),
            domain: hypervisor.domain(DomId::ZERO),
            daemon: RefCell::new(Daemon::new()),
            clients: RefCell::default(),
            waker: Cell::new(None),
            local_wakers: RefCell::default(),
            last_local: Cell::new(0),
        }))
    }

    /// Serves `domid`'s ring, and makes its home directory.
    pub fn attach(&self, domid: DomId) -> Result<(), GrantError> {
        let home = format!("/local/domain/{domid}");
        self.write(&format!("{home}/domid"), &format!("{domid}"));
        let reset = format!("{home}/control/platform-feature-xs_reset_watches");
        self.write(&reset, "1");
        let inner = &self.0;
        let (page, port) = inner.hypervisor.store_ring(&inner.domain, domid)?;
        let ring = match byte::Back::new(page, byte::XENSTORE) {
            Ok(ring) => ring,
            Err(broken) => panic!("domain {domid} spoilt its xenstore ring: {broken}"),
        };
        inner.clients.borrow_mut().push(Client {
            domid,
            session: Session::new(domid),
            ring,
            port,
            out: VecDeque::new(),
            misbehaviour: Misbehaviour::default(),
            cut_off: false,
        });
        inner.wake();
        Ok(())
    }

    /// Creates a device of `class` as libxl does: both ends' directories, linked, in state 1
    /// (Initialising), with these keys. Returns the two paths, the front end's first.
    pub fn plug(
        &self,
        class: &str,
        id: u32,
        (front, front_keys): (DomId, &[(&str, &str)]),
        (back, back_keys): (DomId, &[(&str, &str)]),
    ) -> (String, String) {
        let front_path = format!("/local/domain/{front}/device/{class}/{id}");
        let back_path = format!("/local/domain/{back}/backend/{class}/{front}/{id}");
        let set = |path: &str, key: &str, value: &str| self.write(&format!("{path}/{key}"), value);
        for (path, keys, other, other_path, other_id) in [
            (&back_path, back_keys, "frontend", &front_path, front),
            (&front_path, front_keys, "backend", &back_path, back),
        ] {
            set(path, other, other_path);
            set(path, &format!("{other}-id"), &format!("{other_id}"));
            for (key, value) in keys {
                set(path, key, value);
            }
            set(path, "state", "1");
        }
        set(&back_path, "online", "1");
        (front_path, back_path)
    }

    /// Serves all domains that are attached, for ever.
    pub async fn run(&self) {
        poll_fn(|cx| {
            self.0.waker.set(Some(cx.waker().clone()));
            self.0.poll_clients(cx);
            Poll::Pending
        })
        .await
    }

    /// Sets the value at an absolute path.
    pub fn write(&self, path: &str, value: &str) {
        let mut daemon = self.0.daemon.borrow_mut();
        let changed = View::Tree(&mut daemon.tree).write(path, value.as_bytes());
        daemon.fire(changed);
        drop(daemon);
        self.0.wake();
    }

    /// Sets a value that need not be text.
    pub fn write_bytes(&self, path: &str, value: &[u8]) {
        let mut daemon = self.0.daemon.borrow_mut();
        let changed = View::Tree(&mut daemon.tree).write(path, value);
        daemon.fire(changed);
        drop(daemon);
        self.0.wake();
    }

    /// The value at an absolute path, if it is there and is text.
    pub fn read(&self, path: &str) -> Option<String> {
        let mut daemon = self.0.daemon.borrow_mut();
        let value = View::Tree(&mut daemon.tree).read(path).ok()?;
        String::from_utf8(value).ok()
    }

    /// The names right below an absolute path; none if it is not there.
    pub fn list(&self, path: &str) -> Vec<String> {
        let mut daemon = self.0.daemon.borrow_mut();
        View::Tree(&mut daemon.tree).list(path).unwrap_or_default()
    }

    /// Removes an absolute path and all below it.
    pub fn rm(&self, path: &str) {
        let mut daemon = self.0.daemon.borrow_mut();
        if let Ok(changed) = View::Tree(&mut daemon.tree).rm(path) {
            daemon.fire(changed);
        }
        drop(daemon);
        self.0.wake();
    }

    /// Watches an absolute path from domain 0.
    pub fn watch(&self, path: &str) -> LocalWatch {
        let id = self.0.last_local.get() + 1;
        self.0.last_local.set(id);
        self.0.daemon.borrow_mut().watch_locally(id, path);
        LocalWatch {
            inner: Rc::clone(&self.0),
            id,
        }
    }

    /// Makes the next `times` requests of domains that name this absolute path fail.
    pub fn refuse(&self, path: &str, errno: Errno, times: u32) {
        self.0.daemon.borrow_mut().refuse(path, errno, times);
    }

    /// Makes the next `times` transactions conflict.
    pub fn conflict(&self, times: u32) {
        self.0.daemon.borrow_mut().conflicts = times;
    }

    /// Changes how domain `domid` is treated from now on. Panics if it is not attached.
    pub fn misbehave(&self, domid: DomId) -> RefMut<'_, Misbehaviour> {
        self.0.wake();
        RefMut::map(self.0.clients.borrow_mut(), |clients| {
            match clients.iter_mut().find(|c| c.domid == domid) {
                Some(client) => &mut client.misbehaviour,
                None => panic!("domain {domid} is not attached"),
            }
        })
    }

    /// Requests that domains have made so far.
    pub fn requests(&self) -> u64 {
        self.0.daemon.borrow().requests
    }

    /// Whether domain `domid` broke the protocol and is no longer listened to.
    pub fn has_cut_off(&self, domid: DomId) -> bool {
        let clients = self.0.clients.borrow();
        clients.iter().any(|c| c.domid == domid && c.cut_off)
    }
}

/// A watch from domain 0, until dropped. It fires once at the start, as any.
pub struct LocalWatch {
    inner: Rc<Inner>,
    id: u32,
}

impl LocalWatch {
    /// The paths that changed since the last time.
    pub fn take(&self) -> Vec<String> {
        self.inner.daemon.borrow_mut().take_local(self.id)
    }

    /// Waits until there are any. Cancelling it loses none.
    pub async fn changed(&self) -> Vec<String> {
        poll_fn(|cx| {
            let paths = self.take();
            if paths.is_empty() {
                let mut wakers = self.inner.local_wakers.borrow_mut();
                wakers.push(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(paths)
        })
        .await
    }
}

impl Drop for LocalWatch {
    fn drop(&mut self) {
        self.inner.daemon.borrow_mut().unwatch_locally(self.id);
    }
}

impl Inner {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        for waker in self.local_wakers.take() {
            waker.wake();
        }
    }

    fn poll_clients(&self, cx: &mut Context<'_>) {
        let mut progress = true;
        while core::mem::take(&mut progress) {
            for client in self.clients.borrow_mut().iter_mut() {
                let event = client.port.poll_event(cx).is_ready();
                match client.step(&mut self.daemon.borrow_mut()) {
                    Ok(moved) if moved => client.port.notify(),
                    Ok(_) => {}
                    Err(_) => client.cut_off = true,
                }
                progress |= event;
            }
        }
        for waker in self.local_wakers.take() {
            waker.wake();
        }
    }
}

impl Client {
    /// Reads requests, and writes what there is to say; whether it did either.
    fn step(&mut self, daemon: &mut Daemon) -> Result<bool, Broken> {
        let mut requests = Vec::new();
        let mut chunk = [0; 1024];
        while !self.cut_off {
            let read = self.ring.read(&mut chunk)?;
            requests.extend_from_slice(&chunk[..read]);
            if read == 0 {
                break;
            }
        }
        match daemon.input(&mut self.session, &requests) {
            Ok(mut replies) => {
                if self.misbehaviour.reverse {
                    replies.reverse();
                }
                for reply in replies {
                    self.reply(&reply)?;
                }
            }
            Err(_) => self.cut_off = true,
        }
        while let Some(payload) = daemon.event(self.domid) {
            for _ in 0..=self.misbehaviour.repeat_events {
                self.say(Kind::WatchEvent, 0, 0, &payload);
            }
        }
        let written = self.flush()?;
        Ok(!requests.is_empty() || written)
    }

    fn flush(&mut self) -> Result<bool, Broken> {
        let most = match self.misbehaviour.chunk {
            0 => usize::MAX,
            chunk => chunk,
        };
        let bytes = self.out.make_contiguous();
        let written = self.ring.write(&bytes[..bytes.len().min(most)])?;
        self.out.drain(..written);
        Ok(written > 0)
    }

    fn reply(&mut self, reply: &Reply) -> Result<(), Broken> {
        if self.misbehaviour.silent {
            return Ok(());
        }
        let (kind, id) = (reply.kind, reply.req_id);
        let raw = |kind, len| Header {
            kind,
            req_id: id,
            tx_id: 0,
            len,
        };
        match self.misbehaviour.lie.take() {
            None => self.say(kind, id, reply.tx_id, &reply.payload),
            Some(Lie::WrongRequest) => self.say(kind, !id, 0, &reply.payload),
            Some(Lie::WrongType) => self.say(Kind::IsDomainIntroduced, id, 0, b"T\0"),
            Some(Lie::UnknownType) => self.out.extend(raw(77, 0).encode()),
            Some(Lie::Oversized) => self.out.extend(raw(kind as u32, 4097).encode()),
            Some(Lie::BadEvent) => self.say(Kind::WatchEvent, 0, 0, b"path\0"),
            Some(Lie::Twice) => {
                self.say(kind, id, reply.tx_id, &reply.payload);
                self.say(kind, id, reply.tx_id, &reply.payload);
            }
            Some(Lie::Indices) => {
                let produced = self.ring.memory().load_u32(RSP_PROD)?;
                let far = produced.wrapping_add(5000);
                self.ring.memory().store_u32(RSP_PROD, far)?;
                // Another reply would put it right.
                self.misbehaviour.silent = true;
                self.port.notify();
            }
        }
        Ok(())
    }

    fn say(&mut self, kind: Kind, req_id: u32, tx_id: u32, payload: &[u8]) {
        if let Err(error) = codec::encode(&mut self.out, kind, req_id, tx_id, &[payload]) {
            panic!("a reply that cannot be encoded: {error:?}");
        }
    }
}

#[cfg(test)]
mod tests;
