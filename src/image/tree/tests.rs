//! Layers applied one by one against a slow reference model, and what single entries do.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;

use super::{Content, File, Item, LayerBuilder, LayerTree, Node, ResolveError, Tree, TreeError};
use crate::image::limits::Limits;

fn directory() -> Item {
    Item::Node(Node::Directory { mode: 0o700 })
}

fn link(target: &str) -> Item {
    Item::Node(Node::Link {
        target: target.as_bytes().to_vec(),
    })
}

fn hard_link(target: &str) -> Item {
    Item::HardLink(target.as_bytes().to_vec())
}

/// A file that is told from others by its text.
fn file(text: &str) -> Item {
    Item::File(File::new(
        0o755,
        u64::try_from(text.len()).unwrap(),
        Content::Text(Arc::from(text.as_bytes())),
    ))
}

fn layer(entries: Vec<(&str, Item)>) -> Result<LayerTree, TreeError> {
    let mut layer = LayerBuilder::new(Limits::default());
    for (name, item) in entries {
        layer.add(name.as_bytes(), item)?;
    }
    Ok(layer.finish())
}

fn tree(layers: Vec<Vec<(&str, Item)>>) -> Tree {
    let layers: Result<Vec<_>, _> = layers.into_iter().map(layer).collect();
    Tree::from_layers(layers.unwrap(), &Limits::default()).unwrap()
}

/// The tree as text: a line for each name.
fn shown(tree: &Tree) -> String {
    let lines = tree.iter().map(|(path, node)| {
        let path = String::from_utf8_lossy(&path).into_owned();
        path + &match node {
            Node::Directory { mode: 0o755 } => "\n".to_owned(),
            Node::Directory { .. } => " own\n".to_owned(),
            Node::File(File {
                content: Content::Text(text),
                ..
            }) => format!(" = {}\n", String::from_utf8_lossy(text)),
            Node::File(_) => " file\n".to_owned(),
            Node::Link { target } => format!(" -> {}\n", String::from_utf8_lossy(target)),
            Node::Other { .. } => " other\n".to_owned(),
        }
    });
    lines.collect()
}

#[track_caller]
fn merges(layers: Vec<Vec<(&str, Item)>>, expected: &[&str]) {
    let tree = tree(layers);
    let shown = shown(&tree);
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    for (path, node) in tree.iter() {
        assert_eq!(tree.node(&path), Some(node), "found by its own path");
    }
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    merges(
        vec![vec![
            ("a", file("1")),
            ("./a", file("2")),
            ("d/x", file("3")),
            ("d", directory()),
            ("e/x/y", file("4")),
            ("e", file("5")),
            ("f", file("6")),
            ("f/", directory()),
            ("g/x", file("7")),
            ("g", file("8")),
            ("g", directory()),
        ]],
        &[
            "/", "/a = 2", "/d own", "/d/x = 3", "/e = 5", "/f own", "/g own",
        ],
    );
}

