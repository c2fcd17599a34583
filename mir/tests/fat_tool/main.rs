//! `fat` from outside: what it writes is read by dosfstools, mtools, sleuthkit and `file`, it reads
//! what they write, and whatever an image holds it says what is wrong.

mod common;
mod damaged;
mod model;
mod outside;
mod site;
mod words;
