//! `mir build`.

use std::path::Path;

use clap::ValueEnum;

use super::site::Site;
use super::{Failed, read, report, write};
use crate::link;

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Target {
    Unix,
    Xen,
}

pub(super) fn build(target: Target, base: &Path, site: &Site, output: &Path) -> Result<(), Failed> {
    let program = read(base)?;
    let pack = site.pack()?;
    let refused = |error| Failed::say(format!("{}: {error}", base.display()));
    let (total, without_site) = match target {
        Target::Unix => {
            let image = link::unix::link(&program, &pack).map_err(refused)?;
            write(output, &image.parts(), true)?;
            let total: usize = image.parts().iter().map(|part| part.len()).sum();
            (total, total - pack.len())
        }
        Target::Xen => {
            let image = link::xen::link(&program, &pack).map_err(refused)?;
            write(output, &[&image.bytes], false)?;
            (image.bytes.len(), image.without_site as usize)
        }
    };
    report(format_args!(
        "{}: {total} bytes, {without_site} without its site",
        output.display()
    ))
}
