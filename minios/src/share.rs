//! Pages that a peer may reach.
//!
//! Sharing takes the pages away; revoking gives them back. A page that the peer still maps when its
//! share ends can never be used again: it is leaked on purpose and counted ([`Domain::leaked`]).
//! Pages are wiped before they are shared, for all of a page is exposed.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::shared::Shared;
use crate::{DomId, Domain, Grant, PAGE_SIZE, Pages};

/// What a peer may do with a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read it.
    ReadOnly,
    /// Read and write it.
    ReadWrite,
}

/// Why pages were not shared. They have been freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShareError {
    /// The grant table is full.
    NoGrants,
    /// No memory for the list of grants.
    OutOfMemory,
}

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShareError::NoGrants => "the grant table is full",
            ShareError::OutOfMemory => "out of memory",
        })
    }
}

/// Why a share did not give its pages back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revoke {
    /// The peer still maps some; all `leaked` pages of the share are lost.
    StillMapped {
        /// How many pages were lost.
        leaked: usize,
    },
}

impl fmt::Display for Revoke {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Revoke::StillMapped { leaked } = self;
        write!(f, "still mapped by the peer: {leaked} pages leaked")
    }
}

/// The platform's grant table is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoGrants;

/// The platform could not end a grant, for the peer still maps the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StillMapped;

/// Granted pages; revoked, or else leaked, when dropped.
#[derive(Debug)]
struct Granted {
    /// `None` once they were given back or leaked.
    pages: Option<Pages>,
    grants: Vec<Grant>,
}

impl Granted {
    fn new(mut pages: Pages, peer: DomId, access: Access) -> Result<Self, ShareError> {
        pages.fill(0);
        let mut grants = Vec::new();
        grants
            .try_reserve_exact(pages.count())
            .map_err(|_| ShareError::OutOfMemory)?;
        let mut granted = Granted {
            pages: Some(pages),
            grants,
        };
        // Should one fail, dropping `granted` ends those that were made.
        if let Some(pages) = &granted.pages {
            for index in 0..pages.count() {
                let platform = pages.domain().platform();
                let grant = platform
                    .grant_access(pages.page(index), peer, access)
                    .map_err(|NoGrants| ShareError::NoGrants)?;
                granted.grants.push(grant);
            }
        }
        Ok(granted)
    }

    fn revoke(&mut self) -> Result<Pages, Revoke> {
        let Some(pages) = self.pages.take() else {
            return Err(Revoke::StillMapped { leaked: 0 });
        };
        let platform = pages.domain().platform();
        let mut mapped = false;
        for grant in self.grants.drain(..) {
            mapped |= platform.grant_end(grant).is_err();
        }
        if mapped {
            let leaked = pages.count();
            pages.leak();
            return Err(Revoke::StillMapped { leaked });
        }
        Ok(pages)
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        if self.pages.is_some() {
            // Lost pages have been counted.
            let _ = self.revoke();
        }
    }
}

/// Pages that a peer may read and write: bytes go in and out by copying only.
#[derive(Debug)]
pub struct Share {
    view: Shared,
    granted: Granted,
}

impl Share {
    pub(crate) fn new(pages: Pages, peer: DomId) -> Result<Self, ShareError> {
        let (at, len) = (pages.start(), pages.len());
        let granted = Granted::new(pages, peer, Access::ReadWrite)?;
        // SAFETY: whole pages, which `granted` keeps until `revoke` or drop consume `self`, and to
        // which it hands out no reference before.
        let view = unsafe { Shared::new(at, len, true) };
        Ok(Share { view, granted })
    }

    /// The grant of page `index`.
    pub fn grant(&self, index: usize) -> Option<Grant> {
        self.granted.grants.get(index).copied()
    }

    /// The grants of all pages, in order.
    pub fn grants(&self) -> &[Grant] {
        &self.granted.grants
    }

    /// Takes the pages back from the peer, or leaks them if it maps one still.
    pub fn revoke(mut self) -> Result<Pages, Revoke> {
        self.granted.revoke()
    }
}

impl Deref for Share {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.view
    }
}

/// Pages that a peer may only read: what we put there is ours, and need not be copied in.
#[derive(Debug)]
pub struct Published {
    view: Shared,
    granted: Granted,
}

impl Published {
    pub(crate) fn new(pages: Pages, peer: DomId) -> Result<Self, ShareError> {
        let (at, len) = (pages.start(), pages.len());
        let granted = Granted::new(pages, peer, Access::ReadOnly)?;
        // SAFETY: as in `Share::new`; `bytes_mut` borrows all of `self`, so that the view is not
        // used while that reference is.
        let view = unsafe { Shared::new(at, len, true) };
        Ok(Published { view, granted })
    }

    /// The bytes themselves. The peer sees them change in any order; it must be told what it may
    /// look at only afterwards.
    #[inline]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.granted.pages {
            // Nobody but us writes these pages: the grant is read-only, which the hypervisor
            // enforces, so the exclusive reference that `Pages` gives is one. The peer's reads are
            // no accesses of this program's; they cannot change what it computes.
            Some(pages) => pages,
            None => &mut [],
        }
    }

    /// The grant of page `index`.
    pub fn grant(&self, index: usize) -> Option<Grant> {
        self.granted.grants.get(index).copied()
    }

    /// The grants of all pages, in order.
    pub fn grants(&self) -> &[Grant] {
        &self.granted.grants
    }

    /// Takes the pages back from the peer, or leaks them if it maps one still.
    pub fn revoke(mut self) -> Result<Pages, Revoke> {
        self.granted.revoke()
    }
}

impl Deref for Published {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.view
    }
}

/// A page shared with the control domain before this one was started: console or xenstore.
#[derive(Debug)]
pub struct BootPage {
    view: Shared,
    _domain: Domain,
}

impl BootPage {
    /// # Safety
    ///
    /// A page is mapped for writing at `at` for as long as `domain` exists, and only ever reached
    /// through views of shared memory.
    pub(crate) unsafe fn new(domain: &Domain, at: core::ptr::NonNull<u8>) -> Self {
        BootPage {
            // SAFETY: the caller's promise, and `_domain` keeps the domain.
            view: unsafe { Shared::new(at, PAGE_SIZE, true) },
            _domain: domain.clone(),
        }
    }
}

impl Deref for BootPage {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.view
    }
}
