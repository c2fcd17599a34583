//! Conditions, ranges and encodings as RFC 9110 has them, asked of one site in each of the ways in
//! which it can be served: from a pack, from FAT volumes, from its folder.

mod ranges;
mod stores;
mod table;
