//! `mir list` and `mir cat`: what is in a pack.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;
use www::pack::{Body, MANIFEST_VERSION, Pack, PackError};

use super::{Failed, print, printed, read};
use crate::output::Shown;
use crate::{describe, link};

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Br,
}

pub(super) fn describe(file: &Path, json: bool) -> Result<(), Failed> {
    let described = describe::describe(&read(file)?);
    let described =
        described.map_err(|error| Failed::say(format!("{}: {error}", file.display())))?;
    match json {
        true => print(&(described.to_json() + "\n")),
        false => printed(write!(io::stdout(), "{described}")),
    }
}

pub(super) fn list(file: &Path) -> Result<(), Failed> {
    with_pack(file, |pack, out| {
        for entry in pack.entries() {
            let variants = entry.variants();
            let variants = variants.map(|v| format!("{}={}", v.encoding.name(), v.body.len()));
            let variants = variants.collect::<Vec<_>>().join(",");
            let (status, path) = (entry.status(), Shown(entry.path()));
            match entry.location() {
                "" => writeln!(
                    out,
                    "{status} {} {variants} {path}",
                    Shown(field(entry.media_type()))
                )?,
                location => writeln!(out, "{status} - - {path} -> {}", Shown(location))?,
            }
        }
        Ok(Ok(()))
    })
}

/// Without spaces, so that each line has the same number of words before the path.
fn field(media_type: &str) -> String {
    media_type.replace(' ', "")
}

pub(super) fn cat(file: &Path, path: &str, encoding: Encoding) -> Result<(), Failed> {
    let encoding = match encoding {
        Encoding::Identity => www::encoding::Encoding::Identity,
        Encoding::Gzip => www::encoding::Encoding::Gzip,
        Encoding::Br => www::encoding::Encoding::Br,
    };
    with_pack(file, |pack, out| {
        let found = pack.find(path.as_bytes());
        let found = found.and_then(|entry| entry.variants().find(|v| v.encoding == encoding));
        match found {
            Some(variant) => match variant.body {
                Body::Here(body) => out.write_all(body).map(|()| Ok(())),
                Body::File { name, .. } => Ok(Err(Refused::File(name.to_owned()))),
            },
            None => Ok(Err(Refused::NoPath)),
        }
    })
}

/// Why a pack does not have what was asked for.
enum Refused {
    NoPath,
    /// The body is in a file of this name, on the manifest's volume.
    File(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPath => f.write_str("there is no such path, or not in this encoding"),
            Self::File(name) => write!(
                f,
                "this is a manifest: the body is in the file /{name} of its volume"
            ),
        }
    }
}

/// Does something with the pack or manifest in a file and the standard output.
fn with_pack(
    file: &Path,
    act: impl FnOnce(Pack<'_>, &mut dyn Write) -> io::Result<Result<(), Refused>>,
) -> Result<(), Failed> {
    let refused =
        |error: &dyn std::fmt::Display| Failed::say(format!("{}: {error}", file.display()));
    let bytes = read(file)?;
    let at = link::find(&bytes).map_err(|error| refused(&error))?;
    let pack = match Pack::load(&bytes[at.clone()]) {
        Err(PackError::Version {
            found: MANIFEST_VERSION,
            ..
        }) => Pack::load_manifest(&bytes[at]),
        loaded => loaded,
    };
    let pack = pack.map_err(|error| refused(&error))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    match act(pack, &mut out).and_then(|found| out.flush().map(|()| found)) {
        Ok(found) => found.map_err(|why| refused(&why)),
        Err(error) => printed(Err(error)),
    }
}
