//! Pods of real software, each under the profile that was generated for its image and command: they start, answer their probes,
//! refuse what is not listed, and end as they should.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use crate::{
    brokers, databases, languages, pods, servers, starts, stock, subject::Subject,
    support::wait_until, world::World,
};

const NAMESPACE: &str = "lives";

pub(crate) fn images_run(world: &mut World) -> Result<()> {
    pods::namespace(world, NAMESPACE, "enforce", "enforce")?;
    let subjects = [
        servers::redis(),
        servers::nginx(),
        servers::memcached(),
        servers::haproxy(),
        starts::busybox()?,
        starts::scratch()?,
        starts::tini(),
        starts::s6(),
        databases::postgres(),
        databases::mariadb(),
        brokers::rabbitmq(),
        languages::python(),
        languages::node(),
        languages::java(),
        languages::php(),
    ];
    // One after the other: it is one emulated processor that they would share.
    for subject in &subjects {
        live(world, subject).with_context(|| subject.name)?;
    }
    Ok(())
}

fn live(world: &World, subject: &Subject) -> Result<()> {
    stock::push(&world.registry, subject)?;
    let began = Instant::now();
    let manifest = pods::pod(subject.name, &pods::container_of(subject));
    pods::apply(world, NAMESPACE, &manifest)?;
    let pod = pods::wait_until_ready(world, NAMESPACE, subject.name, 600)?;
    let profile = pods::asked(&pod)?;
    ensure!(
        profile.starts_with(&format!("armorgate.{}.", subject.name)),
        "{profile}"
    );
    // What a probe has begun beside it may be on its way still, from the runtime into the profile, or out of the container.
    let expected = format!("{profile} (enforce)");
    let processes = until(&format!("only {expected}"), || {
        let labels = pods::labels(world, &pod)?;
        let is_either = |label: &String| *label == expected || label == "unconfined";
        ensure!(labels.iter().all(is_either), "{labels:?}, not {expected}");
        let is_whole = !labels.is_empty() && labels.iter().all(|label| *label == expected);
        Ok(is_whole
            .then_some(labels.len())
            .ok_or_else(|| format!("{labels:?}")))
    })?;

    until(&format!("an answer to {:?}", subject.probe), || {
        let (ok, said) = pods::exec(world, NAMESPACE, subject.name, subject.probe)?;
        let answers = ok && said.contains(subject.answer);
        Ok(answers.then_some(()).ok_or(said))
    })?;
    until(&format!("a refusal of {:?}", subject.attempt), || {
        let (ok, said) = pods::exec(world, NAMESPACE, subject.name, subject.attempt)?;
        ensure!(!ok, "{:?} is not refused: {said}", subject.attempt);
        let is_refused = said.contains("ermission denied");
        Ok(is_refused.then_some(()).ok_or(said))
    })?;
    // The kernel prints what it audits from a thread of its own.
    let denied = format!(
        "dmesg | grep 'apparmor=\"DENIED\" operation=\"exec\".*profile=\"{profile}\" name=\"{}\"'",
        subject.unlisted
    );
    until(&format!("`{denied}`"), || {
        let (status, said) = world.node.run(&denied)?;
        Ok((status == 0).then_some(()).ok_or(said))
    })?;

    let status = pods::delete(world, NAMESPACE, subject.name)?;
    ensure!(
        status == i64::from(subject.end),
        "it ended with {status}, not {}",
        subject.end
    );
    println!(
        "{}: {profile}, {} processes, {:.1} s",
        subject.name,
        processes,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Waits for what comes within a minute, and says what was there instead of it.
fn until<T>(what: &str, mut look: impl FnMut() -> Result<Result<T, String>>) -> Result<T> {
    let mut seen = None;
    let came = wait_until(what, 60, || match look().inspect_err(|_| seen = None)? {
        Ok(came) => Ok(Some(came)),
        Err(instead) => {
            seen = Some(instead);
            Ok(None)
        }
    });
    match (came, seen) {
        (Err(error), Some(seen)) => Err(error.context(seen)),
        (came, _) => came,
    }
}
