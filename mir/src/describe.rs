//! What a file is: an image, a program without a site, a pack.

use std::fmt;

use serde::{Deserialize, Serialize};
use www::config::Platform;
use www::pack::{MANIFEST_VERSION, Pack, PackError};

use crate::image::{self, About, Site};
use crate::link::{self, Kind, LinkError};
use crate::output::Shown;

/// What a file is. Displayed, it is lines for people; serialized, it is `mir describe --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The sort of file.
    pub kind: FileKind,
    /// Its length in bytes.
    pub bytes: usize,
    /// The program, if it says what it is.
    pub program: Option<Program>,
    /// The version of the tool that made the image.
    pub mir: Option<String>,
    /// The arguments that are built in.
    pub options: Vec<String>,
    /// The site.
    pub site: Option<Site>,
}

/// A sort of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A kernel for Xen.
    Xen,
    /// A program for Unix.
    Unix,
    /// A pack.
    Pack,
    /// The manifest of a volume.
    Manifest,
}

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub build: String,
}

/// Why a file is not described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DescribeError {
    /// It is no image, no program of ours and no pack.
    Other,
    /// It is an image, and damaged or of another version.
    Image(LinkError),
    /// The pack is damaged.
    Pack(PackError),
    /// What is built in is no command line.
    Options,
    /// The pack is not the one that was put into the image.
    OtherPack,
}

impl fmt::Display for DescribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("neither an image, nor a mir-www program, nor a pack"),
            Self::Image(error) => error.fmt(f),
            Self::Pack(error) => write!(f, "the site in it cannot be used: {error}"),
            Self::Options => f.write_str("damaged: a quote in the built-in options is not closed"),
            Self::OtherPack => f.write_str("damaged: its site is not the one that was put in"),
        }
    }
}

impl std::error::Error for DescribeError {}

/// Says what a file is.
pub fn describe(file: &[u8]) -> Result<Description, DescribeError> {
    let contents = link::read(file).map_err(|error| match error {
        LinkError::NoPack => DescribeError::Other,
        error => DescribeError::Image(error),
    })?;
    let mut kind = match contents.kind {
        Kind::Pack => FileKind::Pack,
        Kind::Unix => FileKind::Unix,
        Kind::Xen => FileKind::Xen,
    };
    let program = contents.program.map(serde_json::from_str);
    let about = contents.about.and_then(About::from_json);
    let (mir, said) = match about {
        Some(about) => (Some(about.mir), about.site),
        None => (None, None),
    };
    let bytes = &file[contents.pack];
    let mut site = None;
    if !bytes.is_empty() {
        let pack = match Pack::load(bytes) {
            Err(PackError::Version {
                found: MANIFEST_VERSION,
                ..
            }) if kind == FileKind::Pack => {
                kind = FileKind::Manifest;
                Pack::load_manifest(bytes)
            }
            loaded => loaded,
        };
        let pack = pack.map_err(DescribeError::Pack)?;
        let title = said.as_ref().and_then(|said| said.title.clone());
        site = Some(Site::new(title, bytes, &pack));
    }
    if said.is_some() && said != site {
        return Err(DescribeError::OtherPack);
    }
    Ok(Description {
        kind,
        bytes: file.len(),
        program: program.and_then(Result::ok),
        mir,
        options: image::split(contents.words).map_err(|_| DescribeError::Options)?,
        site,
    })
}

impl Description {
    /// Where it runs, if it does.
    pub fn platform(&self) -> Option<Platform> {
        match self.kind {
            FileKind::Xen => Some(Platform::Xen),
            FileKind::Unix => Some(Platform::Unix),
            FileKind::Pack | FileKind::Manifest => None,
        }
    }

    /// As one JSON object.
    pub fn to_json(&self) -> String {
        format!("{:#}", serde_json::json!(self))
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FileKind::Xen => "kernel for Xen",
            FileKind::Unix => "program for Unix",
            FileKind::Pack => "pack",
            FileKind::Manifest => "manifest of a FAT volume",
        };
        writeln!(f, "kind      {kind}, {} bytes", self.bytes)?;
        if let Some(Program {
            name,
            version,
            build,
        }) = &self.program
        {
            let name = Shown(name);
            writeln!(f, "program   {name} {} ({})", Shown(version), Shown(build))?;
        }
        if let Some(mir) = &self.mir {
            writeln!(f, "made by   mir {}", Shown(mir))?;
        }
        if self.platform().is_some() {
            let options = image::join(&self.options);
            let options = if options.is_empty() { "none" } else { &options };
            writeln!(f, "built in  {}", Shown(options))?;
        }
        let Some(site) = &self.site else {
            return writeln!(f, "site      none");
        };
        write!(f, "site      ")?;
        if let Some(title) = &site.title {
            write!(f, "{}, ", Shown(title))?;
        }
        let s = if site.paths == 1 { "" } else { "s" };
        writeln!(f, "{} path{s}, {} bytes", site.paths, site.bytes)?;
        writeln!(f, "sha-256   {}", site.sha256)
    }
}
