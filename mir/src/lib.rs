//! Builds web sites into packs, and packs into the programs that serve them.
//!
//! - [`site`] renders a folder of Markdown, templates and static files.
//! - [`pack`] compresses what came out and writes it as a pack, the archive that `www` serves from.
//! - [`direct`] answers from a site's folder while it is written.
//! - [`link`] joins a pack and a binary that was built without a site.
//! - [`image`] says what goes into an image beside the pack, [`describe`] reads it back.
//! - [`toolstack`] writes what starts a guest, for xl and for libvirt, and checks what others wrote.
//! - [`fat`] makes FAT images, fills them and looks into them.
//! - [`cli`] is the commands of the tool.
//! - [`output`] puts files where they belong, whole or not at all.
//!
//! Rendering needs libraries that need std, so it happens here and never in the guest. The same
//! folder gives the same bytes: nothing depends on the clock, on the order of a directory or on how
//! many processors there are.

pub mod cli;
mod config;
pub mod describe;
pub mod direct;
pub mod fat;
pub mod image;
mod input;
pub mod link;
pub mod output;
pub mod pack;
mod parallel;
pub mod problem;
pub mod site;
pub mod toolstack;

pub use www::media;
