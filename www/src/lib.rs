//! A web site, served: HTTP, the site's pack, and a TCP/IP stack for those who have no kernel's.
//!
//! This crate knows no hypervisor and no operating system. What it needs of the world comes in
//! through the seams in [`seam`]: a [`Stack`] that hands out connections, a [`Clock`].
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cache;
pub mod config;
pub mod date;
pub mod encoding;
pub mod fat;
pub mod http;
pub mod media;
pub mod net;
pub mod pack;
pub mod seam;
pub mod sectors;
pub mod stats;
pub mod store;
mod turn;

pub use seam::{Clock, Conn, ConnError, Stack};
pub use sectors::{Sector, Sectors, SectorsError};
pub use store::Store;
