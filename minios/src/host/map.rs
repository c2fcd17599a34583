//! Mapping what another domain grants, as a back end does.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

use super::{Hypervisor, State};
use crate::shared::Shared;
use crate::{Access, DomId, Domain, Grant, PAGE_SIZE};

/// Why a grant could not be mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantError {
    /// There is no such domain, or the grant is not in force.
    NoSuchGrant,
    /// It is another domain's to use.
    NotForYou,
    /// It is for reading only.
    ReadOnly,
    /// The pages do not follow each other where they are; map them one by one.
    NotContiguous,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GrantError::NoSuchGrant => "no such grant",
            GrantError::NotForYou => "granted to another domain",
            GrantError::ReadOnly => "granted for reading only",
            GrantError::NotContiguous => "not contiguous",
        })
    }
}

/// Another domain's pages, until dropped.
pub struct Mapping {
    view: Shared,
    hypervisor: Hypervisor,
    owner: DomId,
    grants: Vec<Grant>,
}

/// Maps one page that `peer` grants to `domain`.
pub fn map(
    domain: &Domain,
    peer: DomId,
    grant: Grant,
    access: Access,
) -> Result<Mapping, GrantError> {
    map_all(domain, peer, &[grant], access)
}

/// Maps several pages that `peer` grants to `domain`, as one. In this hypervisor they must be pages of
/// one share, in order.
pub fn map_all(
    domain: &Domain,
    peer: DomId,
    grants: &[Grant],
    access: Access,
) -> Result<Mapping, GrantError> {
    let platform = domain.platform();
    let mut state = platform.hypervisor.state();
    let mut start: Option<NonNull<u8>> = None;
    for (index, grant) in grants.iter().enumerate() {
        let page = check(&state, platform.id, peer, *grant, access)?;
        let first = *start.get_or_insert(page);
        if page.as_ptr() != first.as_ptr().wrapping_add(index * PAGE_SIZE) {
            return Err(GrantError::NotContiguous);
        }
    }
    let start = start.ok_or(GrantError::NoSuchGrant)?;
    for grant in grants {
        if let Some(Some(entry)) = state.dom(peer).grants.get_mut(grant.0 as usize) {
            entry.mapped += 1;
        }
    }
    drop(state);
    let len = grants.len() * PAGE_SIZE;
    // SAFETY: `check` found each page allocated and granted. Its grant cannot be ended while `mapped`
    // counts us, and a granted page is not freed. The owner reaches it through a `Shared` too or, if
    // it is granted for reading only, through a reference that nobody else writes behind: then
    // `writable` is false here.
    let view = unsafe { Shared::new(start, len, access == Access::ReadWrite) };
    Ok(Mapping {
        view,
        hypervisor: platform.hypervisor.clone(),
        owner: peer,
        grants: grants.to_vec(),
    })
}

fn check(
    state: &State,
    me: DomId,
    owner: DomId,
    grant: Grant,
    access: Access,
) -> Result<NonNull<u8>, GrantError> {
    let dom = state.domains.get(&owner);
    match dom.and_then(|dom| dom.grants.get(grant.0 as usize)) {
        Some(Some(entry)) if entry.peer != me => Err(GrantError::NotForYou),
        Some(Some(entry)) if entry.access == Access::ReadOnly && access == Access::ReadWrite => {
            Err(GrantError::ReadOnly)
        }
        Some(Some(entry)) => Ok(entry.page),
        _ => Err(GrantError::NoSuchGrant),
    }
}

impl Deref for Mapping {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.view
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} of domain {})", self.grants.len(), self.owner)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let mut state = self.hypervisor.state();
        for grant in &self.grants {
            if let Some(Some(entry)) = state.dom(self.owner).grants.get_mut(grant.0 as usize) {
                entry.mapped -= 1;
            }
        }
    }
}
