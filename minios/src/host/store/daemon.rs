//! The daemon's half of the protocol, without rings: requests in, replies and events out.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::tree::{Transaction, Tree, View};
use crate::DomId;
use crate::xenstore::Errno;
use crate::xenstore::codec::{self, ABS_PATH_MAX, DecodeError, Decoder, Kind, Message};

/// Quotas, as xenstored has them by default.
const WATCHES_MAX: usize = 128;
const TRANSACTIONS_MAX: usize = 10;
const VALUE_MAX: usize = 2000;

/// What below a guest's own directory the toolstack lets it write.
const WRITABLE: [&str; 10] = [
    "device/",
    "data",
    "drivers",
    "feature",
    "attr",
    "error",
    "control/shutdown",
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
];

/// The tree, its watches, and the refusals that a test asked for.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) tree: Tree,
    watches: Vec<Watched>,
    refusals: Vec<Refusal>,
    /// How many of the next commits fail.
    pub(super) conflicts: u32,
    /// Requests of guests that were carried out or refused.
    pub(super) requests: u64,
}

/// Who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watcher {
    Domain(DomId),
    /// A watch of a test's own.
    Local(u32),
}

#[derive(Debug)]
struct Watched {
    who: Watcher,
    /// Absolute.
    path: String,
    /// As the watcher said it.
    said: String,
    token: Vec<u8>,
    /// Events not yet delivered, each the path that changed.
    events: VecDeque<String>,
}

#[derive(Debug)]
struct Refusal {
    path: String,
    errno: Errno,
    times: u32,
}

/// What the daemon knows of a domain that is connected.
#[derive(Debug)]
pub(super) struct Session {
    domid: DomId,
    decoder: Decoder,
    transactions: BTreeMap<u32, Transaction>,
    last_tx_id: u32,
}

/// A reply on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) kind: Kind,
    pub(super) req_id: u32,
    pub(super) tx_id: u32,
    pub(super) payload: Vec<u8>,
}

impl Session {
    pub(super) fn new(domid: DomId) -> Self {
        Self {
            domid,
            decoder: Decoder::new(),
            transactions: BTreeMap::new(),
            last_tx_id: 0,
        }
    }
}

impl Daemon {
    pub(super) fn new() -> Self {
        Self {
            tree: Tree::new(),
            watches: Vec::new(),
            refusals: Vec::new(),
            conflicts: 0,
            requests: 0,
        }
    }

    /// Carries out the requests in `bytes`.
    pub(super) fn input(
        &mut self,
        session: &mut Session,
        mut bytes: &[u8],
    ) -> Result<Vec<Reply>, DecodeError> {
        let mut replies = Vec::new();
        let mut decoder = core::mem::take(&mut session.decoder);
        while let Some(message) = decoder.next(&mut bytes)? {
            self.requests += 1;
            let (kind, payload) = match self.answer(session, &message) {
                Ok(payload) => (message.kind, payload),
                Err(errno) => (Kind::Error, format!("{errno}\0").into_bytes()),
            };
            replies.push(Reply {
                kind,
                req_id: message.req_id,
                tx_id: message.tx_id,
                payload,
            });
        }
        session.decoder = decoder;
        Ok(replies)
    }

    /// Takes the next event of a domain's watches, as the payload of a message.
    pub(super) fn event(&mut self, domid: DomId) -> Option<Vec<u8>> {
        let watch = self
            .watches
            .iter_mut()
            .find(|w| w.who == Watcher::Domain(domid) && !w.events.is_empty())?;
        let path = watch.events.pop_front()?;
        // A path below a watch that was said relative is told relative.
        let told = match path.strip_prefix(&watch.path) {
            Some(rest) => [&watch.said, rest].concat(),
            None => path,
        };
        Some([told.as_bytes(), b"\0", &watch.token, b"\0"].concat())
    }