#[test]
fn names_are_clamped_to_the_root_and_links_among_folders_followed() {
    merges(
        vec![vec![
            ("../../a", file("1")),
            ("/b/../c", file("2")),
            ("usr/lib", directory()),
            ("lib", link("usr/lib")),
            ("lib/x", file("3")),
            ("up", link("../../usr")),
            ("up/y", file("4")),
            ("absolute", link("/new/../usr")),
            ("absolute/z", file("5")),
            ("dangling", link("there")),
            ("dangling/x", file("6")),
            ("lib", link("/usr/lib")),
            ("lib/w", file("7")),
            ("usr/./lib/", link("lib64")),
            ("lib/v", file("8")),
        ]],
        &[
            "/",
            "/a = 1",
            "/absolute -> /new/../usr",
            "/c = 2",
            "/dangling -> there",
            "/lib -> /usr/lib",
            "/new",
            "/there",
            "/there/x = 6",
            "/up -> ../../usr",
            "/usr",
            "/usr/lib -> lib64",
            "/usr/lib64",
            "/usr/lib64/v = 8",
            "/usr/y = 4",
            "/usr/z = 5",
        ],
    );
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let base = || {
        vec![
            ("a", file("1")),
            ("d/x", file("2")),
            ("d/y/z", file("3")),
            ("e/x", file("4")),
            ("f/x", file("5")),
            ("g/x", file("6")),
            ("h/x", file("7")),
        ]
    };
    merges(
        vec![
            base(),
            vec![
                (".wh.a", file("")),
                ("d/.wh.y", file("")),
                ("d/.wh.missing", file("")),
                ("e/new", file("8")),
                ("e/.wh..wh..opq", file("")),
                ("f/.wh..wh..opq", file("")),
                ("f/new", file("9")),
                (".wh.g", file("")),
                ("g/new", file("10")),
                ("h/new", file("11")),
                (".wh.h", file("")),
                (".wh..wh.plnk", directory()),
                (".wh..wh.plnk/1.2", file("")),
            ],
        ],
        &[
            "/",
            "/d",
            "/d/x = 2",
            "/e",
            "/e/new = 8",
            "/f",
            "/f/new = 9",
            "/g",
            "/g/new = 10",
            "/h",
            "/h/new = 11",
        ],
    );
    merges(
        vec![base(), vec![(".wh..wh..opq", file("")), ("z", file("1"))]],
        &["/", "/z = 1"],
    );
}

#[test]
fn a_folder_and_a_link_take_each_others_place() {
    merges(
        vec![
            vec![
                ("bin/sh", file("1")),
                ("usr/bin/ls", file("2")),
                ("lib", link("usr/lib")),
            ],
            vec![("bin", link("usr/bin")), ("lib/x", file("3"))],
            vec![("bin/new", file("4")), ("usr/bin", directory())],
        ],
        // The third layer's `bin` is a folder of its own, as an overlay's upper folder has it.
        &[
            "/",
            "/bin",
            "/bin/new = 4",
            "/lib",
            "/lib/x = 3",
            "/usr",
            "/usr/bin own",
            "/usr/bin/ls = 2",
        ],
    );
}

#[test]
fn a_folder_that_is_only_implied_keeps_its_mode() {
    merges(
        vec![
            vec![("d", directory()), ("e", file("1"))],
            vec![("d/x", file("2")), ("e/x", file("3"))],
        ],
        &["/", "/d own", "/d/x = 2", "/e", "/e/x = 3"],
    );
}

#[test]
fn hard_links_share_an_inode() {
    let tree = tree(vec![
        vec![
            ("a", file("1")),
            ("b", hard_link("a")),
            ("c", file("1")),
            ("s", link("a")),
        ],
        vec![
            ("d", file("2")),
            ("e", hard_link("./d")),
            ("f", hard_link("/a")),
            ("usr/lib/x", file("3")),
            ("lib", link("usr/lib")),
            ("g", hard_link("lib/x")),
            ("h", hard_link("g")),
            ("a", file("4")),
            ("i", hard_link("f")),
            ("j", link("d")),
            ("k", hard_link("j")),
        ],
    ]);
    let inode = |path: &str| match tree.node(path.as_bytes()) {
        Some(Node::File(file)) => file.inode,
        other => panic!("{path}: {other:?}"),
    };
    // `f` is the lower layer's `a`, which the same layer replaced afterwards.
    let groups = [
        vec!["/b", "/f", "/i"],
        vec!["/a"],
        vec!["/c"],
        vec!["/d", "/e"],
        vec!["/usr/lib/x", "/g", "/h"],
    ];
    for (index, group) in groups.iter().enumerate() {
        for name in group {
            assert_eq!(inode(name), inode(group[0]), "{name}");
        }
        for other in &groups[index + 1..] {
            assert_ne!(inode(group[0]), inode(other[0]));
        }
    }
    assert!(matches!(tree.node(b"/k"), Some(Node::Link { .. })));
}

