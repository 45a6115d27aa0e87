//! `NodeProfiles` objects of nodes that are gone: an agent makes its node's object, and goes with its node.
//!
//! A node may come back, and an agent may be there before its node is seen: an object goes only after its node has been missing
//! at every look for long.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cluster::{Client, LeftOver, Written, delete_left_over, left_over};

/// How often is looked: what is left over is in nobody's way.
const LOOK: Duration = Duration::from_mins(10);
/// The least pause where objects are to go soon.
const LEAST: Duration = Duration::from_secs(1);

/// Deletes for ever, until this is dropped, what has been left over for so long.
pub(super) async fn collect(client: Client, gone_for: Duration) {
    let mut looks = interval((gone_for / 4).clamp(LEAST, LOOK));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gone = Gone::default();
    loop {
        looks.tick().await;
        let found = match left_over(&client).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the nodes' objects cannot be looked through, trying again");
                continue;
            }
        };
        for object in gone.due(found, Instant::now(), gone_for) {
            let node = object.node.as_str();
            match delete_left_over(&client, &object).await {
                Ok(Written::Done(())) => {
                    tracing::info!(node, "its NodeProfiles object is deleted: the node is gone");
                }
                // Its agent is there again, or somebody was faster.
                Ok(Written::Outdated) => {}
                Err(error) => tracing::warn!(node, %error, "a NodeProfiles object was not deleted"),
            }
        }
    }
}

/// Since when which objects, by their lives, have been left over.
#[derive(Default)]
struct Gone(HashMap<String, Instant>);

impl Gone {
    /// Those of the objects left over that have been so for so long.
    fn due(&mut self, found: Vec<LeftOver>, now: Instant, gone_for: Duration) -> Vec<LeftOver> {
        let since = |object: &LeftOver| self.0.get(&object.uid).copied().unwrap_or(now);
        let since: HashMap<String, Instant> = found
            .iter()
            .map(|object| (object.uid.clone(), since(object)))
            .collect();
        self.0 = since;
        let is_due = |object: &LeftOver| {
            let since = self.0.get(&object.uid);
            since.is_some_and(|since| now.duration_since(*since) >= gone_for)
        };
        found.into_iter().filter(is_due).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Gone, Instant, LeftOver};

    #[test]
    fn an_object_goes_after_its_node_was_missing_at_every_look_for_long() {
        let (mut gone, start) = (Gone::default(), Instant::now());
        let mut look = |seconds, objects: &[(&str, &str)]| -> Vec<String> {
            let found = objects.iter().map(|(node, uid)| LeftOver {
                node: (*node).to_owned(),
                uid: (*uid).to_owned(),
                version: None,
            });
            let now = start + Duration::from_secs(seconds);
            let due = gone.due(found.collect(), now, Duration::from_secs(10));
            due.into_iter().map(|object| object.node).collect()
        };
        assert!(look(0, &[("a", "1"), ("b", "2")]).is_empty());
        // The node `b` is back for a look, and the object of `c` is another one of the same name.
        assert!(look(5, &[("a", "1"), ("c", "3")]).is_empty());
        assert_eq!(look(10, &[("a", "1"), ("b", "2"), ("c", "4")]), ["a"]);
        assert_eq!(look(19, &[("a", "1"), ("b", "2"), ("c", "4")]), ["a"]);
        assert_eq!(look(20, &[("b", "2"), ("c", "4")]), ["b", "c"]);
    }
}
