//! What the hypervisor knows about one domain.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::ptr::NonNull;

use super::Faults;
use crate::abi::grant::{RESERVED, RESERVED_CONSOLE, RESERVED_XENSTORE};
use crate::domain::WeakDomain;
use crate::{Access, DomId, Grant, PAGE_SIZE, PortNumber, ShutdownReason};

const GRANTS: usize = 16 * 1024;
/// As many as the two-level ABI has for 64-bit domains.
const PORTS: usize = 4096;

/// A page that a domain is born with, granted to domain 0, and its event channel.
#[derive(Clone, Copy)]
pub(super) struct BootRing {
    pub(super) grant: Grant,
    pub(super) port: PortNumber,
}

pub(super) const CONSOLE: BootRing = BootRing {
    grant: Grant(RESERVED_CONSOLE),
    port: PortNumber(2),
};
pub(super) const STORE: BootRing = BootRing {
    grant: Grant(RESERVED_XENSTORE),
    port: PortNumber(1),
};

pub(super) struct Dom {
    pub(super) handle: WeakDomain,
    pub(super) faults: Faults,
    pub(super) stopped: Option<ShutdownReason>,
    pub(super) pending: BTreeSet<u32>,
    /// Events that will be delivered once more after they were taken.
    repeat: BTreeSet<u32>,
    /// Allocations, by address.
    allocations: BTreeMap<usize, usize>,
    pub(super) grants: Vec<Option<GrantEntry>>,
    free_grants: Vec<u32>,
    pub(super) ports: Vec<PortState>,
}

#[derive(Clone)]
pub(super) struct GrantEntry {
    pub(super) peer: DomId,
    pub(super) page: NonNull<u8>,
    pub(super) access: Access,
    pub(super) mapped: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PortState {
    Free,
    Unbound { peer: DomId },
    Bound { peer: DomId, port: u32 },
}

impl Dom {
    pub(super) fn new() -> Self {
        let mut dom = Dom {
            handle: WeakDomain::default(),
            faults: Faults::default(),
            stopped: None,
            pending: BTreeSet::new(),
            repeat: BTreeSet::new(),
            allocations: BTreeMap::new(),
            grants: vec![None; RESERVED as usize],
            free_grants: Vec::new(),
            ports: vec![PortState::Free; 3],
        };
        for ring in [CONSOLE, STORE] {
            let page = match dom.alloc(1) {
                Some(page) => page,
                None => panic!("the host is out of memory"),
            };
            dom.grants[ring.grant.0 as usize] = Some(GrantEntry {
                peer: DomId::ZERO,
                page,
                access: Access::ReadWrite,
                mapped: 0,
            });
            dom.ports[ring.port.0 as usize] = PortState::Unbound { peer: DomId::ZERO };
        }
        dom
    }

    pub(super) fn boot_page(&self, ring: BootRing) -> NonNull<u8> {
        match &self.grants[ring.grant.0 as usize] {
            Some(entry) => entry.page,
            None => panic!("a domain ended the grant of a page that it was born with"),
        }
    }

    pub(super) fn pages_held(&self) -> usize {
        self.allocations.values().sum::<usize>() - 2
    }

    pub(super) fn grants_in_force(&self) -> usize {
        self.grants.iter().flatten().count() - 2
    }

    pub(super) fn alloc(&mut self, count: usize) -> Option<NonNull<u8>> {
        if let Some(left) = &mut self.faults.pages_left {
            *left = left.checked_sub(count)?;
        }
        // SAFETY: the size is not zero: `Pages` asks for one page at least, and so does `new`.
        let at = NonNull::new(unsafe { alloc_zeroed(layout(count)) })?;
        self.allocations.insert(at.as_ptr() as usize, count);
        Some(at)
    }