#[test]
fn what_no_runtime_unpacks_is_an_error() {
    type Is = fn(&TreeError) -> bool;
    let long = "a".repeat(256);
    let path = "a/".repeat(2049);
    let deep = "a/".repeat(260);
    let cases: Vec<(Vec<(&str, Item)>, Is)> = vec![
        (vec![("a", file("")), ("a/b", file(""))], |e| {
            matches!(e, TreeError::BelowFile(_))
        }),
        (
            vec![("a", link("b")), ("b", link("a")), ("a/c", file(""))],
            |e| matches!(e, TreeError::LinkLoop(_)),
        ),
        (vec![("a", link("a/b")), ("a/c", file(""))], |e| {
            matches!(e, TreeError::LinkLoop(_))
        }),
        (vec![(".", file(""))], |e| matches!(e, TreeError::Root)),
        (vec![("..", link("x"))], |e| matches!(e, TreeError::Root)),
        (vec![("a\0b", file(""))], |e| {
            matches!(e, TreeError::Name(_))
        }),
        (vec![("a", link("b\0"))], |e| {
            matches!(e, TreeError::Name(_))
        }),
        (vec![("a/.wh.", file(""))], |e| {
            matches!(e, TreeError::Name(_))
        }),
        (vec![(".wh...", file(""))], |e| {
            matches!(e, TreeError::Name(_))
        }),
        (vec![(&long, file(""))], |e| {
            matches!(e, TreeError::Long { .. })
        }),
        (vec![(&path, directory())], |e| {
            matches!(e, TreeError::Long { .. })
        }),
        (vec![("a", link(&path))], |e| {
            matches!(e, TreeError::Long { .. })
        }),
        (vec![(&deep, file(""))], |e| {
            matches!(e, TreeError::Depth { .. })
        }),
        (vec![("d", directory()), ("b", hard_link("d"))], |e| {
            matches!(e, TreeError::HardLinkToFolder { .. })
        }),
        (vec![("b", hard_link("/"))], |e| {
            matches!(e, TreeError::HardLinkToFolder { .. })
        }),
        (vec![(".wh.a", file("")), ("b", hard_link("a"))], |e| {
            matches!(e, TreeError::HardLink { .. })
        }),
    ];
    for (index, (entries, is)) in cases.into_iter().enumerate() {
        let error = layer(entries).unwrap_err();
        assert!(is(&error), "{index}: {error:?}");
        assert!(!error.to_string().contains('\0'), "{error}");
    }
    let lower = layer(vec![("d", directory())]).unwrap();
    for (target, message) in [("missing", "is not there"), ("d", "to the folder `/d`")] {
        let upper = layer(vec![("b", hard_link(target))]).unwrap();
        let error = Tree::from_layers([upper], &Limits::default());
        assert!(error.unwrap_err().to_string().contains("not there"));
        let upper = layer(vec![("b", hard_link(target))]).unwrap();
        let lower = layer(vec![("d", directory())]).unwrap();
        let error = Tree::from_layers([lower, upper], &Limits::default());
        assert!(error.unwrap_err().to_string().contains(message));
    }
    drop(lower);
}

