//! What the toolstack asks of the whole domain: `control/shutdown`.
//!
//! A request is acknowledged at once, by emptying the key, so that `xl shutdown` knows that somebody
//! listens; what it takes to stop in good order comes after. Source: docs/misc/xenstore-paths.pandoc
//! of Xen 4.20, and what Linux's drivers/xen/manage.c does.

use alloc::string::String;
use core::time::Duration;

use crate::xenstore::{Store, StoreError, Tree, Watch};
use crate::{Domain, ShutdownReason};

const SHUTDOWN: &str = "control/shutdown";

/// What we can do, by the keys that say so.
const FEATURES: [(&str, &str); 4] = [
    ("control/feature-poweroff", "1"),
    ("control/feature-reboot", "1"),
    ("control/feature-halt", "1"),
    ("control/feature-suspend", "0"),
];

/// What the toolstack wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `xl shutdown`.
    Poweroff,
    /// The same, in the word of older tools.
    Halt,
    /// `xl reboot`.
    Reboot,
}

impl Request {
    /// How the domain is to stop.
    pub fn reason(self) -> ShutdownReason {
        match self {
            Self::Poweroff | Self::Halt => ShutdownReason::Poweroff,
            Self::Reboot => ShutdownReason::Reboot,
        }
    }
}

/// The toolstack's line to us.
pub struct Control {
    domain: Domain,
    store: Store,
    watch: Watch,
}

impl Control {
    /// Says what we can do, as far as we are let, and listens. Cancelling it leaves some of it said.
    pub async fn open(domain: &Domain, store: &Store) -> Result<Self, StoreError> {
        for (key, value) in FEATURES {
            match store.write(key, value).await {
                Ok(()) => {}
                Err(StoreError::Broken) => return Err(StoreError::Broken),
                // Toolstacks differ in which of these keys they let a guest write; none needs them.
                Err(error) => log::debug!("{key}: {error}"),
            }
        }
        Ok(Self {
            domain: domain.clone(),
            store: store.clone(),
            watch: store.watch(SHUTDOWN).await?,
        })
    }

    /// Waits for a request, and acknowledges it. Fails only if the store is broken.
    ///
    /// Words that we do not know are logged and acknowledged. `suspend`, which we say that we cannot
    /// do, is not acknowledged: that is how the toolstack learns that it will not happen. Cancelling
    /// this may lose a request that was being acknowledged.
    pub async fn request(&self) -> Result<Request, StoreError> {
        loop {
            self.watch.changed().await?;
            let word = self.take_word().await?;
            match word.as_deref() {
                None | Some("") => {}
                Some("poweroff") => return Ok(Request::Poweroff),
                Some("halt") => return Ok(Request::Halt),
                Some("reboot") => return Ok(Request::Reboot),
                Some("suspend") => log::warn!("asked to suspend, which is not supported"),
                Some(word) => {
                    let word = word.as_bytes();
                    let word = word.get(..40).unwrap_or(word).escape_ascii();
                    log::warn!("asked to \"{word}\", whatever that is");
                }
            }
        }
    }

