//! What can be wrong with a volume, and where.

use std::fmt;

/// One thing that is wrong with a volume. Prints as `/a/b.txt at 0x4a20: reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The part of the volume.
    pub place: Place,
    /// The byte of the image at which it shows.
    pub offset: u64,
    /// What is wrong.
    pub what: What,
}

/// Parts of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The boot sector.
    Boot,
    /// FAT32's sector with the count of free clusters.
    Info,
    /// A copy of the table, from 1.
    Table(u32),
    /// A file or folder.
    Path(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot => write!(f, "boot sector"),
            Self::Info => write!(f, "FSInfo sector"),
            Self::Table(copy) => write!(f, "table {copy}"),
            Self::Path(path) => write!(f, "{path}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:#x}: {}", self.place, self.offset, self.what)
    }
}

/// The kinds of [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It was not unmounted.
    Dirty,
    /// The copy of the boot sector is another.
    Backup,
    /// Entries of 16 bits where the number of clusters demands 12.
    Wide,
    /// The label in the boot sector is not that in the root directory.
    Label(String, String),
    /// Not an FSInfo sector.
    Signature,
    /// The count of free clusters.
    Free {
        /// What it says.
        says: u32,
        /// What there are.
        are: u32,
    },
    /// The table's first entry.
    Head(u32),
    /// A copy of the table that differs from the one in use, first at this cluster.
    Copies(u32),
    /// It begins at a number that is no cluster's.
    Start(u32),
    /// A folder that begins at cluster 0, as the root does.
    NoStart,
    /// A cluster is followed by a number that is no cluster's.
    Link(u32, u32),
    /// Its chain goes through a cluster that is marked free.
    FreeLink(u32),
    /// Its chain goes through a cluster that is marked bad.
    BadLink(u32),
    /// Its chain comes back to a cluster of its own.
    Loop(u32),
    /// Its chain goes into that of another.
    Crossed(u32, String),
    /// A file that is longer than its clusters: size, bytes.
    Short(u64, u64),
    /// A file that has more clusters than it needs: size, bytes.
    Long(u64, u64),
    /// A folder whose entry has a size.
    FolderSize(u32),
    /// A folder of more entries than there may be.
    FolderLong,
    /// A folder in too many folders.
    Deep,
    /// More files than are looked at.
    Many,
    /// A folder without `.` or `..` where it should be.
    NoDot(&'static str),
    /// `.` or `..` that leads elsewhere: to, instead of.
    Dot(&'static str, u32, u32),
    /// An entry `.` or `..` where none belongs.
    StrayDot,
    /// Entries behind the mark that ends a folder.
    Behind,
    /// A label with a cluster or a size.
    FullLabel,
    /// A piece of a long name with something where nothing belongs.
    Piece,
    /// A sector that should be one of those before the tables.
    Misplaced(u32),
    /// Pieces of a long name with no file behind them.
    Orphan,
    /// A long name whose pieces are not in order.
    Order,
    /// A long name that is not this file's: its sum is another.
    Sum,
    /// A long name that FAT cannot hold.
    Name(super::name::NameError),
    /// A long name that is not UTF-16.
    Utf16,
    /// A short name that is none.
    ShortName,
    /// A second file of the same name.
    Twice(String),
    /// Clusters in use that belong to nothing: the first one's number, how many there are.
    Lost(u32, u32),
}

impl What {
    /// Whether something cannot be read, or not all of it, or not as it was.
    pub fn loses(&self) -> bool {
        matches!(
            self,
            Self::Start(_)
                | Self::NoStart
                | Self::Link(..)
                | Self::FreeLink(_)
                | Self::BadLink(_)
                | Self::Loop(_)
                | Self::Crossed(..)
                | Self::Short(..)
                | Self::FolderLong
                | Self::Deep
                | Self::Many
        )
    }

    /// Whether a change of the image mends it: the count of free clusters is written anew.
    pub fn is_mended(&self) -> bool {
        matches!(self, Self::Free { .. })
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dirty => write!(f, "says that the volume was not unmounted"),
            Self::Backup => write!(f, "differs from its copy"),
            Self::Wide => write!(f, "entries of 16 bits for so few clusters that 12 are due"),
            Self::Label(boot, root) => {
                write!(f, "has the label {boot:?}, the root directory has {root:?}")
            }
            Self::Signature => write!(f, "its signatures are missing"),
            Self::Free { says, are } => write!(f, "says {says} free clusters, there are {are}"),
            Self::Head(entry) => write!(f, "begins with {entry:#x}"),
            Self::Copies(cluster) => {
                write!(
                    f,
                    "differs from the table in use, first at cluster {cluster}"
                )
            }
            Self::Start(cluster) => write!(f, "begins at cluster {cluster}, which does not exist"),
            Self::NoStart => write!(f, "a folder that begins at cluster 0"),
            Self::Link(cluster, next) => {
                write!(
                    f,
                    "cluster {cluster} is followed by {next}, which does not exist"
                )
            }
            Self::FreeLink(cluster) => write!(f, "cluster {cluster} is marked free"),
            Self::BadLink(cluster) => write!(f, "cluster {cluster} is marked bad"),
            Self::Loop(cluster) => write!(f, "its chain comes back to cluster {cluster}"),
            Self::Crossed(cluster, other) => {
                write!(f, "its chain reaches cluster {cluster}, which is {other}'s")
            }
            Self::Short(size, has) => write!(f, "{size} bytes, but its clusters have {has}"),
            Self::Long(size, has) => {
                write!(
                    f,
                    "{size} bytes, but its clusters have {has}, which is more than they take"
                )
            }
            Self::FolderSize(size) => write!(f, "a folder with a size, {size}"),
            Self::FolderLong => write!(f, "a folder of more than {MAX_SLOTS} entries"),
            Self::Deep => write!(f, "deeper than {MAX_DEPTH} folders"),
            Self::Many => write!(f, "more than {MAX_NODES} files; the rest is not looked at"),
            Self::NoDot(name) => write!(f, "its entry {name} is not where it should be"),
            Self::Dot(name, is, should) => {
                write!(
                    f,
                    "its entry {name} leads to cluster {is} instead of {should}"
                )
            }
            Self::StrayDot => write!(f, "an entry . or .. where none belongs"),
            Self::Behind => write!(f, "there are entries behind the mark that ends it"),
            Self::FullLabel => write!(f, "a label that is to have clusters, as only files do"),
            Self::Piece => write!(f, "a piece of a long name has fields that should be 0"),
            Self::Misplaced(sector) => {
                write!(
                    f,
                    "leads to sector {sector}, which is none of those before the tables"
                )
            }
            Self::Orphan => write!(f, "a piece of a long name without a file"),
            Self::Order => write!(f, "the pieces of a long name are not in order"),
            Self::Sum => write!(f, "the long name before it is another file's"),
            Self::Name(why) => write!(f, "{why}"),
            Self::Utf16 => write!(f, "its long name is not UTF-16"),
            Self::ShortName => write!(f, "its short name has characters that none may have"),
            Self::Twice(name) => write!(f, "the name {name:?} is there twice"),
            Self::Lost(first, 1) => write!(f, "cluster {first} is in use by no file"),
            Self::Lost(first, count) => {
                write!(
                    f,
                    "{count} clusters, the first is {first}, are in use by no file"
                )
            }
        }
    }
}

/// The most slots in a directory.
pub const MAX_SLOTS: usize = 65_536;
/// The most folders in one another that are looked into.
pub const MAX_DEPTH: usize = 256;
/// The most files and folders that are looked at.
pub const MAX_NODES: usize = 4_000_000;
/// The most problems that are told one by one.
pub const MAX_PROBLEMS: usize = 10_000;