#[test]
fn entries_and_names_are_limited() {
    let limits = Limits {
        entries: 3,
        names: 10,
        texts: 3,
        ..Limits::default()
    };
    let mut layer = LayerBuilder::new(limits);
    for _ in 0..3 {
        layer.add(b"a", file("")).unwrap();
    }
    assert_eq!(layer.add(b"a", file("")), Err(TreeError::Entries(3)));
    let mut layer = LayerBuilder::new(limits);
    assert_eq!(layer.add(b"a/b/c/d", file("")), Err(TreeError::Entries(3)));
    let mut layer = LayerBuilder::new(limits);
    let error = layer.add(b"abcde", link("fghijk")).unwrap_err();
    assert!(matches!(error, TreeError::Names { limit: 10, .. }));
    // However they come about.
    for entries in [
        vec![("a", file("")), ("a", link("12345678")), ("a", link("12"))],
        vec![("a", link("12345")), ("b", hard_link("a"))],
        vec![("a", hard_link("12345")), ("b", hard_link("a"))],
    ] {
        let mut layer = LayerBuilder::new(limits);
        let mut entries = entries.into_iter();
        let error = entries.find_map(|(name, item)| layer.add(name.as_bytes(), item).err());
        assert!(matches!(error, Some(TreeError::Names { .. })), "{error:?}");
    }

    let one = |text| self::layer(vec![("a", file(text))]).unwrap();
    let error = Tree::from_layers([one("1"), one("2")], &limits).unwrap_err();
    assert_eq!(error, TreeError::Entries(3));
    let limits = Limits {
        entries: 9,
        ..limits
    };
    let long = || self::layer(vec![("a", link("1234"))]).unwrap();
    let again = self::layer(vec![("b", hard_link("a"))]).unwrap();
    for layers in [vec![long(), long(), long()], vec![long(), again]] {
        let limits = Limits { names: 9, ..limits };
        let error = Tree::from_layers(layers, &limits).unwrap_err();
        assert!(matches!(error, TreeError::Names { .. }), "{error:?}");
    }
    let tree = Tree::from_layers([one("12"), one("34")], &limits).unwrap();
    let Some(Node::File(file)) = tree.node(b"/a") else {
        panic!("a file")
    };
    assert_eq!(
        file.content,
        Content::Head([].into()),
        "over the image's limit"
    );
}

fn walked() -> Tree {
    Tree::builder()
        .file("/usr/bin/dash", 0o755, "#!x")
        .link("/usr/bin/sh", "dash")
        .link("/bin", "usr/bin")
        .link("/etc/alternatives/java", "/usr/lib/jvm/../jvm/bin/java")
        .file("/usr/lib/jvm/bin/java", 0o755, "j")
        .link("/usr/bin/java", "../../../../etc/alternatives/java")
        .link("/loop", "loop")
        .link("/a", "b/")
        .link("/b", "a")
        .link("/to-file", "usr/bin/dash/")
        .link("/self", ".")
        .link("/root", "/")
        .link("/dangling", "nowhere/x")
        .build()
        .unwrap()
}

#[test]
fn links_are_followed_as_the_kernel_follows_them() {
    let tree = walked();
    for (path, real) in [
        ("/bin/sh", "/usr/bin/dash"),
        ("bin//./sh", "/usr/bin/dash"),
        ("/bin/..", "/usr"),
        ("/bin/../../../..", "/"),
        ("/bin/java", "/usr/lib/jvm/bin/java"),
        ("/self/self/root/bin/", "/usr/bin"),
        ("", "/"),
        ("/", "/"),
    ] {
        let resolved = tree.resolve(path.as_bytes()).unwrap();
        assert_eq!(
            String::from_utf8(resolved.path.clone()).unwrap(),
            real,
            "{path}"
        );
        assert_eq!(tree.node(&resolved.path), Some(resolved.node));
    }
    let error = |path: &str| tree.resolve(path.as_bytes()).unwrap_err();
    assert!(matches!(error("/loop"), ResolveError::Loop(_)));
    assert!(matches!(error("/a/x"), ResolveError::Loop(_)));
    assert_eq!(
        error("/bin/no/x"),
        ResolveError::Missing(b"/usr/bin/no".to_vec())
    );
    assert_eq!(
        error("/dangling"),
        ResolveError::Missing(b"/nowhere".to_vec())
    );
    let not_directory = ResolveError::NotDirectory(b"/usr/bin/dash".to_vec());
    for path in [
        "/bin/sh/",
        "/bin/sh/.",
        "/bin/sh/..",
        "/bin/sh/x",
        "/to-file",
    ] {
        assert_eq!(error(path), not_directory, "{path}");
    }
    assert_eq!(tree.node(b"/bin/sh"), None, "not through a link");
    assert_eq!(tree.node(b"/usr/../usr"), None);
}

