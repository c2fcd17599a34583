//! How wide and high an image is, by its file.

use std::io::BufReader;

use super::markdown::{MAX_SVG, svg_size};
use super::walk::{Source, open, read_text};

/// The width and height of an image in pixels; `None` for what is none, or cannot be read.
pub(crate) fn of(source: &Source) -> Option<(u32, u32)> {
    let (_, extension) = source.rel.rsplit_once('.')?;
    match &*extension.to_ascii_lowercase() {
        "svg" => {
            let small = source.stamp.len <= MAX_SVG as u64;
            svg_size(&small.then(|| read_text(source).ok())??)
        }
        "png" | "jpg" | "jpeg" | "gif" | "webp" => {
            let file = BufReader::new(open(source).ok()?);
            let size = imagesize::reader_size(file).ok()?;
            let (width, height) = (size.width.try_into().ok()?, size.height.try_into().ok()?);
            (width > 0 && height > 0).then_some((width, height))
        }
        _ => None,
    }
}
