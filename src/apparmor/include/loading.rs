//! A file with all that it includes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{IncludeError, Included, Includes, MAX_BYTES, MAX_FILE};
use crate::apparmor::{
    ast::{Block, File, IncludePath, Item, Statement},
    diagnostic::{Diagnostic, Diagnostics},
    parser::{Context, MAX_TOKENS, parse_within},
    quoting::decode,
    source::{FileId, Sources, Span},
};

/// LIMIT: files, each counted as often as it is included.
const MAX_UNITS: usize = 100_000;

/// LIMIT: statements, each counted as often as it is included. Debian's largest profile files have some ten thousand.
const MAX_STATEMENTS: usize = 1_000_000;

/// LIMIT: includes and blocks inside of each other.
const MAX_DEPTH: usize = 200;

/// LIMIT: findings that are told apart.
const MAX_REPORTED: usize = 100_000;

/// A file with all that it includes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// All files.
    pub sources: Sources,
    /// The file.
    pub root: Unit,
}

/// A file at one place where it is included.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file.
    pub file: FileId,
    /// What stands in it.
    pub ast: Arc<File>,
    /// What its includes bring here, by the places of their paths.
    included: BTreeMap<Span, Vec<Unit>>,
}

impl Unit {
    /// What an include in this file brings, in the order in which it counts: nothing when that stands above already.
    #[must_use]
    pub fn included(&self, path: &IncludePath) -> &[Self] {
        self.included
            .get(&path.path.span)
            .map_or(&[], Vec::as_slice)
    }
}

/// Reads a text with all that it includes. What is broken or missing is left out, and told.
#[must_use]
pub fn load(name: String, text: Arc<[u8]>, includes: &dyn Includes) -> (Loaded, Vec<Diagnostic>) {
    let mut loader = Loader {
        includes,
        sources: Sources::default(),
        files: HashMap::new(),
        found: HashMap::new(),
        trees: HashMap::new(),
        diagnostics: Diagnostics::default(),
        reported: HashSet::new(),
        bytes: 0,
        units: 0,
        statements: 0,
        tokens: MAX_TOKENS,
        declared: false,
    };
    let too_large = text.len() > MAX_FILE;
    let text = if too_large { Arc::default() } else { text };
    let file = loader.sources.add(name, text);
    if too_large {
        loader.report(too_large_file(Span {
            file,
            ..Span::default()
        }));
    }
    let root = loader.unit(file, Context::TopLevel, &mut HashSet::new(), 0);
    let sources = loader.sources;
    (Loaded { sources, root }, loader.diagnostics.into_vec())
}

/// The files that were included in a scope.
type Scope = HashSet<FileId>;

struct Loader<'a> {
    includes: &'a dyn Includes,
    sources: Sources,
    /// Files by name.
    files: HashMap<String, FileId>,
    /// What paths brought, so that each is looked up once.
    found: HashMap<(Vec<u8>, bool), Result<Vec<FileId>, IncludeError>>,
    trees: HashMap<(FileId, Context), Arc<File>>,
    diagnostics: Diagnostics,
    /// What was said where: an include that is walked many times is told about once.
    reported: HashSet<(&'static str, Span)>,
    bytes: usize,
    units: usize,
    statements: usize,
    /// How many tokens may still be read.
    tokens: usize,
    /// Whether a profile was seen.
    declared: bool,
}