    /// Reads the word and acknowledges it, however long that takes.
    async fn take_word(&self) -> Result<Option<String>, StoreError> {
        /// Between attempts that failed for want of memory or luck.
        const PAUSE: Duration = Duration::from_millis(50);
        loop {
            let taken = self.store.transaction(async |tx: &Tree| {
                let word = tx.read(SHUTDOWN).await?;
                if !word.is_empty() && word != "suspend" {
                    tx.write(SHUTDOWN, "").await?;
                }
                Ok::<_, StoreError>(word)
            });
            match taken.await {
                Ok(word) => return Ok(Some(word)),
                Err(StoreError::Broken) => return Err(StoreError::Broken),
                Err(error) if error.is_missing() => return Ok(None),
                Err(StoreError::NotText) => {
                    // Not a word of anybody's; the next one may be.
                    log::warn!("{SHUTDOWN} is not text");
                    return Ok(None);
                }
                Err(error) => {
                    log::debug!("{SHUTDOWN}: {error}");
                    self.domain.sleep(PAUSE).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::format;
    use std::rc::Rc;
    use std::vec::Vec;

    use super::*;
    use crate::DomId;
    use crate::exec::Executor;
    use crate::host::store::{Lie, Server};
    use crate::host::{Hypervisor, Party};
    use crate::xenstore::Errno;

    const GUEST: DomId = DomId(7);
    const KEY: &str = "/local/domain/7/control/shutdown";

    struct Rig {
        hypervisor: Hypervisor,
        server: Server,
        dom0: (Domain, Executor),
        guest: (Domain, Executor),
        heard: Rc<RefCell<Vec<Result<Request, StoreError>>>>,
    }

    impl Rig {
        fn new() -> Self {
            let hypervisor = Hypervisor::new();
            let server = Server::new(&hypervisor);
            let dom0 = (hypervisor.domain(DomId::ZERO), Executor::new());
            let guest = (hypervisor.domain(GUEST), Executor::new());
            server.attach(GUEST).unwrap();
            let serving = server.clone();
            let task = async move { serving.run().await };
            dom0.1.spawner().spawn(task).unwrap();
            let store = Store::new(&guest.0);
            let running = store.clone();
            let task = async move {
                running.run().await;
            };
            guest.1.spawner().spawn(task).unwrap();
            let heard = Rc::new(RefCell::new(Vec::new()));
            let (domain, out) = (guest.0.clone(), Rc::clone(&heard));
            let task = async move {
                let control = Control::open(&domain, &store).await.unwrap();
                loop {
                    let request = control.request().await;
                    out.borrow_mut().push(request);
                    if request.is_err() {
                        return;
                    }
                }
            };
            guest.1.spawner().spawn(task).unwrap();
            let rig = Self {
                hypervisor,
                server,
                dom0,
                guest,
                heard,
            };
            rig.settle();
            rig
        }

        fn parties(&self) -> [Party<'_>; 2] {
            [(&self.dom0.0, &self.dom0.1), (&self.guest.0, &self.guest.1)]
        }

        fn settle(&self) {
            self.hypervisor.settle(&self.parties());
        }

        fn ask(&self, word: &str) -> Vec<Result<Request, StoreError>> {
            self.server.write(KEY, word);
            self.settle();
            self.heard.take()
        }

        fn key(&self) -> String {
            self.server.read(KEY).unwrap()
        }
    }

    #[test]
    fn abilities_are_said_as_far_as_that_is_allowed() {
        let rig = Rig::new();
        let said = |name: &str| {
            let path = format!("/local/domain/7/control/feature-{name}");
            rig.server.read(&path)
        };
        assert_eq!(said("poweroff").as_deref(), Some("1"));
        assert_eq!(said("reboot").as_deref(), Some("1"));
        assert_eq!(said("suspend").as_deref(), Some("0"));
        assert_eq!(said("halt"), None, "libxl does not let a guest write that");
    }

    #[test]
    fn requests_are_heard_and_acknowledged_each_time() {
        let rig = Rig::new();
        for (word, request) in [
            ("poweroff", Request::Poweroff),
            ("reboot", Request::Reboot),
            ("halt", Request::Halt),
            ("reboot", Request::Reboot),
        ] {
            assert_eq!(rig.ask(word), [Ok(request)]);
            assert_eq!(rig.key(), "");
        }
        assert_eq!(Request::Halt.reason(), ShutdownReason::Poweroff);
        assert_eq!(Request::Reboot.reason(), ShutdownReason::Reboot);
    }

    #[test]
    fn odd_words_are_not_requests() {
        let rig = Rig::new();
        assert_eq!(rig.ask("dance"), []);
        assert_eq!(rig.key(), "");
        assert_eq!(rig.ask("suspend"), []);
        assert_eq!(rig.key(), "suspend");
        assert_eq!(rig.ask(""), []);
        rig.server.rm(KEY);
        rig.server.write_bytes(KEY, b"\xff");
        rig.settle();
        assert_eq!(rig.ask("poweroff"), [Ok(Request::Poweroff)]);
    }

    #[test]
    fn conflicts_and_refusals_do_not_lose_a_request() {
        let rig = Rig::new();
        // More than one transaction's attempts.
        rig.server.conflict(40);
        rig.server.write(KEY, "poweroff");
        rig.hypervisor
            .run_until(&rig.parties(), || !rig.heard.borrow().is_empty());
        assert_eq!(rig.heard.take(), [Ok(Request::Poweroff)]);
        rig.server.refuse(KEY, Errno::EIO, 3);
        rig.server.write(KEY, "reboot");
        rig.hypervisor
            .run_until(&rig.parties(), || !rig.heard.borrow().is_empty());
        assert_eq!(rig.heard.take(), [Ok(Request::Reboot)]);
        rig.server.refuse(KEY, Errno::EACCES, 1);
        assert_eq!(rig.ask("reboot"), []);
        assert_eq!(rig.ask("reboot"), [Ok(Request::Reboot)]);
    }

    #[test]
    fn a_broken_store_ends_it() {
        let rig = Rig::new();
        rig.server.misbehave(GUEST).lie = Some(Lie::Oversized);
        assert_eq!(rig.ask("poweroff"), [Err(StoreError::Broken)]);
    }
}
