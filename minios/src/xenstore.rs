//! xenstore, the tree of names and values in which domains and tools arrange to meet.
//!
//! [`Store`] is a client that any number of tasks use at once; one task runs [`Store::run`], which
//! moves the bytes. What the tree holds was written by others: values are bounded, text is checked,
//! and a key that is missing or forbidden is an error to wait out ([`StoreError::is_missing`]), not
//! a fault. A daemon that breaks the protocol makes the store broken: every call fails, none hangs.
//!
//! [`codec`] and [`connection`] are the protocol without rings and tasks.
//! Source: docs/misc/xenstore.txt and xenstore-ring.txt of Xen 4.20.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::{Future, poll_fn};
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

pub mod codec;
pub mod connection;

pub use codec::Errno;
pub use connection::Lie;

use crate::abi::xenstore as abi;
use crate::ring::{Broken, byte};
use crate::share::BootPage;
use crate::{Domain, Port};
use codec::{ABS_PATH_MAX, Kind};
use connection::{Connection, ReqId, Token};

/// How often a transaction is tried before its conflicts are the caller's problem.
const ATTEMPTS: u32 = 32;

/// The store. Clones share one connection.
///
/// Cancelling a call leaves open whether it took effect; its answer is discarded.
#[derive(Clone)]
pub struct Store {
    tree: Tree,
}

/// The tree as everybody sees it, through a [`Store`], or as one transaction does.
#[derive(Clone)]
pub struct Tree {
    shared: Rc<Shared>,
    tx_id: u32,
}

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The daemon refused.
    Refused(Errno),
    /// The path is empty or holds a NUL, or path and value are too long together. Not sent.
    Unsendable,
    /// The daemon's answer is not text, where it must be.
    NotText,
    /// No memory, or too many requests or watches at once. Later it may work.
    Busy,
    /// The connection is of no more use.
    Broken,
}

impl StoreError {
    /// Whether the key may still appear: absent, or not to be read by us as yet (toolstacks create
    /// keys before they set permissions).
    pub fn is_missing(self) -> bool {
        matches!(
            self,
            Self::Refused(Errno::ENOENT | Errno::EACCES | Errno::EPERM)
        )
    }
}

impl core::error::Error for StoreError {}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(errno) => write!(f, "xenstore says {errno}"),
            Self::Unsendable => f.write_str("not a path, or too long for xenstore"),
            Self::NotText => f.write_str("xenstore's answer is not text"),
            Self::Busy => f.write_str("no memory, or too many requests to xenstore"),
            Self::Broken => f.write_str("the connection to xenstore is broken"),
        }
    }
}

struct Shared {
    connection: RefCell<Connection>,
    /// `None` if it could not be attached to; the connection is broken then.
    ring: RefCell<Option<byte::Front<BootPage>>>,
    port: Port,
    pump: Cell<Option<Waker>>,
}

impl Store {
    /// The client of `domain`, to be made once. It does nothing until [`run`](Self::run) is polled.
    pub fn new(domain: &Domain) -> Self {
        let (page, port) = domain.store_ring();
        let mut connection = Connection::new();
        let ring = byte::Front::new(page, byte::XENSTORE)
            .map_err(|broken| connection.fail(Lie::Ring(broken)))
            .ok();
        Self {
            tree: Tree {
                shared: Rc::new(Shared {
                    connection: RefCell::new(connection),
                    ring: RefCell::new(ring),
                    port,
                    pump: Cell::new(None),
                }),
                tx_id: 0,
            },
        }
    }

    /// Moves the bytes, until the daemon breaks the protocol: then says how. To be spawned once.
    ///
    /// Cancelling it stops everything that waits, until it is called again.
    pub async fn run(&self) -> Lie {
        poll_fn(|cx| self.shared.poll_run(cx)).await
    }

