//! Runs the commands of docs/tutorial.md as they are written there, and compares what they print with what it says.
//!
//! docs/tests.md has the rules for those who write the tutorial. To be called in the project's folder, as root, or as a user who
//! may make network namespaces: `cargo run -p tests --bin tutorial [PART OF A HEADING]...`. `dist/` is changed.

mod compare;
mod dom0;
mod host;
mod process;
mod text;

use std::path::Path;
use std::process::ExitCode;

use text::{Section, Where};

const TUTORIAL: &str = "docs/tutorial.md";

fn main() -> ExitCode {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    match run(&wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tutorial: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> Result<bool, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(TUTORIAL)?;
    let mut sections = text::sections(&text)?;
    if !wanted.is_empty() {
        sections.retain(|section| wanted.iter().any(|part| section.heading.contains(part)));
    }
    if sections.is_empty() {
        return Err("no section to run".into());
    }
    let root = std::env::current_dir()?;
    let host = host::Host::new(&root)?;
    let kept = host::Kept::new(&root)?;
    let mut good = true;
    let mut later = Vec::new();
    for section in sections {
        let section_good = report(&section.heading, "", host.run(&section));
        good &= section_good;
        if host.processes.interrupted() {
            return Err("interrupted".into());
        }
        let in_dom0 = |block: &text::Block| block.place == Where::Dom0;
        if section_good && section.blocks.iter().any(in_dom0) {
            let images = dom0::keep(&root.join("dist"))?;
            later.push((section, images));
        }
    }
    if !later.is_empty() {
        good &= in_dom0(&later, &root, &host)?;
    }
    drop(kept);
    Ok(good)
}

fn in_dom0(
    sections: &[(Section, tempfile::TempDir)],
    root: &Path,
    host: &host::Host,
) -> std::io::Result<bool> {
    let mut good = true;
    let results = dom0::run(sections, root, &host.processes)?;
    if host.processes.interrupted() {
        return Err(std::io::Error::other("interrupted"));
    }
    for ((section, _), result) in sections.iter().zip(results) {
        good &= report(&section.heading, ", in dom0", result);
    }
    Ok(good)
}

/// Says what came of a section. The words are those that scripts/test counts.
fn report(heading: &str, place: &str, result: Result<usize, String>) -> bool {
    match result {
        Ok(0) => true,
        Ok(commands) => {
            println!("  ok: {heading}{place} ({commands} commands)");
            true
        }
        Err(why) => {
            println!("  FAILED: {heading}{place}\n{why}");
            false
        }
    }
}
