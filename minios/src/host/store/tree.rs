//! The nodes, and transactions on them with real conflicts.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use crate::xenstore::Errno;

/// The tree: absolute paths and their values.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Nodes,
    /// When each path was last changed, also those that are gone.
    changed: BTreeMap<String, u64>,
    now: u64,
}

type Nodes = BTreeMap<String, Vec<u8>>;

/// One transaction: the tree as it was when it began and as it changed it.
#[derive(Debug)]
pub(super) struct Transaction {
    nodes: Nodes,
    begun: u64,
    touched: BTreeSet<String>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, Vec<u8>),
    Remove(String),
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: BTreeMap::from([("/".to_string(), vec![])]),
            changed: BTreeMap::new(),
            now: 0,
        }
    }

    pub(super) fn begin(&self) -> Transaction {
        Transaction {
            nodes: self.nodes.clone(),
            begun: self.now,
            touched: BTreeSet::new(),
            changes: Vec::new(),
        }
    }

    /// Applies a transaction, unless someone changed what it looked at. Returns the paths that it
    /// changed.
    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<Vec<String>, Errno> {
        let changed = |path| self.changed.get(path).copied().unwrap_or(0);
        if transaction
            .touched
            .iter()
            .any(|path| changed(path) > transaction.begun)
        {
            return Err(Errno::EAGAIN);
        }
        let mut all = Vec::new();
        for change in transaction.changes {
            all.extend(self.apply(change));
        }
        Ok(all)
    }

    fn apply(&mut self, change: Change) -> Vec<String> {
        let before: BTreeSet<String> = self.nodes.keys().cloned().collect();
        let named = apply(&mut self.nodes, &change);
        self.now += 1;
        for path in &named {
            self.changed.insert(path.clone(), self.now);
            // Who lists a directory sees its children come and go.
            if before.contains(path) != self.nodes.contains_key(path) {
                self.changed.insert(parent(path).to_string(), self.now);
            }
        }
        named
    }
}

/// Looks at the tree or changes it, at large or within a transaction.
pub(super) enum View<'a> {
    Tree(&'a mut Tree),
    Transaction(&'a mut Transaction),
}

impl View<'_> {
    fn nodes(&mut self, path: &str) -> &Nodes {
        match self {
            Self::Tree(tree) => &tree.nodes,
            Self::Transaction(transaction) => {
                transaction.touched.insert(path.to_string());
                &transaction.nodes
            }
        }
    }

    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, Errno> {
        self.nodes(path).get(path).cloned().ok_or(Errno::ENOENT)
    }

    pub(super) fn list(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        let nodes = self.nodes(path);
        if !nodes.contains_key(path) {
            return Err(Errno::ENOENT);
        }
        let below = if path == "/" {
            "/".into()
        } else {
            [path, "/"].concat()
        };
        Ok(nodes
            .keys()
            .filter_map(|node| node.strip_prefix(&below))
            .filter(|rest| !rest.is_empty() && !rest.contains('/'))
            .map(String::from)
            .collect())
    }

    /// Sets a value and makes missing parents. Returns the paths that changed.
    pub(super) fn write(&mut self, path: &str, value: &[u8]) -> Vec<String> {
        self.change(path, Change::Set(path.to_string(), value.to_vec()))
    }

    pub(super) fn mkdir(&mut self, path: &str) -> Vec<String> {
        if self.nodes(path).contains_key(path) {
            return Vec::new();
        }
        self.write(path, b"")
    }

    pub(super) fn rm(&mut self, path: &str) -> Result<Vec<String>, Errno> {
        if path == "/" {
            return Err(Errno::EINVAL);
        }
        let nodes = self.nodes(path);
        if nodes.contains_key(path) {
            Ok(self.change(path, Change::Remove(path.to_string())))
        } else if nodes.contains_key(parent(path)) {
            Ok(Vec::new())
        } else {
            Err(Errno::ENOENT)
        }
    }

    fn change(&mut self, path: &str, change: Change) -> Vec<String> {
        match self {
            Self::Tree(tree) => tree.apply(change),
            Self::Transaction(transaction) => {
                transaction.touched.insert(path.to_string());
                apply(&mut transaction.nodes, &change);
                transaction.changes.push(change);
                Vec::new()
            }
        }
    }
}

