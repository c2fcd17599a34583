//! A domain's side of the hypervisor: the names that `minios::xen` has too.

use core::ptr::NonNull;
use core::time::Duration;

use super::domain::{self, PortState};
use super::{Hypervisor, run};
use crate::event::EventError;
use crate::share::{NoGrants, StillMapped};
use crate::{Access, DomId, Grant, Instant, MemoryInfo, ShutdownReason};

/// What a domain runs on.
#[derive(Clone)]
pub struct Platform {
    pub(super) hypervisor: Hypervisor,
    pub(super) id: DomId,
}

impl Platform {
    pub(super) fn new(hypervisor: Hypervisor, id: DomId) -> Self {
        Platform { hypervisor, id }
    }

    /// The hypervisor that this domain runs on.
    pub fn hypervisor(&self) -> &Hypervisor {
        &self.hypervisor
    }

    /// This domain's number.
    pub fn id(&self) -> DomId {
        self.id
    }

    /// Zeroed pages, contiguous; `count` is at least 1.
    pub(crate) fn alloc_pages(&self, count: usize) -> Option<NonNull<u8>> {
        self.hypervisor.state().dom(self.id).alloc(count)
    }

    /// Gives pages back.
    ///
    /// # Safety
    ///
    /// `at` and `count` are those of an [`alloc_pages`](Self::alloc_pages), and nothing uses the
    /// pages any more.
    pub(crate) unsafe fn free_pages(&self, at: NonNull<u8>, count: usize) {
        self.hypervisor.state().dom(self.id).free(at, count);
    }

    /// How much memory there is.
    pub fn memory(&self) -> MemoryInfo {
        let mut state = self.hypervisor.state();
        let dom = state.dom(self.id);
        let used = dom.pages_held();
        let free = dom.faults.pages_left.unwrap_or(1 << 20);
        MemoryInfo {
            frames_total: used + free,
            frames_free: free,
            ..MemoryInfo::default()
        }
    }

    /// Lets `peer` map `page`, which is one of this domain's.
    pub(crate) fn grant_access(
        &self,
        page: NonNull<u8>,
        peer: DomId,
        access: Access,
    ) -> Result<Grant, NoGrants> {
        let mut state = self.hypervisor.state();
        let dom = state.dom(self.id);
        assert!(dom.owns(page), "granted a page that is not the domain's");
        dom.grant(page, peer, access).ok_or(NoGrants)
    }

    /// Ends a grant, unless the peer still maps the page.
    pub(crate) fn grant_end(&self, grant: Grant) -> Result<(), StillMapped> {
        match self.hypervisor.state().dom(self.id).ungrant(grant) {
            true => Ok(()),
            false => Err(StillMapped),
        }
    }

    /// A port that `peer` may bind.
    pub(crate) fn port_alloc(&self, peer: DomId) -> Result<u32, EventError> {
        let mut state = self.hypervisor.state();
        let dom = state.dom(self.id);
        dom.new_port(PortState::Unbound { peer })
            .ok_or(EventError::NoPorts)
    }

    /// A port bound to `remote`, which `peer` offers to this domain. An event is pending on it, as
    /// with Xen: one may have been lost while the other end was unbound.
    pub(crate) fn port_bind(&self, peer: DomId, remote: u32) -> Result<u32, EventError> {
        let mut state = self.hypervisor.state();
        let offered = PortState::Unbound { peer: self.id };
        if state.domains.get(&peer).map(|dom| dom.port(remote)) != Some(offered) {
            return Err(EventError::Refused);
        }
        let dom = state.dom(self.id);
        let local = dom
            .new_port(PortState::Bound { peer, port: remote })
            .ok_or(EventError::NoPorts)?;
        dom.raise(local);
        state.dom(peer).ports[remote as usize] = PortState::Bound {
            peer: self.id,
            port: local,
        };
        Ok(local)
    }

    /// Closes a port; the other end is unbound then.
    pub(crate) fn port_close(&self, port: u32) {
        let mut state = self.hypervisor.state();
        match state.dom(self.id).port(port) {
            PortState::Free => panic!("domain {} closed port {port} twice", self.id),
            PortState::Unbound { .. } => (),
            PortState::Bound { peer, port: remote } => {
                state.dom(peer).ports[remote as usize] = PortState::Unbound { peer: self.id };
            }
        }
        state.dom(self.id).close(port);
    }

    /// Raises an event at the other end. Nobody may be there.
    pub fn port_notify(&self, port: u32) {
        let mut state = self.hypervisor.state();
        match state.dom(self.id).port(port) {
            PortState::Free => panic!("domain {} notified closed port {port}", self.id),
            PortState::Unbound { .. } => (),
            PortState::Bound { peer, port } => state.raise(peer, port),
        }
    }

    /// Takes all pending events.
    pub fn take_pending(&self, each: &mut dyn FnMut(u32)) {
        let pending = self.hypervisor.state().dom(self.id).take_pending();
        pending.into_iter().for_each(each);
    }

    /// The time since boot.
    pub fn now(&self) -> Instant {
        self.hypervisor.now()
    }

    /// The time since 1970.
    pub fn wall(&self) -> Duration {
        let state = self.hypervisor.state();
        state.booted_at + state.now.since(Instant::ZERO)
    }

    /// Returns when an event is pending, or moves the clock to `until`.
    pub fn sleep(&self, until: Option<Instant>) {
        run::sleep(self, until);
    }

    /// Records that the domain stops.
    pub fn shutdown(&self, reason: ShutdownReason) {
        self.hypervisor.state().dom(self.id).stopped = Some(reason);
    }

    /// The console page and this domain's port.
    pub(crate) fn console_ring(&self) -> Option<(NonNull<u8>, u32)> {
        let mut state = self.hypervisor.state();
        let page = state.dom(self.id).boot_page(domain::CONSOLE);
        Some((page, domain::CONSOLE.port.0))
    }

    /// The xenstore page and this domain's port.
    pub(crate) fn store_ring(&self) -> (NonNull<u8>, u32) {
        let mut state = self.hypervisor.state();
        let page = state.dom(self.id).boot_page(domain::STORE);
        (page, domain::STORE.port.0)
    }

    /// Different bytes each time, the same in each run.
    pub fn entropy(&self, out: &mut [u8; 32]) {
        let mut state = self.hypervisor.state();
        for bytes in out.chunks_exact_mut(8) {
            // SplitMix64.
            state.seed = state.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = state.seed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.copy_from_slice(&(word ^ (word >> 31)).to_le_bytes());
        }
    }

    /// How often the domain was resumed.
    pub fn generation(&self) -> u32 {
        0
    }
}
