//! Links that one side permits whatever they link to, where the other has the subset test.
//!
//! A link is permitted when the pair of both names is, which [`super::classes`] asks. Where the pair has the subset bit, the new
//! name must also permit no more than the old one does, and run programs in the same way (`profile_path_link` in Linux).
//!
//! Two profiles that both have the test are not compared by it: it looks at what the profile itself permits on both names, so
//! that a profile which forbids more would pass it more often. Forbidding more must never count as permitting more.

use crate::apparmor::automaton::{Budget, Exhausted, Set};
use crate::apparmor::model::{Exec, file};
use crate::apparmor::source::Span;

use super::domain::{Domain, Field, Names, Place};
use super::side::{At, Side, distinct_bytes};

/// A link that the first side permits and the second does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The new name.
    pub(super) name: Vec<u8>,
    /// The old.
    pub(super) target: Vec<u8>,
    /// The rule of the first side.
    pub(super) permits: Option<Span>,
    /// The rule of the second that permits it under a condition.
    pub(super) conditional: Option<Span>,
}

/// Pairs of the first side; pairs and paths of the second.
pub(super) struct LinkSides<'f, 's> {
    pub(super) first: Side<'f>,
    pub(super) second: Side<'s>,
    pub(super) second_paths: Side<'s>,
}

/// What a path permits to the owner.
type Permissions = (u32, Option<Exec>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    place: Place,
    first: At,
    second: At,
    second_path: At,
}

/// Names as they were reached: the key, the number of the one before, and the byte between them.
type Trail = Vec<(Key, usize, u8)>;

/// Finds links, one for each pair of rules that explains them. Both sides are the owner's: the parser sets the bit there only.
pub(super) fn unconditional_links(
    sides: &mut LinkSides<'_, '_>,
    limit: usize,
    budget: &mut Budget,
) -> Result<Vec<Link>, Exhausted> {
    let domain = Domain::new(vec![Field::Path], &Names::default());
    let mut found: Vec<Link> = Vec::new();
    let start = Key {
        place: Place::START,
        first: sides.first.start(),
        second: sides.second.start(),
        second_path: sides.second_paths.start(),
    };
    let links = walk(sides, &domain, start, budget)?;
    // New names that no side tells apart need looking at once.
    let mut looked_at = std::collections::HashSet::new();
    for (number, (key, ..)) in links.iter().enumerate() {
        if !domain.ends(key.place) {
            continue;
        }
        let permitted = permissions(&mut sides.second_paths, key.second_path);
        let after = Key {
            place: Place::START,
            first: sides.first.next(key.first, 0, budget)?,
            second: sides.second.next(key.second, 0, budget)?,
            second_path: sides.second_paths.start(),
        };
        if sides.first.may_permit(after.first) & file::LINK == 0
            || !looked_at.insert((after, permitted.clone()))
        {
            continue;
        }
        let targets = walk(sides, &domain, after, budget)?;
        for (target, (key, ..)) in targets.iter().enumerate() {
            if !domain.ends(key.place) || !differs(sides, key, &permitted) {
                continue;
            }
            let rule =
                |side: &Side<'_>, at| side.deciding(at, file::LINK).map(|(entry, _)| entry.span);
            let (permits, conditional) = (
                rule(&sides.first, key.first),
                rule(&sides.second, key.second),
            );
            let known = |link: &Link| link.permits == permits && link.conditional == conditional;
            if !found.iter().any(known) {
                found.push(Link {
                    name: string(&links, number),
                    target: string(&targets, target),
                    permits,
                    conditional,
                });
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}

/// All names on which the first side may still permit a link, shortest first.
fn walk(
    sides: &mut LinkSides<'_, '_>,
    domain: &Domain,
    start: Key,
    budget: &mut Budget,
) -> Result<Trail, Exhausted> {
    let bytes = distinct_bytes(
        domain,
        &[&sides.first, &sides.second, &sides.second_paths],
        budget,
    )?;
    let mut trail: Trail = vec![(start, 0, 0)];
    let mut seen = Set::from_iter([start]);
    let mut current = 0;
    while let Some(&(key, ..)) = trail.get(current) {
        for &byte in &bytes {
            let Some(place) = domain.next(key.place, byte) else {
                continue;
            };
            let first = sides.first.next(key.first, byte, budget)?;
            if sides.first.may_permit(first) & file::LINK == 0 {
                continue;
            }
            let next = Key {
                place,
                first,
                second: sides.second.next(key.second, byte, budget)?,
                second_path: sides.second_paths.next(key.second_path, byte, budget)?,
            };
            if seen.insert(next) {
                budget.keep(2 * size_of::<Key>() + 24)?;
                trail.push((next, current, byte));
            }
        }
        current += 1;
    }
    Ok(trail)
}

/// Whether the first side permits the pair without the test, and the second's test fails.
fn differs(sides: &mut LinkSides<'_, '_>, key: &Key, link: &Permissions) -> bool {
    let first = sides.first.allows(key.first);
    let second = sides.second.allows(key.second);
    if first & (file::LINK | file::LINK_SUBSET) != file::LINK
        || second & (file::LINK | file::LINK_SUBSET) != file::LINK | file::LINK_SUBSET
    {
        return false;
    }
    let target = permissions(&mut sides.second_paths, key.second_path);
    let beyond = link.0 & !file::LINK & !target.0;
    beyond != 0 || (link.0 & file::EXECUTE != 0 && link.1 != target.1)
}

fn permissions(side: &mut Side<'_>, at: At) -> Permissions {
    let permits = side.permits(at);
    let [own, _] = permits.exec;
    (permits.allow & file::HALF, own)
}

fn string(trail: &Trail, mut at: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(&(_, parent, byte)) = trail.get(at).filter(|_| at != 0) {
        bytes.push(byte);
        at = parent;
    }
    bytes.reverse();
    bytes
}
