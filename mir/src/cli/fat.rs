//! `mir fat`, and `fat` as a name of the program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use www::pack::NewVolume;

use super::site::{Site, compressing};
use super::{Failed, report};
use crate::fat::format::Wanted;
use crate::pack::Cache;
use crate::site::Rendered;
use crate::{fat, pack};

#[derive(Subcommand)]
pub(super) enum FatCommand {
    #[command(flatten)]
    Image(fat::command::Command),
    /// Render a site to two images, `files.img` with its static files and `pages.img` with the
    /// rest, each as large as it must be
    #[command(name = "site")]
    Images {
        #[command(flatten)]
        site: Site,
        /// The folder for the images
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        layout: fat::command::Layout,
        /// Leave so much free in each [default: a 32nd, 64 KiB at least]
        #[arg(long, value_name = "SIZE", value_parser = fat::size::parse)]
        free: Option<u64>,
        /// The same bytes for the same site: all times are SOURCE_DATE_EPOCH, or 1980-01-01
        /// without it. If SOURCE_DATE_EPOCH is set they are so anyway
        #[arg(long)]
        deterministic: bool,
    },
}

/// Makes FAT images, fills them and looks into them.
#[derive(Parser)]
#[command(name = "fat", version, max_term_width = 100)]
pub(super) struct FatArgs {
    #[command(subcommand)]
    pub(super) command: FatCommand,
}

pub(super) fn fat(name: &str, command: FatCommand) -> ExitCode {
    let command = match command {
        FatCommand::Image(command) => command,
        FatCommand::Images {
            site,
            output,
            layout,
            free,
            deterministic,
        } => {
            let first = deterministic.then_some(FIRST_OF_1980);
            let made = site.render_at(first).and_then(|rendered| {
                let made = std::fs::create_dir_all(&output);
                made.map_err(|why| Failed::say(format!("{}: {why}", output.display())))?;
                let place = (&*output, &*output);
                images(rendered, &site.cache(), place, layout.wanted(), free)
            });
            return made.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
        }
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut err = io::stderr();
    let mut terminal = fat::command::Terminal {
        name,
        out: &mut out,
        err: &mut err,
    };
    fat::command::run(&command, &mut terminal).into()
}

/// Writes a site as two images, to a folder that may be called otherwise when all is done.
pub(super) fn images(
    rendered: Rendered,
    cache: &Cache,
    place: (&Path, &Path),
    wanted: Wanted,
    free: Option<u64>,
) -> Result<(), Failed> {
    let files = rendered.items.len();
    let volumes = compressing(files, || pack::volumes(rendered, cache)).map_err(Failed::say)?;
    let parts = [("files", volumes.files), ("pages", volumes.pages)];
    parts
        .into_iter()
        .try_for_each(|(part, volume)| fat_image(place, part, volume, wanted, free))
}

/// The first moment that FAT has, in seconds since 1970.
const FIRST_OF_1980: u64 = 315_532_800;

fn fat_image(
    (folder, shown): (&Path, &Path),
    part: &str,
    volume: NewVolume,
    mut wanted: Wanted,
    free: Option<u64>,
) -> Result<(), Failed> {
    let name = format!("{part}.img");
    let (path, shown) = (folder.join(&name), shown.join(name));
    let shown = shown.display();
    let refused = |why: &dyn std::fmt::Display| Failed::say(format!("{shown}: {why}"));
    wanted.label = fat::format::label(part).ok();
    let free = free.unwrap_or_else(|| fat::site::free_for(&volume));
    let files = volume.files.len() + 1;
    let editor = fat::site::image(volume, &wanted, free).map_err(|why| refused(&why))?;
    let (kind, size, free) = (editor.boot().kind, editor.image_len(), editor.free());
    editor
        .save(&path, &mut |_| ())
        .map_err(|why| refused(&why))?;
    report(format_args!(
        "{shown}: {kind}, {size} bytes, {files} files, {free} bytes free"
    ))
}
