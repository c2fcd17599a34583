//! Which file has which path of the site.

use std::collections::BTreeMap;

use crate::problem::{Problem, What};

/// Which file has which path.
#[derive(Default)]
pub(crate) struct Claims {
    taken: BTreeMap<String, String>,
}

impl Claims {
    /// Claims a path for a file, if it is one that can be served.
    pub(crate) fn claim(
        &mut self,
        path: &str,
        file: &str,
        line: Option<usize>,
        problems: &mut Vec<Problem>,
    ) {
        if !www::pack::is_canonical(path) {
            let why = match line {
                None => What::BadName("makes a path that is too long or not canonical"),
                Some(_) => What::FrontMatter(format!(
                    "`{path}` must be a path without empty parts, `.` and `..`"
                )),
            };
            problems.push(Problem::new(file, line, why));
        }
        self.take(path, file, line, problems);
    }

    pub(crate) fn take(
        &mut self,
        path: &str,
        file: &str,
        line: Option<usize>,
        problems: &mut Vec<Problem>,
    ) {
        if let Some(first) = self.taken.get(path) {
            let (path, first) = (path.to_owned(), first.clone());
            let what = What::DuplicatePath { path, first };
            problems.push(Problem::new(file, line, what));
        } else {
            self.taken.insert(path.to_owned(), file.to_owned());
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.taken.contains_key(path)
    }
}
