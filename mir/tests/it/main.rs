//! The tool and its library from outside: sites in, packs, images and reasons out.

mod common;
mod errors;
mod hostile;
mod live;
mod own;
mod site;
mod terminal;