    pub(super) fn free(&mut self, at: NonNull<u8>, count: usize) {
        let start = at.as_ptr() as usize;
        assert_eq!(
            self.allocations.remove(&start),
            Some(count),
            "freed pages that are not allocated so"
        );
        let freed = start..start + count * PAGE_SIZE;
        for entry in self.grants.iter().flatten() {
            assert!(
                !freed.contains(&(entry.page.as_ptr() as usize)),
                "freed a page that is still granted to domain {}",
                entry.peer
            );
        }
        if let Some(left) = &mut self.faults.pages_left {
            *left += count;
        }
        // SAFETY: the table of allocations says that these pages are ours, of this layout, and not
        // freed yet.
        unsafe { dealloc(at.as_ptr(), layout(count)) };
    }

    pub(super) fn owns(&self, page: NonNull<u8>) -> bool {
        let page = page.as_ptr() as usize;
        let below = self.allocations.range(..=page).next_back();
        page.is_multiple_of(PAGE_SIZE)
            && below.is_some_and(|(start, count)| page < start + count * PAGE_SIZE)
    }

    pub(super) fn grant(
        &mut self,
        page: NonNull<u8>,
        peer: DomId,
        access: Access,
    ) -> Option<Grant> {
        if let Some(left) = &mut self.faults.grants_left {
            *left = left.checked_sub(1)?;
        }
        let index = match self.free_grants.pop() {
            Some(index) => index,
            None if self.grants.len() < GRANTS => {
                self.grants.push(None);
                self.grants.len() as u32 - 1
            }
            None => return None,
        };
        self.grants[index as usize] = Some(GrantEntry {
            peer,
            page,
            access,
            mapped: 0,
        });
        Some(Grant(index))
    }

    /// False if the grant is mapped.
    pub(super) fn ungrant(&mut self, grant: Grant) -> bool {
        match self.grants.get_mut(grant.0 as usize) {
            Some(Some(entry)) if entry.mapped > 0 => return false,
            Some(entry @ Some(_)) => *entry = None,
            _ => panic!("ended grant {grant}, which is not in force"),
        }
        self.free_grants.push(grant.0);
        if let Some(left) = &mut self.faults.grants_left {
            *left += 1;
        }
        true
    }

    pub(super) fn new_port(&mut self, state: PortState) -> Option<u32> {
        if let Some(left) = &mut self.faults.ports_left {
            *left = left.checked_sub(1)?;
        }
        // Port 0 is never handed out.
        let free = (1..self.ports.len()).find(|at| self.ports[*at] == PortState::Free);
        let port = match free {
            Some(port) => port,
            None if self.ports.len() < PORTS => {
                self.ports.push(PortState::Free);
                self.ports.len() - 1
            }
            None => return None,
        };
        self.ports[port] = state;
        Some(port as u32)
    }

    pub(super) fn port(&self, port: u32) -> PortState {
        self.ports
            .get(port as usize)
            .copied()
            .unwrap_or(PortState::Free)
    }

    pub(super) fn raise(&mut self, port: u32) {
        if self.port(port) == PortState::Free {
            return;
        }
        if self.faults.lose_events > 0 {
            self.faults.lose_events -= 1;
            return;
        }
        if self.faults.repeat_events > 0 {
            self.faults.repeat_events -= 1;
            self.repeat.insert(port);
        }
        self.pending.insert(port);
    }

    pub(super) fn take_pending(&mut self) -> BTreeSet<u32> {
        let repeat = core::mem::take(&mut self.repeat);
        core::mem::replace(&mut self.pending, repeat)
    }

    pub(super) fn close(&mut self, port: u32) {
        self.ports[port as usize] = PortState::Free;
        self.pending.remove(&port);
        self.repeat.remove(&port);
        if let Some(left) = &mut self.faults.ports_left {
            *left += 1;
        }
    }
}

impl Drop for Dom {
    fn drop(&mut self) {
        for (at, count) in core::mem::take(&mut self.allocations) {
            // SAFETY: allocated so and not freed. Whatever could reach these pages (`Pages`, shares,
            // mappings) keeps the hypervisor, and with it this domain, alive; these were leaked.
            unsafe { dealloc(at as *mut u8, layout(count)) };
        }
    }
}

fn layout(count: usize) -> Layout {
    match Layout::from_size_align(count * PAGE_SIZE, PAGE_SIZE) {
        Ok(layout) => layout,
        Err(_) => panic!("{count} pages are more than there can be"),
    }
}