    /// Forgets the watches that whoever ran in this domain before may have left, if the daemon can.
    pub async fn reset_watches(&self) -> Result<(), StoreError> {
        match self.read("control/platform-feature-xs_reset_watches").await {
            Ok(value) if value == "1" => {
                self.call(Kind::ResetWatches, &[b"\0"]).await?;
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Watches a node, what is below it, and its permissions, until dropped.
    pub async fn watch(&self, path: &str) -> Result<Watch, StoreError> {
        check(path)?;
        let shared = &self.shared;
        let (token, id) = shared.connection.borrow_mut().watch(path.as_bytes())?;
        let watch = Watch {
            shared: Rc::clone(shared),
            token,
        };
        shared.wake_pump();
        self.reply(id).await?;
        Ok(watch)
    }

    /// Waits until `accept` makes something of the value at `path`, `None` while it is missing.
    pub async fn wait_for<T>(
        &self,
        path: &str,
        mut accept: impl FnMut(Option<&str>) -> Option<T>,
    ) -> Result<T, StoreError> {
        let watch = self.watch(path).await?;
        loop {
            // The first time at once: a watch fires when it is registered.
            watch.changed().await?;
            let accepted = match self.read(path).await {
                Ok(value) => accept(Some(&value)),
                Err(error) if error.is_missing() => accept(None),
                Err(error) => return Err(error),
            };
            if let Some(accepted) = accepted {
                return Ok(accepted);
            }
        }
    }

    /// Does what `body` does to the tree at once or not at all. On a conflict with others all of
    /// `body` is done again, on the tree as it is then; if `body` fails, nothing was done.
    ///
    /// Cancelling it before the end does nothing to the tree.
    pub async fn transaction<T, E: From<StoreError>>(
        &self,
        mut body: impl AsyncFnMut(&Tree) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..ATTEMPTS {
            let transaction = Transaction::start(&self.tree).await?;
            let out = body(&transaction.tree).await?;
            match transaction.commit().await {
                Ok(()) => return Ok(out),
                Err(StoreError::Refused(Errno::EAGAIN)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Refused(Errno::EAGAIN).into())
    }

    /// How the daemon broke the protocol, if it did.
    pub fn broken(&self) -> Option<Lie> {
        self.shared.connection.borrow().broken()
    }
}

impl Deref for Store {
    type Target = Tree;

    fn deref(&self) -> &Tree {
        &self.tree
    }
}

impl Tree {
    /// The value at `path`, at most 4096 bytes.
    pub async fn read_bytes(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        check(path)?;
        self.call(Kind::Read, &[path.as_bytes(), b"\0"]).await
    }

    /// The value at `path`, which must be text.
    pub async fn read(&self, path: &str) -> Result<String, StoreError> {
        let value = self.read_bytes(path).await?;
        String::from_utf8(value).map_err(|_| StoreError::NotText)
    }

    /// Sets the value at `path`, and makes it and its parents if they are missing.
    pub async fn write(&self, path: &str, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        check(path)?;
        let parts = [path.as_bytes(), b"\0", value.as_ref()];
        self.call(Kind::Write, &parts).await.map(drop)
    }

    /// Makes a node without a value, unless it is there.
    pub async fn mkdir(&self, path: &str) -> Result<(), StoreError> {
        check(path)?;
        let parts = [path.as_bytes(), b"\0"];
        self.call(Kind::Mkdir, &parts).await.map(drop)
    }

    /// Removes a node and all that is below it.
    pub async fn rm(&self, path: &str) -> Result<(), StoreError> {
        check(path)?;
        let parts = [path.as_bytes(), b"\0"];
        self.call(Kind::Rm, &parts).await.map(drop)
    }

    /// The names of the nodes right below `path`.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, StoreError> {
        check(path)?;
        let parts = [path.as_bytes(), b"\0"];
        let payload = self.call(Kind::Directory, &parts).await?;
        codec::strings(&payload)
            .ok_or(StoreError::NotText)?
            .filter(|name| !name.is_empty())
            .map(|name| match core::str::from_utf8(name) {
                Ok(name) => Ok(String::from(name)),
                Err(_) => Err(StoreError::NotText),
            })
            .collect()
    }

    async fn call(&self, kind: Kind, parts: &[&[u8]]) -> Result<Vec<u8>, StoreError> {
        let request = self
            .shared
            .connection
            .borrow_mut()
            .request(kind, self.tx_id, parts)?;
        self.shared.wake_pump();
        self.reply(request).await
    }

    fn reply(&self, id: ReqId) -> Reply<'_> {
        Reply {
            shared: &self.shared,
            id: Some(id),
        }
    }
}

/// A watch, until it is dropped. For one task at a time: the last one that polled is woken.
pub struct Watch {
    shared: Rc<Shared>,
    token: Token,
}

impl Watch {
    /// Ready if something changed since it was last ready, or may have; once for any number of
    /// changes. The first time it is ready without any.
    pub fn poll_changed(&self, cx: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        self.shared
            .connection
            .borrow_mut()
            .poll_watch(self.token, cx.waker())
    }

    /// Waits for [`poll_changed`](Self::poll_changed). Cancelling it loses no change.
    pub async fn changed(&self) -> Result<(), StoreError> {
        poll_fn(|cx| self.poll_changed(cx)).await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.connection.borrow_mut().unwatch(self.token);
        self.shared.wake_pump();
    }
}

/// A transaction that has begun; dropped before it is committed, it is undone.
struct Transaction {
    tree: Tree,
    open: bool,
}

impl Transaction {
    async fn start(tree: &Tree) -> Result<Self, StoreError> {
        let reply = tree.call(Kind::TransactionStart, &[b"\0"]).await?;
        Ok(Self {
            tree: Tree {
                shared: Rc::clone(&tree.shared),
                // The connection has seen to it that it is a number.
                tx_id: codec::number(&reply).ok_or(StoreError::Broken)?,
            },
            open: true,
        })
    }

    async fn commit(mut self) -> Result<(), StoreError> {
        self.open = false;
        self.tree
            .call(Kind::TransactionEnd, &[b"T\0"])
            .await
            .map(drop)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            let shared = &self.tree.shared;
            let mut connection = shared.connection.borrow_mut();
            // A connection that takes no more requests has bigger worries.
            let _ = connection.send(Kind::TransactionEnd, self.tree.tx_id, &[b"F\0"]);
            drop(connection);
            shared.wake_pump();
        }
    }
}

/// The answer to a request.
struct Reply<'a> {
    shared: &'a Shared,
    id: Option<ReqId>,
}

impl Future for Reply<'_> {
    type Output = Result<Vec<u8>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.id else {
            return Poll::Ready(Err(StoreError::Broken));
        };
        let mut connection = self.shared.connection.borrow_mut();
        let reply = core::task::ready!(connection.poll_reply(id, cx.waker()));
        drop(connection);
        self.id = None;
        Poll::Ready(reply)
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.shared.connection.borrow_mut().abandon(id);
            self.shared.wake_pump();
        }
    }
}

