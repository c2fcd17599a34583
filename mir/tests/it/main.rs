//! The tool and its library from outside: sites in, packs, images and reasons out.

mod common;
mod errors;
mod follows;
mod front;
mod hostile;
mod live;
mod mounts;
mod own;
mod rules;
mod site;
mod terminal;
