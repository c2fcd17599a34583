//! What is wrong with the site, logged once for as long as it is wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::Problem;

/// Problems that were logged.
#[derive(Default)]
pub(super) struct Said {
    site: BTreeSet<Problem>,
    /// Of pages, by path: what was found when they were rendered.
    pages: BTreeMap<String, Vec<Problem>>,
}

impl Said {
    /// All that is wrong without anything being rendered.
    pub(super) fn site(&mut self, problems: &[Problem]) {
        let now: BTreeSet<_> = problems.iter().cloned().collect();
        for problem in now.difference(&self.site) {
            log::error!(target: "site", "{problem}");
        }
        let was = self.site.len();
        self.site = now;
        match self.site.len() {
            0 if was > 0 => log::info!(target: "site", "all mended"),
            left if left < was => log::info!(target: "site", "{left} of {was} left"),
            _ => {}
        }
    }

    /// What is wrong with a page that was rendered all the same.
    pub(super) fn page(&mut self, path: &str, problems: &[Problem]) {
        let before = self.pages.remove(path).unwrap_or_default();
        for problem in problems.iter().filter(|problem| !before.contains(problem)) {
            log::warn!(target: "site", "{problem}");
        }
        if !problems.is_empty() {
            self.pages.insert(path.to_owned(), problems.to_vec());
        }
    }

    /// What keeps a page from being rendered.
    pub(super) fn broken(&mut self, path: &str, problems: &[Problem]) {
        let before = self.pages.remove(path).unwrap_or_default();
        let new = |problem: &&Problem| !before.contains(problem) && !self.site.contains(problem);
        for problem in problems.iter().filter(new) {
            log::error!(target: "site", "{problem}");
        }
        self.pages.insert(path.to_owned(), problems.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::What;

    #[test]
    fn only_paths_with_problems_are_kept() {
        let mut said = Said::default();
        let problem = Problem::new("a.md", 3, What::NotUtf8);
        said.page("/a", &[]);
        assert!(said.pages.is_empty());
        said.broken("/a", std::slice::from_ref(&problem));
        said.page("/b", std::slice::from_ref(&problem));
        assert_eq!(said.pages.len(), 2);
        said.page("/a", &[]);
        said.page("/b", &[]);
        assert!(said.pages.is_empty());
        said.site(std::slice::from_ref(&problem));
        assert_eq!(said.site.len(), 1);
        said.site(&[]);
        assert!(said.site.is_empty());
    }
}
