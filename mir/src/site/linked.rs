//! `links.yml`: what others wrote elsewhere, each behind an address of the site.

/// The names that the file may have in `content/`.
pub(crate) const FILES: [&str; 2] = ["links.yml", "links.yaml"];
