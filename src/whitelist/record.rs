//! What the walk from program to program puts down: programs with their reasons, what could not be told, what is worth a note.

use super::{
    Gap, GapKind, Kind, Note, Program, Reason,
    closure::{Closure, Origin},
    files::{self, Found, What},
    list::text,
};

/// LIMIT: reasons told of one program, and things told as unknown or noted.
const MAX_REASONS: usize = 8;
const MAX_GAPS: usize = 500;
const MAX_NOTES: usize = 300;

impl Closure<'_> {
    /// Puts a program on the list.
    pub(super) fn list(&mut self, found: &Found<'_>, origin: &Origin) {
        let program = self
            .programs
            .entry(found.name())
            .or_insert_with_key(|name| Program {
                name: name.clone(),
                kind: kind_of(found),
                reasons: Vec::new(),
            });
        let reason = Reason {
            why: origin.why.clone(),
            place: origin.place.clone(),
            chain: origin.chain.to_vec(),
        };
        let same = |known: &Reason| known.why == reason.why && known.place == reason.place;
        if program.reasons.len() < MAX_REASONS && !program.reasons.iter().any(same) {
            program.reasons.push(reason);
        }
    }

    /// Remembers what the last start begins with.
    pub(super) fn begins_with(&mut self, found: &Found<'_>) {
        if let Some(start) = self.starts.last_mut() {
            start.program.get_or_insert_with(|| found.name());
        }
    }

    /// A folder of which whatever is there is run or sourced.
    pub(super) fn folder(&mut self, folder: &[u8], origin: &Origin) {
        let mounts = self.files.unknown_mounts(folder);
        for mount in &mounts {
            let what = format!(
                "whatever is in `{}` is run: {}",
                text(folder),
                files::volume(mount)
            );
            self.gap(GapKind::Volume, what, origin);
        }
        if mounts.is_empty() {
            let what = format!(
                "whatever is in `{}` is run: files that are mounted there are not on the list",
                text(folder)
            );
            self.note(what, origin);
        }
    }

    pub(super) fn gap(&mut self, kind: GapKind, what: String, origin: &Origin) {
        let same = |gap: &Gap| gap.kind == kind && gap.what == what && gap.place == origin.place;
        if self.unknowns.len() < MAX_GAPS && !self.unknowns.iter().any(same) {
            self.unknowns.push(Gap {
                kind,
                what,
                place: origin.place.clone(),
                chain: origin.chain.to_vec(),
            });
        }
    }

    pub(super) fn note(&mut self, what: String, origin: &Origin) {
        let note = Note {
            what,
            place: origin.place.clone(),
        };
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn never(&mut self, why: String) {
        if self.never.len() < MAX_REASONS && !self.never.contains(&why) {
            self.never.push(why);
        }
    }
}

fn kind_of(found: &Found<'_>) -> Kind {
    use crate::image::tree::{Content, Linkage};
    match &found.what {
        What::File(file) => match &file.content {
            Content::Elf(elf) => match elf.linkage {
                Linkage::Dynamic => Kind::Dynamic,
                Linkage::Static => Kind::Static,
            },
            Content::Head(head) if head.starts_with(b"#!") => Kind::Script,
            Content::Head(_) => Kind::Opaque,
            Content::Text(_) => Kind::Script,
        },
        What::Config { file, .. } if file.text.is_some() => Kind::Script,
        _ => Kind::Opaque,
    }
}
