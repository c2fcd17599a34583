//! The tool and its library from outside: sites in, packs, images and reasons out.

mod common;
mod errors;
mod hostile;
mod own;
mod site;
