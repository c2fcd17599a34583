//! FAT images: made, filled, looked into, checked. docs/fat-tool.md describes the commands.
//!
//! - [`boot`]: the boot sector, read and written; [`mod@format`]: which layout a size gets.
//! - [`table`]: the file allocation table. [`name`] and [`record`]: what stands in directories.
//! - [`volume`]: an image opened, its tree walked once, everything that is wrong found.
//! - [`edit`]: changes, planned in memory and then written to a copy that takes the image's name.
//! - [`gather`]: files of the host to be added. [`mod@extract`]: the way back.
//! - [`command`]: the `fat` command. [`site`]: the two images of a site.
//!
//! An image may hold anything: whoever reads it here checks each number before it is used, and
//! every walk is bounded by the number of clusters.

pub mod boot;
pub mod command;
pub mod directory;
pub mod edit;
pub mod extract;
pub mod format;
pub mod gather;
mod image;
pub mod name;
pub mod problem;
pub mod record;
pub mod site;
pub mod size;
pub mod table;
pub mod volume;
