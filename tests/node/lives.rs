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
    let labels = pods::labels(world, &pod)?;
    let expected = format!("{profile} (enforce)");
    ensure!(
        !labels.is_empty() && labels.iter().all(|label| *label == expected),
        "{labels:?}, not {expected}"
    );

    let (ok, said) = pods::exec(world, NAMESPACE, subject.name, subject.probe)?;
    ensure!(
        ok && said.contains(subject.answer),
        "{:?}: {said}",
        subject.probe
    );
    let (ok, said) = pods::exec(world, NAMESPACE, subject.name, subject.attempt)?;
    ensure!(
        !ok && said.contains("ermission denied"),
        "{:?}: {said}",
        subject.attempt
    );
    // The kernel prints what it audits from a thread of its own.
    let denied = format!(
        "dmesg | grep 'apparmor=\"DENIED\" operation=\"exec\".*profile=\"{profile}\" name=\"{}\"'",
        subject.unlisted
    );
    wait_until(&denied, 30, || {
        let (status, _) = world.node.run(&denied)?;
        Ok((status == 0).then_some(()))
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
        labels.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