impl Shared {
    fn wake_pump(&self) {
        if let Some(waker) = self.pump.take() {
            waker.wake();
        }
    }

    fn poll_run(&self, cx: &mut Context<'_>) -> Poll<Lie> {
        /// Full rings moved in one go, at most, so that a flood of events leaves time to others.
        const ROUNDS: u32 = 8;
        self.pump.set(Some(cx.waker().clone()));
        let mut connection = self.connection.borrow_mut();
        for _ in 0..ROUNDS {
            let event = self.port.poll_event(cx).is_ready();
            let moved = self.exchange(&mut connection).unwrap_or_else(|broken| {
                connection.fail(Lie::Ring(broken));
                false
            });
            if let Some(lie) = connection.broken() {
                return Poll::Ready(lie);
            }
            if moved {
                self.port.notify();
            } else if !event {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Moves what can be moved; says whether anything was.
    fn exchange(&self, connection: &mut Connection) -> Result<bool, Broken> {
        let mut ring = self.ring.borrow_mut();
        let Some(ring) = ring.as_mut() else {
            return Ok(false);
        };
        // Servers that do not know this word leave it at 0.
        let error = ring.memory().load_u32(abi::ERROR)?;
        if error != 0 {
            connection.fail(Lie::CutOff(error));
            return Ok(false);
        }
        let mut moved = false;
        let mut bytes = [0; 512];
        for _ in 0..2 {
            let read = ring.read(&mut bytes)?;
            connection.input(&bytes[..read]);
            moved |= read > 0;
        }
        loop {
            let written = ring.write(connection.output())?;
            connection.sent(written);
            moved |= written > 0;
            if written == 0 {
                return Ok(moved);
            }
        }
    }
}

fn check(path: &str) -> Result<(), StoreError> {
    if path.is_empty() || path.len() > ABS_PATH_MAX || path.as_bytes().contains(&0) {
        return Err(StoreError::Unsendable);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