#[test]
fn forty_links_are_followed_and_not_one_more() {
    let mut builder = Tree::builder().file("/l0", 0o644, "");
    for index in 1..=41 {
        builder = builder.link(format!("/l{index}"), format!("l{}", index - 1));
    }
    let tree = builder.build().unwrap();
    assert_eq!(tree.resolve(b"/l40").unwrap().path, b"/l0");
    assert!(matches!(tree.resolve(b"/l41"), Err(ResolveError::Loop(_))));
}

#[test]
fn children_are_sorted_and_of_folders_only() {
    let tree = walked();
    let names = |path: &[u8]| -> Vec<String> {
        let names = tree.children(path);
        names
            .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
            .collect()
    };
    assert_eq!(names(b"/usr/bin"), ["dash", "java", "sh"]);
    assert!(
        names(b"/bin").is_empty() && names(b"/usr/bin/sh").is_empty() && names(b"/x").is_empty()
    );
    assert_eq!(names(b"/").len(), 10);
    let paths: Vec<_> = tree.iter().map(|(path, _)| path).collect();
    let mut sorted = paths.clone();
    // By names: a slash is less than what any name starts with.
    sorted.sort_by_key(|path| {
        path.iter()
            .map(|&b| if b == b'/' { 0 } else { b })
            .collect::<Vec<_>>()
    });
    assert_eq!(paths, sorted);
    assert_eq!(paths.len(), tree.len());
}

// The reference model: paths as lists of names, whole lists searched for each question.

type Path = Vec<String>;

#[derive(Clone, Debug, PartialEq)]
enum Model {
    Directory(bool),
    File(String),
    Link(String),
    Whiteout,
}

#[derive(Clone, Debug)]
struct Upper {
    nodes: BTreeMap<Path, Model>,
    hides: Vec<Path>,
}

fn split(path: &str) -> Path {
    let mut names = Path::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name.to_owned()),
        }
    }
    names
}

/// Removes what stands below a path, and the path itself.
fn remove(nodes: &mut BTreeMap<Path, Model>, path: &[String]) {
    nodes.retain(|other, _| !other.starts_with(path));
}

