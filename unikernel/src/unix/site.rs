//! What is at the end of this program's own file, and where the pack comes from: that, or another file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use www::pack::{Pack, PackError, Trailer, TrailerError};

/// Why there is no site.
#[derive(Debug)]
pub(crate) enum SiteError {
    /// The program carries none, and no file is named.
    None,
    /// The file cannot be read.
    File { name: String, why: io::Error },
    /// The program was altered after the pack was put into it.
    Damaged,
    /// What is there is not a pack.
    Pack { name: String, why: PackError },
}

impl fmt::Display for SiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(
                "this program carries no site: name a pack with --pack=FILE, or put one in with \
                 mir build",
            ),
            Self::File { name, why } => write!(f, "cannot read {name}: {why}"),
            Self::Damaged => f.write_str("this program was damaged after its site was put in"),
            Self::Pack { name, why } => write!(f, "{name}: {why}"),
        }
    }
}

impl std::error::Error for SiteError {}

/// This program's own file.
const OWN: &str = "/proc/self/exe";

/// The command line that was built into this program.
pub(crate) fn built_in() -> Result<String, SiteError> {
    let failed = |why| SiteError::File {
        name: OWN.to_owned(),
        why,
    };
    let mut file = File::open(OWN).map_err(failed)?;
    let trailer = match trailer(&mut file).map_err(failed)? {
        Ok(trailer) => trailer,
        Err(SiteError::None) => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let words = read(&mut file, Some((trailer.words, trailer.words_length))).map_err(failed)?;
    String::from_utf8(words.into_vec()).map_err(|_| SiteError::Damaged)
}

/// Loads the pack, for as long as the program runs.
pub(crate) fn load(file: Option<&str>) -> Result<Pack<'static>, SiteError> {
    let name = file.unwrap_or(OWN);
    let failed = |why| SiteError::File {
        name: name.to_owned(),
        why,
    };
    let mut opened = File::open(name).map_err(failed)?;
    let range = match file {
        Some(_) => None,
        None => {
            let trailer = trailer(&mut opened).map_err(failed)??;
            if trailer.length == 0 {
                return Err(SiteError::None);
            }
            Some((trailer.offset, trailer.length))
        }
    };
    let bytes = read(&mut opened, range).map_err(failed)?;
    Pack::load(Box::leak(bytes)).map_err(|why| {
        let name = if file.is_some() {
            name
        } else {
            "the site in this program"
        };
        SiteError::Pack {
            name: name.to_owned(),
            why,
        }
    })
}

fn trailer(file: &mut File) -> io::Result<Result<Trailer, SiteError>> {
    let length = file.metadata()?.len();
    if length < Trailer::LEN as u64 {
        return Ok(Err(SiteError::None));
    }
    let mut bytes = [0; Trailer::LEN];
    file.seek(SeekFrom::Start(length - Trailer::LEN as u64))?;
    file.read_exact(&mut bytes)?;
    Ok(
        Trailer::decode(&bytes, length).map_err(|error| match error {
            TrailerError::None => SiteError::None,
            TrailerError::Damaged => SiteError::Damaged,
        }),
    )
}

/// Reads part of a file, its offset and its length, or all of it.
fn read(file: &mut File, range: Option<(u64, u64)>) -> io::Result<Box<[u8]>> {
    let mut bytes = Vec::new();
    match range {
        None => file.read_to_end(&mut bytes)?,
        Some((offset, length)) => {
            file.seek(SeekFrom::Start(offset))?;
            file.take(length).read_to_end(&mut bytes)?
        }
    };
    Ok(bytes.into_boxed_slice())
}