impl Loader<'_> {
    /// A file at a place, with what it includes there.
    fn unit(&mut self, file: FileId, context: Context, scope: &mut Scope, depth: usize) -> Unit {
        let ast = self.tree(file, context);
        let mut unit = Unit {
            file,
            ast: Arc::clone(&ast),
            included: BTreeMap::new(),
        };
        self.units += 1;
        match context {
            Context::Body => self.items(&mut unit, &ast.items, context, scope, depth),
            Context::TopLevel => self.top_items(&mut unit, &ast.items, scope, depth),
        }
        unit
    }

    fn tree(&mut self, file: FileId, context: Context) -> Arc<File> {
        if let Some(tree) = self.trees.get(&(file, context)) {
            return Arc::clone(tree);
        }
        let text = self.sources.file(file).map(|file| Arc::clone(&file.text));
        let text = text.unwrap_or_default();
        let (tree, diagnostics) = parse_within(file, &text, context, &mut self.tokens);
        for diagnostic in diagnostics {
            self.report(diagnostic);
        }
        let tree = Arc::new(tree);
        self.trees.insert((file, context), Arc::clone(&tree));
        tree
    }

    /// What stands outside of profiles: a preamble, then profiles, whichever file they stand in.
    fn top_items(&mut self, unit: &mut Unit, items: &[Item], scope: &mut Scope, depth: usize) {
        // What stands behind a profile of the same file the parser tells.
        let mut declared_here = false;
        for item in items {
            match &item.statement.value {
                Statement::Profile(_) => {
                    declared_here = true;
                    self.declared = true;
                }
                Statement::Include { .. } => {}
                _ if self.declared && !declared_here => self.report(
                    Diagnostic::error(
                        "misplaced-preamble",
                        item.statement.span,
                        "this must stand in front of the first profile, and an include brings one",
                    )
                    .help("include profiles behind the preamble"),
                ),
                _ => {}
            }
            self.item(unit, item, Context::TopLevel, scope, depth);
        }
    }

    fn items(
        &mut self,
        unit: &mut Unit,
        items: &[Item],
        context: Context,
        scope: &mut Scope,
        depth: usize,
    ) {
        for item in items {
            self.item(unit, item, context, scope, depth);
        }
    }

    /// Steps into a statement that may hold includes.
    fn item(
        &mut self,
        unit: &mut Unit,
        item: &Item,
        context: Context,
        scope: &mut Scope,
        depth: usize,
    ) {
        self.statements += 1;
        if self.statements > MAX_STATEMENTS {
            if !self.diagnostics.is_too_large() {
                self.report(Diagnostic::too_large(
                    item.statement.span,
                    format!(
                        "more than {MAX_STATEMENTS} statements, each as often as it is included"
                    ),
                ));
            }
            return;
        }
        let mut block = |loader: &mut Self, block: &Block, scope: &mut Scope| {
            loader.items(unit, &block.items, Context::Body, scope, depth + 1);
        };
        match &item.statement.value {
            Statement::Block { block: inner, .. } => block(self, inner, scope),
            Statement::If(condition) => {
                let branches = condition.branches.iter().map(|(_, block)| block);
                for inner in branches.chain(&condition.otherwise) {
                    block(self, inner, scope);
                }
            }
            Statement::Profile(profile) => block(self, &profile.body, &mut Scope::new()),
            Statement::Include {
                if_exists, path, ..
            } => {
                let files = self.find(path, *if_exists);
                let fresh: Vec<FileId> = files
                    .into_iter()
                    .filter(|&file| scope.insert(file))
                    .collect();
                let units = self.units_of(&fresh, path, context, scope, depth + 1);
                unit.included.insert(path.path.span, units);
            }
            _ => {}
        }
    }

    fn units_of(
        &mut self,
        files: &[FileId],
        path: &IncludePath,
        context: Context,
        scope: &mut Scope,
        depth: usize,
    ) -> Vec<Unit> {
        let mut units = Vec::new();
        // All files of a folder are opened before the first is read, and the last one opened is read first.
        for &file in files.iter().rev() {
            if self.statements > MAX_STATEMENTS {
                break;
            }
            if depth > MAX_DEPTH || self.units >= MAX_UNITS {
                self.report(
                    Diagnostic::error(
                        "too-many-includes",
                        path.path.span,
                        format!("more than {MAX_DEPTH} includes and blocks inside of each other, or {MAX_UNITS} in all"),
                    )
                    .help("a profile that includes a file which holds a profile which includes that file again never ends"),
                );
                break;
            }
            units.push(self.unit(file, context, scope, depth));
        }
        units
    }

    /// The files that a path names; none when it is missing, which is told unless it may be.
    fn find(&mut self, path: &IncludePath, if_exists: bool) -> Vec<FileId> {
        let name = decode(&path.path.value).into_owned();
        let key = (name, path.searched);
        let found = if let Some(found) = self.found.get(&key) {
            found.clone()
        } else {
            let found = self.read(&key.0, path.searched);
            self.found.insert(key, found.clone());
            found
        };
        let span = path.path.span;
        match found {
            Ok(files) => return files,
            Err(IncludeError::Missing) if if_exists => {}
            Err(IncludeError::Missing) => {
                let help = if path.searched {
                    "name the folder that it is in with `--include DIR`, or write `include if exists`"
                } else {
                    "write `<…>` around paths that are looked up in the folders of `--include DIR`"
                };
                self.report(
                    Diagnostic::error("missing-include", span, "there is no file of this name")
                        .help(help),
                );
            }
            Err(IncludeError::TooLarge) => self.report(too_large_file(span)),
            Err(IncludeError::Unreadable(why)) => {
                let message = format!("this cannot be read: {why}");
                // `apparmor_parser` takes any failure for absence here.
                self.report(if if_exists {
                    Diagnostic::warning("unreadable-include", span, message)
                        .help("it is left out; make it readable, or remove it")
                } else {
                    Diagnostic::error("unreadable-include", span, message)
                        .help("make it readable, or write `include if exists`")
                });
            }
        }
        Vec::new()
    }

    fn read(&mut self, path: &[u8], searched: bool) -> Result<Vec<FileId>, IncludeError> {
        let files = match self.includes.read(path, searched)? {
            Included::Directory(files) => files,
            Included::File(name, text) => vec![(name, text)],
        };
        let mut found = Vec::with_capacity(files.len());
        for (name, text) in files {
            if let Some(&file) = self.files.get(&name) {
                found.push(file);
                continue;
            }
            self.bytes = self.bytes.saturating_add(text.len());
            if text.len() > MAX_FILE || self.bytes > MAX_BYTES {
                return Err(IncludeError::TooLarge);
            }
            let file = self.sources.add(name.clone(), text);
            self.files.insert(name, file);
            found.push(file);
        }
        Ok(found)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        // Beyond what is told apart a finding may be told twice, and is never left out.
        if self.reported.len() >= MAX_REPORTED
            || self.reported.insert((diagnostic.code, diagnostic.span))
        {
            self.diagnostics.push(diagnostic);
        }
    }
}

fn too_large_file(span: Span) -> Diagnostic {
    Diagnostic::error(
        "file-too-large",
        span,
        format!(
            "over {} MiB, or over {} MiB with all that is included",
            MAX_FILE >> 20,
            MAX_BYTES >> 20
        ),
    )
    .help("no policy is that large: check the path")
}
