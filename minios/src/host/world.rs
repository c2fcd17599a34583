//! A host and a guest with a xenstore between them.

use alloc::rc::Rc;
use core::cell::RefCell;
use core::time::Duration;

use super::Hypervisor;
use super::store::Server;
use crate::exec::Executor;
use crate::xenstore::Store;
use crate::{DomId, Domain};

/// What a task will have come to.
pub type Slot<T> = Rc<RefCell<Option<T>>>;

/// Two domains in one thread, whose tasks run when told: `host`, which runs xenstore and backends, and `guest`.
pub struct World {
    /// The machine.
    pub hypervisor: Hypervisor,
    /// Its xenstore.
    pub server: Server,
    /// Domain 0.
    pub host: (Domain, Executor),
    /// Domain [`World::GUEST`].
    pub guest: (Domain, Executor),
    /// The guest's connection to xenstore.
    pub store: Store,
}

impl World {
    /// Which domain the guest is.
    pub const GUEST: DomId = DomId(1);

    /// A machine in which nothing has happened yet.
    #[expect(clippy::new_without_default, reason = "tests make one on purpose")]
    pub fn new() -> Self {
        let hypervisor = Hypervisor::new();
        let server = Server::new(&hypervisor);
        let host = (hypervisor.domain(DomId::ZERO), Executor::new());
        let guest = (hypervisor.domain(Self::GUEST), Executor::new());
        server.attach(Self::GUEST).expect("a guest");
        let store = Store::new(&guest.0);
        let world = Self {
            hypervisor,
            server,
            host,
            guest,
            store,
        };
        let (server, store) = (world.server.clone(), world.store.clone());
        world.start_on_host(async move { server.run().await });
        world.start(async move { store.run().await });
        world
    }

    /// Starts a task of the guest's.
    pub fn start<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Slot<T> {
        start(&self.guest.1, future)
    }

    /// Starts a task of the host's.
    pub fn start_on_host<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> Slot<T> {
        start(&self.host.1, future)
    }

    /// Lets so much time pass.
    pub fn run_for(&self, duration: Duration) {
        let parties = [(&self.host.0, &self.host.1), (&self.guest.0, &self.guest.1)];
        self.hypervisor.run_for(&parties, duration);
    }

    /// Lets everybody do what he can do without waiting.
    pub fn settle(&self) {
        self.run_for(Duration::ZERO);
    }

    /// Fails unless the guest has neither grants nor pages, and has never lost one.
    pub fn clean(&self) {
        assert_eq!(self.hypervisor.grants(Self::GUEST), 0);
        assert_eq!(self.hypervisor.pages(Self::GUEST), 0);
        assert_eq!(self.guest.0.leaked(), 0);
    }
}

fn start<T: 'static>(executor: &Executor, future: impl Future<Output = T> + 'static) -> Slot<T> {
    let slot = Slot::default();
    let out = Rc::clone(&slot);
    let task = async move {
        let value = future.await;
        *out.borrow_mut() = Some(value);
    };
    executor.spawner().spawn(task).expect("a task");
    slot
}