impl Upper {
    /// The real folder of a path, made where it is missing; an error as text.
    fn real(&mut self, folders: &[String], links: usize) -> Result<Path, &'static str> {
        let mut here = Path::new();
        for (index, name) in folders.iter().enumerate() {
            if name == ".." {
                here.pop();
                continue;
            }
            let mut path = here.clone();
            path.push(name.clone());
            match self.nodes.get(&path).cloned() {
                None => drop(self.nodes.insert(path.clone(), Model::Directory(false))),
                Some(Model::Whiteout) => {
                    self.nodes.insert(path.clone(), Model::Directory(false));
                    self.hides.push(path.clone());
                }
                Some(Model::Directory(_)) => {}
                Some(Model::File(_)) => return Err("below a file"),
                Some(Model::Link(_)) if links >= 40 => return Err("loop"),
                Some(Model::Link(target)) => {
                    let names = target.split('/').filter(|name| !matches!(*name, "" | "."));
                    let mut way: Path = if target.starts_with('/') {
                        Path::new()
                    } else {
                        here
                    };
                    way.extend(names.map(str::to_owned));
                    way.extend_from_slice(&folders[index + 1..]);
                    return self.real(&way, links + 1);
                }
            }
            here = path;
        }
        Ok(here)
    }

    fn add(&mut self, name: &str, node: Model) -> Result<(), &'static str> {
        let mut names = split(name);
        let Some(last) = names.pop() else {
            return match node {
                Model::Directory(_) => {
                    self.nodes.insert(Path::new(), node);
                    Ok(())
                }
                _ => Err("root"),
            };
        };
        let mut path = self.real(&names, 0)?;
        if last == ".wh..wh..opq" {
            self.hides.push(path);
        } else if let Some(deleted) = last.strip_prefix(".wh.") {
            path.push(deleted.to_owned());
            match self.nodes.get(&path) {
                Some(_) => self.hides.push(path),
                None => drop(self.nodes.insert(path, Model::Whiteout)),
            }
        } else {
            path.push(last);
            match (self.nodes.get(&path), &node) {
                (Some(Model::Directory(_)), Model::Directory(_)) | (None, _) => {}
                (Some(Model::Whiteout), _) => self.hides.push(path.clone()),
                _ => remove(&mut self.nodes, &path),
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    fn onto(self, lower: &mut BTreeMap<Path, Model>) {
        let root = (Path::new(), Model::Directory(false));
        for (path, node) in std::iter::once(root).chain(self.nodes) {
            let is_directory = |node: Option<&Model>| matches!(node, Some(Model::Directory(_)));
            let joined = is_directory(Some(&node)) && is_directory(lower.get(&path));
            if !joined || self.hides.contains(&path) {
                remove(lower, &path);
            }
            match node {
                Model::Whiteout => {}
                Model::Directory(false) => drop(lower.entry(path).or_insert(node)),
                _ => drop(lower.insert(path, node)),
            }
        }
    }
}

fn entry() -> impl Strategy<Value = (String, Model)> {
    let word = || prop_oneof!["a", "b", "c", "\\.\\."];
    let path = || proptest::collection::vec(word(), 1..4).prop_map(|words| words.join("/"));
    let target = (any::<bool>(), path()).prop_map(
        |(absolute, path)| {
            if absolute { format!("/{path}") } else { path }
        },
    );
    prop_oneof![
        3 => (path(), "[0-9]").prop_map(|(path, text)| (path, Model::File(text))),
        3 => path().prop_map(|path| (path, Model::Directory(true))),
        2 => (path(), target).prop_map(|(path, target)| (path, Model::Link(target))),
        1 => (path(), "[abc]").prop_map(|(path, name)| (format!("{path}/.wh.{name}"), Model::Whiteout)),
        1 => "[abc]".prop_map(|name| (format!(".wh.{name}"), Model::Whiteout)),
        1 => path().prop_map(|path| (format!("{path}/.wh..wh..opq"), Model::Whiteout)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn layers_are_merged_as_by_the_model(
        layers in proptest::collection::vec(proptest::collection::vec(entry(), 0..12), 1..4),
    ) {
        let mut lower = BTreeMap::from([(Path::new(), Model::Directory(false))]);
        let mut trees = Vec::new();
        for entries in layers {
            let mut upper = Upper { nodes: BTreeMap::new(), hides: Vec::new() };
            let mut builder = LayerBuilder::new(Limits::default());
            for (name, model) in entries {
                let item = match &model {
                    Model::Directory(_) => directory(),
                    Model::File(text) => file(text),
                    Model::Link(target) => link(target),
                    Model::Whiteout => file(""),
                };
                // What neither can unpack is left out by both, as far as it was made.
                let expected = upper.add(&name, model);
                let found = builder.add(name.as_bytes(), item);
                prop_assert_eq!(expected.is_ok(), found.is_ok(), "{}: {:?} {:?}", name, expected, found);
            }
            upper.onto(&mut lower);
            trees.push(builder.finish());
        }
        let tree = Tree::from_layers(trees, &Limits::default()).unwrap();
        let expected: String = lower
            .iter()
            .map(|(path, node)| {
                let path = path.join("/");
                match node {
                    Model::Directory(false) => format!("/{path}\n"),
                    Model::Directory(true) => format!("/{path} own\n"),
                    Model::File(text) => format!("/{path} = {text}\n"),
                    Model::Link(target) => format!("/{path} -> {target}\n"),
                    Model::Whiteout => String::new(),
                }
            })
            .collect();
        prop_assert_eq!(shown(&tree), expected);
    }
}