fn apply(nodes: &mut Nodes, change: &Change) -> Vec<String> {
    match change {
        Change::Set(path, value) => {
            let mut above = parent(path);
            while !nodes.contains_key(above) {
                nodes.insert(above.to_string(), vec![]);
                above = parent(above);
            }
            nodes.insert(path.clone(), value.clone());
            vec![path.clone()]
        }
        Change::Remove(path) => {
            let below = [path.as_str(), "/"].concat();
            let gone: Vec<String> = nodes
                .keys()
                .filter(|node| *node == path || node.starts_with(&below))
                .cloned()
                .collect();
            for node in &gone {
                nodes.remove(node);
            }
            gone
        }
    }
}

fn parent(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(at) => &path[..at],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tree: &mut Tree, path: &str, value: &str) -> Vec<String> {
        View::Tree(tree).write(path, value.as_bytes())
    }

    #[test]
    fn nodes_have_parents_and_children() {
        let mut tree = Tree::new();
        assert_eq!(write(&mut tree, "/a/b/c", "1"), ["/a/b/c"]);
        write(&mut tree, "/a/bb", "2");
        let mut view = View::Tree(&mut tree);
        assert_eq!(view.list("/").unwrap(), ["a"]);
        assert_eq!(view.list("/a").unwrap(), ["b", "bb"]);
        assert_eq!(view.list("/a/bb").unwrap(), [""; 0]);
        assert_eq!(view.read("/a/b").unwrap(), b"");
        assert_eq!(view.list("/x"), Err(Errno::ENOENT));
        assert_eq!(view.mkdir("/a/b/c"), [""; 0]);
        assert_eq!(view.read("/a/b/c").unwrap(), b"1");
        assert_eq!(view.rm("/a/b").unwrap(), ["/a/b", "/a/b/c"]);
        assert_eq!(view.read("/a/b/c"), Err(Errno::ENOENT));
        assert_eq!(view.read("/a/bb").unwrap(), b"2");
        assert_eq!(view.rm("/a/b"), Ok(vec![]));
        assert_eq!(view.rm("/y/z"), Err(Errno::ENOENT));
        assert_eq!(view.rm("/"), Err(Errno::EINVAL));
    }

    #[test]
    fn a_transaction_is_alone_until_it_is_committed() {
        let mut tree = Tree::new();
        write(&mut tree, "/a", "1");
        let mut t = tree.begin();
        View::Transaction(&mut t).write("/b/c", b"2");
        assert_eq!(View::Transaction(&mut t).read("/b/c").unwrap(), b"2");
        assert_eq!(View::Tree(&mut tree).read("/b/c"), Err(Errno::ENOENT));
        write(&mut tree, "/other", "3");
        assert_eq!(View::Transaction(&mut t).read("/other"), Err(Errno::ENOENT));
        let mut quiet = tree.begin();
        View::Transaction(&mut quiet).write("/b/c", b"4");
        drop(quiet);
        // It looked at /other, which was written meanwhile.
        assert_eq!(tree.commit(t), Err(Errno::EAGAIN));
        assert_eq!(View::Tree(&mut tree).read("/b/c"), Err(Errno::ENOENT));
        let mut t = tree.begin();
        View::Transaction(&mut t).write("/b/c", b"2");
        write(&mut tree, "/other", "4");
        assert_eq!(tree.commit(t).unwrap(), ["/b/c"]);
        assert_eq!(View::Tree(&mut tree).read("/b/c").unwrap(), b"2");
    }

    #[test]
    fn conflicts_are_seen_on_reads_lists_writes_and_removals() {
        type Looking = fn(&mut View<'_>);
        let looks: [(Looking, bool); 6] = [
            (|v| drop(v.read("/a")), true),
            (|v| drop(v.list("/")), true),
            (|v| drop(v.write("/a", b"mine")), true),
            (|v| drop(v.rm("/a")), true),
            (|v| drop(v.read("/b")), false),
            (|v| drop(v.list("/b")), false),
        ];
        for (n, (look, conflicts)) in looks.into_iter().enumerate() {
            let mut tree = Tree::new();
            write(&mut tree, "/b", "");
            let mut t = tree.begin();
            look(&mut View::Transaction(&mut t));
            write(&mut tree, "/a", "theirs");
            assert_eq!(tree.commit(t).is_err(), conflicts, "{n}");
        }
    }
}
