//! The webhook: wire types, HTTPS server, and the answer to each review.
//!
//! A request's way: `server` accepts the connection, `router` reads a bounded body, [`Gate`] answers it from one
//! snapshot of policy and profiles. No disk, registry or API call is made on the way, and the webhook writes nothing. What
//! [`Mutator`] answers needs the digests of images, which it asks their registries for; so does the gate for a pod that names a
//! generated profile, to tell whether it is the pod's own.

mod body;
mod digests;
mod draft;
mod gate;
mod health;
mod mutate;
mod plan;
mod resolver;
mod response;
mod review;
mod router;
mod server;

pub use gate::{Evaluation, Gate, NamespaceModes};
pub use health::Health;
pub use mutate::Mutator;
pub use resolver::Resolver;
pub use response::Answer;
pub use review::{BadReview, ReviewRequest};
pub use router::{RequestLimits, webhook_router};
pub use server::{ServerLimits, Shutdown, runtime, serve};
