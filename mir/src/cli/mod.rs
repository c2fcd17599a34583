//! The commands of the tool `mir`, a file for each.

mod build;
mod fat;
mod look;
mod site;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::build::Target;
use self::fat::{FatArgs, FatCommand};
use self::look::Encoding;
use self::site::Site;
use crate::output;

/// Builds web sites into packs, and packs into the programs that serve them.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Render a site to a pack
    Pack {
        #[command(flatten)]
        site: Site,
        /// The pack to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Render a site and join it with a program built without one
    Build {
        /// What the program runs on
        #[arg(short, long, value_enum)]
        target: Target,
        /// The program: mir-www for Unix, mir-www-xen for Xen, or an image made of one
        #[arg(long, value_name = "FILE")]
        base: PathBuf,
        #[command(flatten)]
        site: Site,
        /// The image to write
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Say what is in a pack, a manifest, or an image that carries a pack: status, media type,
    /// encodings with their lengths, path, and where a redirect leads
    List {
        /// The pack or image
        file: PathBuf,
    },
    /// Write the body of one path of a pack, or of an image that carries one
    Cat {
        /// The pack or image
        file: PathBuf,
        /// The path, decoded: `/blog/a b`
        path: String,
        /// The encoding of the body
        #[arg(long, value_enum, default_value_t = Encoding::Identity)]
        encoding: Encoding,
    },
    /// Render a site and say what is wrong with it; write nothing
    Check {
        #[command(flatten)]
        site: Site,
    },
    /// Make FAT images, fill them and look into them
    #[command(subcommand)]
    Fat(FatCommand),
}

/// Does what the program's arguments say.
pub fn main() -> ExitCode {
    // As `fat` the program is that command alone.
    let program = std::env::args_os().next().map(PathBuf::from);
    if program.is_some_and(|name| name.file_stem() == Some("fat".as_ref())) {
        return fat::fat("fat", FatArgs::parse().command);
    }
    let done = match Args::parse().command {
        Command::Fat(command) => return fat::fat("mir: fat", command),
        Command::Pack { site, output } => site.pack().and_then(|pack| {
            write(&output, &[&pack], false)?;
            report(format_args!("{}: {} bytes", output.display(), pack.len()))
        }),
        Command::Build {
            target,
            base,
            site,
            output,
        } => build::build(target, &base, &site, &output),
        Command::List { file } => look::list(&file),
        Command::Cat {
            file,
            path,
            encoding,
        } => look::cat(&file, &path, encoding),
        Command::Check { site } => site.render().map(|_| ()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

/// It did not work, and the user has been told why.
struct Failed;

impl Failed {
    fn say(why: impl std::fmt::Display) -> Self {
        eprintln!("mir: {why}");
        Self
    }
}

/// A line on the standard output. `println!` would panic if that is closed.
fn report(line: std::fmt::Arguments<'_>) -> Result<(), Failed> {
    printed(writeln!(io::stdout(), "{line}"))
}

/// What became of writing to the standard output.
fn printed(done: io::Result<()>) -> Result<(), Failed> {
    match done {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(|error| Failed::say(format!("standard output: {error}"))),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(path).map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}

fn write(path: &Path, parts: &[&[u8]], executable: bool) -> Result<(), Failed> {
    output::write(path, parts, executable)
        .map_err(|error| Failed::say(format!("{}: {error}", path.display())))
}
