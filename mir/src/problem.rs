//! What can be wrong with a site, said so that its author can mend it: file, line, reason.

use std::fmt;

/// One thing that is wrong with a site folder. Prints as `content/x.md:3: reason`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the site's folder, with `/` between its parts.
    pub file: String,
    /// The line in that file, from 1, where one can be named.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: What,
}

/// The kinds of [`Problem`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The operating system would not read it.
    Unreadable(String),
    /// A name that no URL path is made of.
    BadName(&'static str),
    /// A symbolic link that leads out of the site's folder, or back into a folder that it is in.
    BadLink(&'static str),
    /// A folder within so many others, which is where it ends.
    TooDeep(usize),
    /// Text must be UTF-8.
    NotUtf8,
    /// More than what a site may hold.
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The largest that is taken.
        limit: u64,
    },
    /// The front matter is not YAML or TOML, is not closed, or a key has a value of the wrong kind.
    FrontMatter(String),
    /// A file of the site's own settings, such as `site.toml`, is not what it should be.
    Config(String),
    /// A template that does not exist.
    MissingTemplate(String),
    /// A template that does not parse, or fails on a page.
    Template(String),
    /// Two sources for one path.
    DuplicatePath {
        /// The path that both would have.
        path: String,
        /// The file that has it already.
        first: String,
    },
    /// A folder with nothing in it to be served.
    Empty,
    /// What cannot be sent over HTTP.
    Refused(String),
    /// What is said and changes nothing.
    NoEffect(String),
    /// A link to a page or file that the site does not have.
    BrokenLink(String),
    /// Nobody said where the site is.
    NoBase,
    /// A link to a place that the page does not have.
    NoPlace(String),
}

impl Problem {
    pub(crate) fn new(file: impl Into<String>, line: impl Into<Option<usize>>, what: What) -> Self {
        Self {
            file: file.into(),
            line: line.into(),
            what,
        }
    }

    pub(crate) fn refused(path: &str, why: &www::pack::WriteError) -> Self {
        Self::new(path, None, What::Refused(why.to_string()))
    }

    pub(crate) fn io(file: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(file, None, What::Unreadable(error.to_string()))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::BadName(why) => write!(f, "the file's name {why}"),
            Self::BadLink(why) => write!(f, "symbolic link {why}"),
            Self::TooDeep(most) => write!(f, "folders lie within each other {most} deep at most"),
            Self::NotUtf8 => write!(f, "not UTF-8 text"),
            Self::TooLarge { what, limit } => {
                write!(f, "{what} is too large: the limit is {limit} bytes")
            }
            Self::FrontMatter(why) => write!(f, "front matter: {why}"),
            Self::Config(why) => write!(f, "{why}"),
            Self::MissingTemplate(name) => {
                write!(f, "there is no template `{name}` in templates/")
            }
            Self::Template(why) => write!(f, "{why}"),
            Self::DuplicatePath { path, first } => {
                write!(f, "the path {path} is taken by {first}")
            }
            Self::Empty => write!(f, "nothing to serve: no Markdown and no files"),
            Self::Refused(why) => write!(f, "cannot be served: {why}"),
            Self::NoEffect(why) => write!(f, "has no effect: {why}"),
            Self::BrokenLink(to) => write!(f, "broken link: {to}"),
            Self::NoBase => write!(
                f,
                "there is no base_url, so there are no feeds and no site map"
            ),
            Self::NoPlace(to) => write!(f, "broken link: {to}: that page has no such place"),
        }
    }
}
