//! What the commands print.

use std::io::{self, Write};
use std::path::Path;

use crate::fat::boot::NO_LABEL;
use crate::fat::size;
use crate::fat::volume::{Tree, Volume};

/// One line each: path, kind, size.
pub(super) fn list(tree: &Tree, top: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut stack = match top {
        0 => tree.nodes[0].children.iter().rev().copied().collect(),
        top => vec![top],
    };
    while let Some(at) = stack.pop() {
        let node = &tree.nodes[at];
        let kind = if node.is_directory() { "DIR" } else { "FILE" };
        writeln!(out, "{} ({kind})({} bytes)", tree.path(at), node.size)?;
        stack.extend(node.children.iter().rev());
    }
    Ok(())
}

/// Files, their bytes, and folders without the root.
fn count(tree: &Tree) -> (usize, u64, usize) {
    let files = tree.nodes.iter().filter(|node| !node.is_directory());
    let bytes = files.clone().map(|node| node.size).sum();
    let files = files.count();
    (files, bytes, tree.nodes.len() - files - 1)
}

pub(super) fn info(volume: &Volume, tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    let boot = &volume.boot;
    let bytes = |bytes: u64| format!("{bytes} bytes ({})", size::say(bytes));
    let text = |bytes: &[u8]| {
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        crate::fat::volume::show(text.trim_end())
    };
    let free = volume.table.free();
    let (files, file_bytes, folders) = count(tree);
    let label = tree.label.or(boot.label).filter(|label| label != NO_LABEL);
    writeln!(out, "type       {}", boot.kind)?;
    writeln!(out, "size       {}", bytes(boot.len()))?;
    if volume.image_len() > boot.len() {
        writeln!(
            out,
            "unused     {} behind the volume",
            bytes(volume.image_len() - boot.len())
        )?;
    }
    writeln!(
        out,
        "sectors    {} of {} bytes",
        boot.sectors, boot.sector_size
    )?;
    writeln!(
        out,
        "clusters   {} of {} bytes",
        boot.clusters,
        boot.cluster_size()
    )?;
    let free_bytes = bytes(u64::from(free) * u64::from(boot.cluster_size()));
    writeln!(out, "free       {free} clusters, {free_bytes}")?;
    writeln!(out, "files      {files}, {}", bytes(file_bytes))?;
    writeln!(out, "folders    {folders}")?;
    writeln!(
        out,
        "label      {}",
        label.map_or("none".to_owned(), |label| text(&label))
    )?;
    let serial = boot
        .serial
        .map(|serial| format!("{:04X}-{:04X}", serial >> 16, serial & 0xffff));
    writeln!(out, "serial     {}", serial.unwrap_or("none".to_owned()))?;
    writeln!(out, "made by    {}", text(&boot.oem))
}

pub(super) fn check(
    image: &Path,
    volume: &Volume,
    tree: &Tree,
    out: &mut dyn Write,
) -> io::Result<()> {
    for problem in &tree.problems {
        writeln!(out, "{problem}")?;
    }
    let (files, _, folders) = count(tree);
    if tree.more > 0 {
        writeln!(out, "and {}", many(tree.more, "more problem"))?;
    }
    let clean = match tree.problems.len() + tree.more {
        0 => "clean".to_owned(),
        problems => many(problems, "problem"),
    };
    let (files, folders) = (many(files, "file"), many(folders, "folder"));
    let (image, kind) = (image.display(), volume.boot.kind);
    writeln!(out, "{image}: {kind}, {files}, {folders}: {clean}")
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