    /// Makes the next `times` requests that name `path` fail.
    pub(super) fn refuse(&mut self, path: &str, errno: Errno, times: u32) {
        self.refusals.retain(|r| r.path != path);
        if times > 0 {
            self.refusals.push(Refusal {
                path: path.to_string(),
                errno,
                times,
            });
        }
    }

    pub(super) fn watch_locally(&mut self, id: u32, path: &str) {
        self.add_watch(Watcher::Local(id), path, path, b"");
    }

    pub(super) fn unwatch_locally(&mut self, id: u32) {
        self.watches.retain(|w| w.who != Watcher::Local(id));
    }

    pub(super) fn take_local(&mut self, id: u32) -> Vec<String> {
        self.watches
            .iter_mut()
            .filter(|w| w.who == Watcher::Local(id))
            .flat_map(|w| w.events.drain(..))
            .collect()
    }

    /// Tells the watches about changed paths.
    pub(super) fn fire(&mut self, changed: Vec<String>) {
        for path in changed {
            for watch in &mut self.watches {
                if is_at_or_below(&path, &watch.path) {
                    watch.events.push_back(path.clone());
                }
            }
        }
    }

    fn add_watch(&mut self, who: Watcher, path: &str, said: &str, token: &[u8]) {
        self.watches.push(Watched {
            who,
            path: path.to_string(),
            said: said.to_string(),
            token: token.to_vec(),
            events: VecDeque::from([path.to_string()]),
        });
    }

    fn answer(&mut self, session: &mut Session, message: &Message<'_>) -> Result<Vec<u8>, Errno> {
        let payload = message.payload;
        match message.kind {
            Kind::Watch => self.watch(session.domid, payload)?,
            Kind::Unwatch => self.unwatch(session.domid, payload)?,
            Kind::ResetWatches => {
                let who = Watcher::Domain(session.domid);
                self.watches.retain(|w| w.who != who);
            }
            Kind::TransactionStart => {
                if session.transactions.len() >= TRANSACTIONS_MAX {
                    return Err(Errno::ENOSPC);
                }
                session.last_tx_id += 1;
                let transaction = self.tree.begin();
                session.transactions.insert(session.last_tx_id, transaction);
                return Ok(format!("{}\0", session.last_tx_id).into_bytes());
            }
            Kind::TransactionEnd => self.end(session, message)?,
            Kind::GetDomainPath => {
                let domid = codec::number(payload).ok_or(Errno::EINVAL)?;
                return Ok(format!("/local/domain/{domid}\0").into_bytes());
            }
            Kind::Read | Kind::Directory | Kind::Write | Kind::Mkdir | Kind::Rm => {
                return self.on_node(session, message);
            }
            _ => return Err(Errno::ENOSYS),
        }
        Ok(b"OK\0".to_vec())
    }

    fn on_node(&mut self, session: &mut Session, message: &Message<'_>) -> Result<Vec<u8>, Errno> {
        let end = message.payload.iter().position(|&b| b == 0);
        let end = end.ok_or(Errno::EINVAL)?;
        let (said, value) = (&message.payload[..end], &message.payload[end + 1..]);
        let path = absolute(session.domid, said)?;
        if message.kind != Kind::Write && !value.is_empty() {
            return Err(Errno::EINVAL);
        }
        self.check_refusal(&path)?;
        if !matches!(message.kind, Kind::Read | Kind::Directory) {
            may_write(session.domid, &path)?;
            if value.len() > VALUE_MAX && session.domid != DomId::ZERO {
                return Err(Errno::ENOSPC);
            }
        }
        let mut view = match message.tx_id {
            0 => View::Tree(&mut self.tree),
            id => View::Transaction(session.transactions.get_mut(&id).ok_or(Errno::ENOENT)?),
        };
        let changed = match message.kind {
            Kind::Read => return view.read(&path),
            Kind::Directory => {
                let names = view.list(&path)?;
                let payload: Vec<u8> = names
                    .iter()
                    .flat_map(|name| name.bytes().chain([0]))
                    .collect();
                if payload.len() > codec::PAYLOAD_MAX {
                    return Err(Errno::E2BIG);
                }
                return Ok(payload);
            }
            Kind::Write => view.write(&path, value),
            Kind::Mkdir => view.mkdir(&path),
            _ => view.rm(&path)?,
        };
        self.fire(changed);
        Ok(b"OK\0".to_vec())
    }

