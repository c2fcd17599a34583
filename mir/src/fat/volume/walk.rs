//! The walk through a volume: boot sector, tables, then the tree, each cluster once.

use std::collections::HashMap;
use std::io;

use super::{INFO, Node, Tree, Volume};
use crate::fat::boot::{self, Kind, NO_LABEL, SLOT};
use crate::fat::directory::{DOT, DOT_DOT, Directory};
use crate::fat::problem::{MAX_DEPTH, MAX_NODES, MAX_SLOTS, Place, Problem, What};
use crate::fat::record::{Record, Stamp, attributes};
use crate::fat::table::{Link, Run, Table, push};

pub(super) fn walk(volume: &Volume) -> io::Result<Tree> {
    let mut walk = Walk {
        volume,
        owner: vec![0; volume.boot.clusters as usize + 2],
        tree: Tree {
            nodes: Vec::new(),
            problems: Vec::new(),
            more: 0,
            label: None,
        },
    };
    walk.boot()?;
    walk.tables()?;
    walk.root()?;
    walk.label();
    walk.lost();
    Ok(walk.tree)
}

struct Walk<'a> {
    volume: &'a Volume,
    /// Whose a cluster is: a node's number + 1, or 0.
    owner: Vec<u32>,
    tree: Tree,
}

/// A chain of clusters, as far as it could be followed.
struct Chain {
    runs: Vec<Run>,
    count: u64,
    wrong: Option<(u32, What)>,
}

