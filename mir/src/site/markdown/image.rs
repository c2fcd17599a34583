//! Images of a page, with their width and height, so that nothing moves when they come.

use std::fmt::Write;

use super::Reader;
use crate::site::escape::html;

/// The largest SVG that is looked into.
pub(crate) const MAX_SVG: usize = 1 << 20;

pub(super) fn tag(
    url: &str,
    alt: &str,
    title: &str,
    size: Option<(u32, u32)>,
    reader: Reader,
) -> String {
    let mut out = format!("<img src=\"{}\" alt=\"{}\"", html(url), html(alt));
    // Writing to a string does not fail.
    if !title.is_empty() {
        let _ = write!(out, " title=\"{}\"", html(title));
    }
    if let Some((width, height)) = size {
        let _ = write!(out, " width=\"{width}\" height=\"{height}\"");
    }
    if reader == Reader::Page {
        out.push_str(" loading=\"lazy\" decoding=\"async\"");
    }
    out.push('>');
    out
}

/// The width and height that an SVG has by its own words, in CSS pixels.
pub(crate) fn svg_size(text: &str) -> Option<(u32, u32)> {
    let document = roxmltree::Document::parse(text).ok()?;
    let root = document.root_element();
    if root.tag_name().name() != "svg" {
        return None;
    }
    let length = |name| {
        let text = root.attribute(name)?.trim();
        pixels(text.strip_suffix("px").unwrap_or(text))
    };
    let view = || {
        let parts = root.attribute("viewBox")?;
        let mut parts = parts.split([' ', ',']).filter(|part| !part.is_empty());
        let (width, height) = (parts.nth(2)?, parts.next()?);
        Some((width.parse::<f64>().ok()?, height.parse::<f64>().ok()?))
    };
    let (width, height) = match (length("width"), length("height"), view()) {
        (Some(width), Some(height), _) => (width, height),
        (Some(width), None, Some((w, h))) => (width, width * h / w),
        (None, Some(height), Some((w, h))) => (height * w / h, height),
        (None, None, Some(view)) => view,
        _ => return None,
    };
    Some((rounded(width)?, rounded(height)?))
}

fn pixels(text: &str) -> Option<f64> {
    text.parse().ok()
}

fn rounded(length: f64) -> Option<u32> {
    let rounded = length.round();
    (1.0..=100_000.0)
        .contains(&rounded)
        .then_some(rounded as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_have_sizes() {
        for (attributes, size) in [
            ("width='10' height='20.4'", Some((10, 20))),
            (
                "width=\"10px\" height=\"20px\" viewBox='0 0 1 1'",
                Some((10, 20)),
            ),
            ("viewBox='0 0 300,150'", Some((300, 150))),
            ("width='100%' viewBox='0 0 300 150'", Some((300, 150))),
            ("width='30' viewBox='0 0 300 150'", Some((30, 15))),
            ("viewBox='0 0 0 150' width='30'", None),
            ("width='1e9' height='1'", None),
            ("width='NaN' height='-1'", None),
            ("", None),
        ] {
            let text = format!("<svg xmlns='http://www.w3.org/2000/svg' {attributes}/>");
            assert_eq!(svg_size(&text), size, "{attributes}");
        }
        assert_eq!(svg_size("<svg"), None);
        assert_eq!(svg_size("<html width='1' height='1'/>"), None);
    }
}