    fn watch(&mut self, domid: DomId, payload: &[u8]) -> Result<(), Errno> {
        let (said, token) = codec::two_strings(payload).ok_or(Errno::EINVAL)?;
        let path = absolute(domid, said)?;
        self.check_refusal(&path)?;
        let who = Watcher::Domain(domid);
        let mut own = self.watches.iter().filter(|w| w.who == who);
        if own.clone().count() >= WATCHES_MAX {
            return Err(Errno::E2BIG);
        }
        if own.any(|w| w.path == path && w.token == token) {
            return Err(Errno::EEXIST);
        }
        let said = String::from_utf8_lossy(said).to_string();
        self.add_watch(who, &path, &said, token);
        Ok(())
    }

    fn unwatch(&mut self, domid: DomId, payload: &[u8]) -> Result<(), Errno> {
        let (said, token) = codec::two_strings(payload).ok_or(Errno::EINVAL)?;
        let path = absolute(domid, said)?;
        let who = Watcher::Domain(domid);
        let at = self
            .watches
            .iter()
            .position(|w| w.who == who && w.path == path && w.token == token)
            .ok_or(Errno::ENOENT)?;
        self.watches.remove(at);
        Ok(())
    }

    fn end(&mut self, session: &mut Session, message: &Message<'_>) -> Result<(), Errno> {
        let transaction = session.transactions.remove(&message.tx_id);
        let transaction = transaction.ok_or(Errno::ENOENT)?;
        match message.payload {
            b"F\0" => Ok(()),
            b"T\0" if self.conflicts > 0 => {
                self.conflicts -= 1;
                Err(Errno::EAGAIN)
            }
            b"T\0" => {
                let changed = self.tree.commit(transaction)?;
                self.fire(changed);
                Ok(())
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn check_refusal(&mut self, path: &str) -> Result<(), Errno> {
        let Some(refusal) = self.refusals.iter_mut().find(|r| r.path == path) else {
            return Ok(());
        };
        let errno = refusal.errno;
        refusal.times -= 1;
        self.refusals.retain(|r| r.times > 0);
        Err(errno)
    }
}

/// The absolute form of a path as a domain says it.
pub(super) fn absolute(domid: DomId, said: &[u8]) -> Result<String, Errno> {
    let said = core::str::from_utf8(said).map_err(|_| Errno::EINVAL)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-/_@".contains(c);
    let path = if said.starts_with('/') {
        said.to_string()
    } else {
        format!("/local/domain/{domid}/{said}")
    };
    let odd = said.is_empty()
        || path.len() > ABS_PATH_MAX
        || !said.chars().all(allowed)
        || path.contains("//")
        || (path.len() > 1 && path.ends_with('/'));
    if odd { Err(Errno::EINVAL) } else { Ok(path) }
}

fn may_write(domid: DomId, path: &str) -> Result<(), Errno> {
    if domid == DomId::ZERO {
        return Ok(());
    }
    let own = format!("/local/domain/{domid}/");
    let rest = path.strip_prefix(&own).ok_or(Errno::EACCES)?;
    let allowed = WRITABLE.iter().any(|&allowed| match allowed {
        directory if directory.ends_with('/') => rest.starts_with(directory),
        node => is_at_or_below(rest, node),
    });
    if allowed { Ok(()) } else { Err(Errno::EACCES) }
}

fn is_at_or_below(path: &str, node: &str) -> bool {
    match path.strip_prefix(node) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || node == "/",
        None => false,
    }
}