impl Walk<'_> {
    fn say(&mut self, place: Place, offset: u64, what: What) {
        self.tree.push(Problem {
            place,
            offset,
            what,
        });
    }

    fn say_node(&mut self, node: usize, offset: u64, what: What) {
        if what.loses() {
            self.tree.nodes[node].broken = true;
        }
        let place = Place::Path(self.tree.short_path(node));
        self.say(place, offset, what);
    }

    fn boot(&mut self) -> io::Result<()> {
        let Volume { image, boot, table } = self.volume;
        let sector = |sector: u32| u64::from(sector) * u64::from(boot.sector_size);
        if boot.dirty || table.is_dirty() {
            let at = if boot.kind == Kind::Fat32 { 65 } else { 37 };
            self.say(Place::Boot, at, What::Dirty);
        }
        if boot.kind == Kind::Fat16 && boot.clusters <= boot::MAX_CLUSTERS_12 {
            self.say(Place::Boot, 54, What::Wide);
        }
        if let Some((at, sector)) = boot.misplaced {
            self.say(Place::Boot, at, What::Misplaced(sector));
        }
        if boot.backup_sector != 0 {
            let (first, copy) = (image.read_vec(0, 512)?, sector(boot.backup_sector));
            let copy_bytes = image.read_vec(copy, 512)?;
            // Linux notes in the first alone that the volume is mounted, which is told already.
            let bits = |at: usize| if at == 65 { !1 } else { !0 };
            let differs = (0..512).find(|at| (first[*at] ^ copy_bytes[*at]) & bits(*at) != 0);
            if let Some(at) = differs {
                self.say(Place::Boot, at as u64, What::Backup);
            }
        }
        if boot.info_sector != 0 {
            let at = sector(boot.info_sector);
            let info = image.read_vec(at, 512)?;
            let u32_at = |at: usize| {
                u32::from_le_bytes([info[at], info[at + 1], info[at + 2], info[at + 3]])
            };
            if u32_at(0) != INFO[0] || u32_at(484) != INFO[1] || u32_at(508) != INFO[2] {
                self.say(Place::Info, at, What::Signature);
            } else {
                let (says, are) = (u32_at(488), table.free());
                if says != u32::MAX && says != are {
                    self.say(Place::Info, at + 488, What::Free { says, are });
                }
            }
        }
        Ok(())
    }

    fn tables(&mut self) -> io::Result<()> {
        let Volume { image, boot, table } = self.volume;
        let [head, _] = table.head();
        let active = boot.active.unwrap_or(0);
        if !table.has_proper_head() {
            let at = boot.table_at(active);
            self.say(Place::Table(active + 1), at, What::Head(head));
        }
        if boot.active.is_some() {
            return Ok(());
        }
        let encoded = table.encode();
        for copy in 1..boot.tables {
            let other = image.read_vec(boot.table_at(copy), boot.table_len() as usize)?;
            let other = Table::decode(boot, &other).encode();
            if let Some(byte) = (0..encoded.len()).find(|at| encoded[*at] != other[*at]) {
                let cluster = (byte as u64 * 8 / u64::from(boot.kind.bits())) as u32;
                let at = boot.table_at(copy) + byte as u64;
                self.say(Place::Table(copy + 1), at, What::Copies(cluster));
            }
        }
        Ok(())
    }

    fn root(&mut self) -> io::Result<()> {
        let root = Record {
            short: *b"           ",
            attributes: attributes::DIRECTORY,
            lower: 0,
            modified: Stamp::FIRST,
            cluster: self.volume.boot.root_cluster,
            size: 0,
        };
        self.tree.nodes.push(Node {
            name: String::new(),
            parent: 0,
            record: root,
            runs: Vec::new(),
            children: Vec::new(),
            size: 0,
            broken: false,
            offset: self.volume.boot.root_at(),
            depth: 0,
        });
        let mut stack = Vec::new();
        if self.volume.boot.kind == Kind::Fat32 {
            self.tree.nodes[0].offset = self.volume.boot.cluster_at(root.cluster);
            self.claim(0);
        }
        stack.push(self.enter(0)?.into_iter());
        while let Some(list) = stack.last_mut() {
            match list.next() {
                Some(node) => {
                    if self.claim(node) {
                        stack.push(self.enter(node)?.into_iter());
                    }
                }
                None => drop(stack.pop()),
            }
        }
        Ok(())
    }

    /// Follows a file's or folder's chain, and says whether it is a folder to be looked into.
    fn claim(&mut self, at: usize) -> bool {
        let node = &self.tree.nodes[at];
        let (record, offset, depth) = (node.record, node.offset, node.depth);
        let boot = &self.volume.boot;
        let cluster_size = u64::from(boot.cluster_size());
        let size = u64::from(record.size);
        let chain = self.chain(at, record.cluster);
        let mut bytes = chain.count * cluster_size;
        let mut runs = chain.runs;
        let mut problems = Vec::new();
        let mut whole = true;
        if let Some((cluster, what)) = chain.wrong {
            let byte = match cluster {
                0 => offset + 26,
                cluster => self.volume.entry_at(boot.active.unwrap_or(0), cluster),
            };
            problems.push((byte, what));
            whole = false;
        }
        if record.is_directory() {
            if record.size != 0 {
                problems.push((offset + 28, What::FolderSize(record.size)));
            }
            let most = (MAX_SLOTS as u64 * u64::from(SLOT)).max(cluster_size);
            if bytes > most {
                problems.push((offset, What::FolderLong));
                truncate(&mut runs, most / cluster_size);
            }
            if chain.count == 0 && whole {
                problems.push((offset + 26, What::NoStart));
            }
            if depth > MAX_DEPTH {
                problems.push((offset, What::Deep));
            }
        } else {
            self.tree.nodes[at].size = size;
            if bytes < size {
                if whole {
                    problems.push((offset + 28, What::Short(size, bytes)));
                }
            } else if size.div_ceil(cluster_size) < chain.count {
                if whole {
                    problems.push((offset + 28, What::Long(size, bytes)));
                }
                bytes = size.div_ceil(cluster_size) * cluster_size;
                truncate(&mut runs, bytes / cluster_size);
            }
        }
        let enter = record.is_directory() && !runs.is_empty() && depth <= MAX_DEPTH;
        self.tree.nodes[at].runs = runs;
        for (byte, what) in problems {
            self.say_node(at, byte, what);
        }
        enter
    }

    fn chain(&mut self, node: usize, start: u32) -> Chain {
        let table = &self.volume.table;
        let mut chain = Chain {
            runs: Vec::new(),
            count: 0,
            wrong: None,
        };
        if start == 0 {
            return chain;
        }
        if !table.exists(start) {
            chain.wrong = Some((0, What::Start(start)));
            return chain;
        }
        let mine = node as u32 + 1;
        let (mut before, mut cluster) = (0, start);
        loop {
            let what = match self.owner[cluster as usize] {
                0 => None,
                owner if owner == mine => Some(What::Loop(cluster)),
                owner => Some(What::Crossed(
                    cluster,
                    self.tree.short_path(owner as usize - 1),
                )),
            };
            let link = table.link(cluster);
            let what = what.or(match link {
                Link::Free => Some(What::FreeLink(cluster)),
                Link::Bad => Some(What::BadLink(cluster)),
                _ => None,
            });
            if let Some(what) = what {
                chain.wrong = Some((before, what));
                return chain;
            }
            self.owner[cluster as usize] = mine;
            push(&mut chain.runs, cluster);
            chain.count += 1;
            match link {
                Link::Next(next) => (before, cluster) = (cluster, next),
                Link::Invalid(next) => {
                    chain.wrong = Some((cluster, What::Link(cluster, next)));
                    return chain;
                }
                _ => return chain,
            }
        }
    }

    /// Reads a folder, and lists what is in it.
    fn enter(&mut self, at: usize) -> io::Result<Vec<usize>> {
        let node = &self.tree.nodes[at];
        let (runs, depth, parent) = (node.runs.clone(), node.depth, node.parent);
        if at == 0 && self.volume.boot.kind == Kind::Fat32 && runs.is_empty() {
            return Ok(Vec::new());
        }
        let wide = self.volume.boot.kind == Kind::Fat32;
        let parsed = Directory::parse(&self.volume.directory(&runs)?, wide);
        self.tree.nodes[at].size = parsed.used as u64 * u64::from(SLOT);
        if at == 0 {
            self.tree.label = parsed.label.map(|(_, record)| record.short);
        }
        let dots: &[_] = match at {
            0 => &[],
            _ => {
                let up = if parent == 0 {
                    0
                } else {
                    self.tree.nodes[parent].record.cluster
                };
                &[
                    (".", DOT, self.tree.nodes[at].record.cluster),
                    ("..", DOT_DOT, up),
                ]
            }
        };
        for (slot, (name, short, leads)) in dots.iter().enumerate() {
            let offset = self.volume.slot_at(&runs, slot);
            match parsed
                .dots
                .iter()
                .find(|(_, record)| record.short == *short)
            {
                Some((place, record)) if *place == slot && record.is_directory() => {
                    if record.cluster != *leads {
                        let what = What::Dot(name, record.cluster, *leads);
                        self.say_node(at, offset + 26, what);
                    }
                }
                _ => self.say_node(at, offset, What::NoDot(name)),
            }
        }
        for (slot, _) in parsed.dots.iter().filter(|(slot, _)| *slot >= dots.len()) {
            let offset = self.volume.slot_at(&runs, *slot);
            self.say_node(at, offset, What::StrayDot);
        }
        let first = self.tree.nodes.len();
        let mut names = HashMap::new();
        for entry in parsed.entries {
            if self.tree.nodes.len() >= MAX_NODES {
                let offset = self.volume.slot_at(&runs, entry.at);
                self.say_node(at, offset, What::Many);
                break;
            }
            names.insert(entry.at, self.tree.nodes.len());
            self.tree.nodes.push(Node {
                name: entry.name,
                parent: at,
                record: entry.record,
                runs: Vec::new(),
                children: Vec::new(),
                size: 0,
                broken: false,
                offset: self.volume.slot_at(&runs, entry.at),
                depth: depth + 1,
            });
        }
        for (slot, what) in parsed.odd {
            let offset = self.volume.slot_at(&runs, slot);
            self.say_node(names.get(&slot).copied().unwrap_or(at), offset, what);
        }
        let children: Vec<_> = (first..self.tree.nodes.len()).collect();
        self.tree.nodes[at].children.clone_from(&children);
        Ok(children)
    }

    fn label(&mut self) {
        let boot = &self.volume.boot;
        let Some(in_boot) = boot.label else { return };
        let root = self.tree.label.unwrap_or(*NO_LABEL);
        if in_boot != root && in_boot != *b"           " {
            let at = if boot.kind == Kind::Fat32 { 71 } else { 43 };
            let text = |label: &[u8; 11]| String::from_utf8_lossy(label).trim_end().to_owned();
            self.say(Place::Boot, at, What::Label(text(&in_boot), text(&root)));
        }
    }

    /// Clusters in use that no file has: a chain is named by its first cluster.
    fn lost(&mut self) {
        let Self {
            volume,
            owner,
            tree,
        } = self;
        let table = &volume.table;
        let is_lost = |cluster: u32| {
            owner[cluster as usize] == 0 && !matches!(table.link(cluster), Link::Free | Link::Bad)
        };
        let mut follows = vec![false; owner.len()];
        for cluster in table.clusters().filter(|cluster| is_lost(*cluster)) {
            if let Link::Next(next) = table.link(cluster) {
                follows[next as usize] = true;
            }
        }
        let mut seen = vec![false; owner.len()];
        let active = volume.boot.active.unwrap_or(0);
        // Those that nothing leads to first; what is left then are loops.
        for heads in [true, false] {
            for first in table.clusters().filter(|cluster| is_lost(*cluster)) {
                if seen[first as usize] || heads && follows[first as usize] {
                    continue;
                }
                let (mut count, mut cluster) = (0, first);
                while is_lost(cluster) && !std::mem::replace(&mut seen[cluster as usize], true) {
                    count += 1;
                    match table.link(cluster) {
                        Link::Next(next) => cluster = next,
                        _ => break,
                    }
                }
                tree.push(Problem {
                    place: Place::Table(active + 1),
                    offset: volume.entry_at(active, first),
                    what: What::Lost(first, count),
                });
            }
        }
    }
}

fn truncate(runs: &mut Vec<Run>, mut clusters: u64) {
    runs.retain_mut(|run| {
        run.count = u64::from(run.count).min(clusters) as u32;
        clusters -= u64::from(run.count);
        run.count != 0
    });
}
