//! How a container's life is judged by what the guest answered.

use anyhow::{Context as _, Result, bail, ensure};

use crate::{life::Prepared, machine::commands::GuestAnswer};

impl Prepared {
    /// Judges what the guest answered to [`Self::life`].
    pub(crate) fn check(&self, answers: &[GuestAnswer]) -> Result<String> {
        let [
            _,
            unpacked,
            _,
            started,
            asked,
            labels,
            served,
            attempted,
            refused,
            broken,
            renamed,
            loading,
            not_mapped,
            whole,
            hooked,
            told,
            stopped,
            ended,
            loaded,
            _,
            lacked,
            _,
            free,
            _,
            dropped,
            _,
            _,
        ] = answers
        else {
            bail!("{answers:?}")
        };
        let logs = [served, refused, ended].map(log);
        let log = logs.concat();
        let tail = log.len().saturating_sub(4000);
        let context = || {
            format!(
                "the kernel's log ends:\n{}",
                log.get(tail..).unwrap_or(&log)
            )
        };
        let judge = || -> Result<String> {
            succeeded("unpacking", unpacked)?;
            succeeded("starting", started)?;
            let answer = succeeded("asking its probe", asked)?;
            let labels = succeeded("reading labels", labels)?;
            let expected = format!("{} (enforce)", self.profile);
            ensure!(
                !labels.is_empty() && labels.lines().all(|label| label == expected),
                "not every process is under {expected}: {labels}"
            );
            is_refused(attempted, self.subject.unlisted)?;
            self.nothing_else_runs(broken, renamed)?;
            self.nothing_else_is_loaded(loading, not_mapped)?;
            succeeded("asking its probe after that", whole)?;
            succeeded("its preStop", hooked)?;
            succeeded("telling it to stop", told)?;
            let stopped = succeeded("stopping", stopped)?;
            // What `wait` would say is the last of what stands there: field 52 of proc(5), of which two are cut off.
            let status = stopped.split_whitespace().nth(49);
            let expected = (u32::from(self.subject.end) << 8).to_string();
            ensure!(
                status == Some(&*expected),
                "it has not ended well: {stopped}"
            );
            ensure!(!log.contains("suppressed"), "not every denial is logged");
            let [served, refused, ended] = &logs;
            for (when, log) in [("serving", served), ("stopping", ended)] {
                let denials = denials(log);
                ensure!(denials.is_empty(), "denied while {when}: {denials:?}");
            }
            ensure!(matches!(loaded, GuestAnswer::Done(_)), "{loaded:?}");
            succeeded("seeing the lack of a program", lacked)?;
            self.attacker_is_able(free, dropped)?;
            let denials = denials(refused);
            let is_expected = |line: &&str| {
                let parts = [
                    "operation=\"exec\"",
                    &format!("name=\"{}\"", self.subject.unlisted),
                ];
                parts.iter().all(|part| line.contains(part))
                    && line.contains(&format!("profile=\"{}\"", self.profile))
            };
            ensure!(
                !denials.is_empty() && denials.iter().all(is_expected),
                "other denials than of {}: {denials:?}",
                self.subject.unlisted
            );
            Ok(format!(
                "{}: under {} for {} processes, answers {:?}, may not run {}, stops by its hook",
                self.subject.name,
                self.profile,
                labels.lines().count(),
                answer.trim(),
                self.subject.unlisted
            ))
        };
        judge()
            .with_context(context)
            .with_context(|| self.subject.name)
    }
}

/// What a program says that was not permitted to run another.
fn is_refused(answer: &GuestAnswer, unlisted: &str) -> Result<()> {
    let GuestAnswer::Ended { status, output } = answer else {
        bail!("{answer:?}")
    };
    ensure!(
        *status == Some(126) && output.to_lowercase().contains("permission denied"),
        "{unlisted} is not refused: {status:?} {output}"
    );
    Ok(())
}

pub(crate) fn succeeded<'a>(what: &str, answer: &'a GuestAnswer) -> Result<&'a str> {
    match answer {
        GuestAnswer::Ended {
            status: Some(0),
            output,
        } => Ok(output),
        _ => bail!("{what} failed: {answer:?}"),
    }
}

pub(crate) fn log(answer: &GuestAnswer) -> String {
    match answer {
        GuestAnswer::Done(text) => text.clone(),
        _ => format!("{answer:?}"),
    }
}

pub(crate) fn denials(log: &str) -> Vec<&str> {
    let lines = log.lines();
    lines
        .filter(|line| line.contains("apparmor=\"DENIED\""))
        .collect()
}
