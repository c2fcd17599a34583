//! What the whole-system tests share.

pub mod capture;
pub mod disk;
pub mod fat;
pub mod fat_image;
pub mod images;
pub mod lan;
pub mod net;
pub mod netns;
pub mod program;
pub mod tools;
pub mod unix;
